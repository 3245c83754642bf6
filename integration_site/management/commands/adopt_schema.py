"""Takes over what an earlier system stored, in this database or in another."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from core.exceptions import IntegrationError
from integration_site.adoption.application import apply
from integration_site.adoption.inspection import inspect
from integration_site.adoption.record import AdoptionRecord
from integration_site.adoption.report import (
    adoption_json,
    adoption_text,
    inspection_data,
    inspection_text,
)
from integration_site.adoption.reversal import revert


def zone(text: str) -> tzinfo:
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        sentence = f"There is no time zone '{text}': name one such as UTC or Europe/Berlin."
        raise argparse.ArgumentTypeError(sentence) from None


class Command(BaseCommand):
    help = (
        "Take over the tables of the earlier system: look at them first, then apply; revert gives"
        " everything back. Each may be run again at any time."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument(
            "--inspect", action="store_true", help="say what is there; change nothing"
        )
        what.add_argument("--apply", action="store_true", help="take over what was not taken yet")
        what.add_argument("--revert", action="store_true", help="give names and places back")
        add = parser.add_argument
        add(
            "--from", dest="url", default="", metavar="URL",
            help="postgres://..., mysql://... or sqlite:...; without it, the hub's own database",
        )  # fmt: skip
        add("--timezone", type=zone, default=zone("UTC"), help="of times that have none")
        add("--confirm", action="store_true", help="agree to what cannot be undone")
        add("--json", action="store_true", help="the report as JSON")
        add("--report", type=Path, metavar="FILE", help="write the report, as JSON, to a file too")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._run(**options)
        except IntegrationError as error:
            raise CommandError(error.message) from None
        except DatabaseError as error:
            sentence = str(error).strip().splitlines()[0]
            raise CommandError(f"The database refused: {sentence}") from error

    def _run(self, **options: Any) -> None:
        if options["inspect"]:
            self._inspect(options["url"], as_json=options["json"])
        elif options["apply"]:
            self._apply(**options)
        elif not revert(options["url"], confirmed=options["confirm"], say=self._say):
            self.stdout.write("Nothing was taken over, so there is nothing to revert.")

    def _inspect(self, url: str, *, as_json: bool) -> None:
        found = inspect(url)
        try:
            lines = inspection_text(found)
            text = json.dumps(inspection_data(found)) if as_json else "\n".join(lines)
        finally:
            found.source.close()
        self.stdout.write(text)

    def _apply(self, **options: Any) -> None:
        record = apply(
            options["url"], zone=options["timezone"], say=self._say, confirmed=options["confirm"]
        )
        if record is None:
            self.stdout.write("There is no table of the earlier system, so nothing was taken over.")
            return
        if options["report"]:
            with options["report"].open("w") as file:
                file.writelines(adoption_json(record))
        self._report(record, as_json=options["json"])

    def _report(self, record: AdoptionRecord, *, as_json: bool) -> None:
        if as_json:
            for piece in adoption_json(record):
                self.stdout.write(piece, ending="")
            self.stdout.write("")
            return
        for line in adoption_text(record):
            self.stdout.write(line)

    def _say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)  # noqa: T201 (progress is not the report)
