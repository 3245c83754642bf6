"""Checks what must hold of every execution, whatever died."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from core.instants import InstantRefused, parse_instant
from core.json import strict
from workflows import invariants
from workflows.invariants import Violation

MOST_SHOWN = 1000
_UNITS = {"m": 60, "h": 3600, "d": 86400}


def parse_since(text: str) -> datetime:
    """Read an RFC 3339 time, or so many minutes, hours or days ago: `30m`, `2h`, `7d`."""
    if match := re.fullmatch(r"(\d{1,6})([mhd])", text):
        return datetime.now(UTC) - timedelta(seconds=int(match[1]) * _UNITS[match[2]])
    try:
        return parse_instant(text)
    except InstantRefused as error:
        raise argparse.ArgumentTypeError(f"'{text}': {error} Or give 30m, 2h, 7d.") from None


def readable(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"There is no file '{text}'.")
    return path


class Command(BaseCommand):
    help = (
        "Check that no execution was lost, recorded twice or left behind. Exit code 1 if one was."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add = parser.add_argument
        add("--since", type=parse_since, help="executions from then on: a time, or 30m, 2h, 7d")
        add("--json", action="store_true", help="a JSON object per line, the summary last")
        add(
            "--canary", action="append", default=[], help="a value that must be nowhere; repeatable"
        )
        add("--canaries", type=readable, help="a file of such values, one per line")
        add("--log", type=readable, action="append", default=[], help="a log to look into as well")
        add("--acknowledged", type=readable, help="a file of ids that callers were given")
        add("--receipts", type=readable, help="a file of JSON lines, as a receiver wrote them")

    def handle(self, *args: Any, **options: Any) -> None:
        self._executions = 0
        violations = 0
        for violation in islice(self._violations(options), MOST_SHOWN):
            violations += 1
            self._tell(violation, as_json=options["json"])
        self._sum_up(violations, as_json=options["json"])
        if violations:
            sys.exit(1)

    def _violations(self, options: dict[str, Any]) -> Iterator[Violation]:
        checks = [invariants.check_executions(since=options["since"], on_page=self._count)]
        if path := options["acknowledged"]:
            checks.append(invariants.missing_executions(path.read_text().split()))
        if path := options["receipts"]:
            lines = path.read_text().splitlines()
            checks.append(invariants.check_receipts(strict.parse(line) for line in lines if line))
        secrets = invariants.check_secrets(
            known_secrets(options), logs=options["log"], since=options["since"]
        )
        return chain(*checks, secrets)

    def _count(self, executions: int) -> None:
        self._executions += executions

    def _tell(self, violation: Violation, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(violation.as_json()))
            return
        self.stdout.write(str(violation))
        self.stdout.write(f"   {invariants.MEANINGS[violation.invariant]}")

    def _sum_up(self, violations: int, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(
                json.dumps({"executions": self._executions, "violations": violations})
            )
            return
        more = " (there may be more)" if violations == MOST_SHOWN else ""
        self.stdout.write(f"{self._executions} executions checked, {violations} violations{more}.")


def known_secrets(options: dict[str, Any]) -> dict[str, str]:
    """Return the secrets to look for, by a name that does not give them away."""
    values = list(options["canary"])
    if path := options["canaries"]:
        values += [line for line in path.read_text().splitlines() if line.strip()]
    named = {f"canary {number}": value for number, value in enumerate(values, 1)}
    return {"SECRET_KEY": settings.SECRET_KEY, **named}
