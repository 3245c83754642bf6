"""Moves every stored secret to the current key of CREDENTIAL_KEYS."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.exceptions import VaultError
from core.vault import get_key_ring
from registry.credentials.rekeying import count_by_key, count_remaining, rewrap_all

MOST_NAMED = 20


class Command(BaseCommand):
    help = (
        "Wrap every stored secret with the first key of CREDENTIAL_KEYS. It may be stopped, started"
        " again and run twice at once. It fails as long as a secret needs another key, and so does"
        " --dry-run: when it succeeds, the old keys may be removed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Count, and change nothing.")
        parser.add_argument("--batch", type=int, default=100, help="Rows at once, 1 to 1000.")

    def handle(self, *args: Any, dry_run: bool, batch: int, **options: Any) -> None:
        if not 1 <= batch <= 1000:
            raise CommandError("--batch must be from 1 to 1000.")
        try:
            self._show()
            unreadable = [] if dry_run else self._rewrap(batch)
            remaining = count_remaining()
        except VaultError as error:
            raise CommandError(error.message) from None
        for name, reason in unreadable[:MOST_NAMED]:
            self.stderr.write(f"  {name}: {reason}")
        if remaining:
            raise CommandError(f"{remaining} secrets are not on the current key.")
        self.stdout.write("Every secret is on the current key: older keys may be removed.")

    def _show(self) -> None:
        current = get_key_ring().current
        counts = count_by_key()
        for key_id in sorted({current, *counts}):
            word = "current" if key_id == current else "older"
            self.stdout.write(f"  {key_id} ({word}): {counts.get(key_id, 0)} secrets")

    def _rewrap(self, batch: int) -> list[tuple[str, str]]:
        unreadable: list[tuple[str, str]] = []
        for rewrapped in rewrap_all(batch=batch):
            self.stdout.write(f"  {rewrapped.moved} moved")
            unreadable += rewrapped.unreadable
        return unreadable
