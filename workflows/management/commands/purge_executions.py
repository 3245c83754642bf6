"""Deletes what retention does not keep."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from workflows.services.retention.purge import due_by_class, purge_executions


class Command(BaseCommand):
    """Works until nothing is left to delete, or for `--seconds`."""

    help = "Delete executions that ended longer ago than their retention class allows."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only say what would go.")
        parser.add_argument("--seconds", type=float, default=3600, help="Stop after this long.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["dry_run"]:
            for due in due_by_class():
                age = f"after {due.days} days" if due.days is not None else "never"
                more = " or more" if due.is_capped else ""
                self.stdout.write(
                    f"{due.retention:9} {due.workflows} workflows, deleted {age}:"
                    f" {due.executions}{more} executions would go"
                )
            return
        purged = purge_executions(actor="purge_executions", seconds=options["seconds"])
        rest = "" if purged.is_finished else " The time was up; run it again for the rest."
        self.stdout.write(
            f"{purged.executions} executions with {purged.steps} steps deleted.{rest}"
        )
