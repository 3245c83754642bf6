"""Holds budgets for models against the record of requests."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from datetime import timedelta
from itertools import islice
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from model_orchestration.services.balance import Imbalance, find_imbalances, repair

MOST_SHOWN = 1000


class Command(BaseCommand):
    help = (
        "Check that what budgets count as used and reserved is what requests sum up to, and that"
        " no request is left behind. Exit code 1 if something differs."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add = parser.add_argument
        add("--days", type=int, help="only of windows that ended in so many days, or run")
        add("--json", action="store_true", help="a JSON object per line")
        add("--repair", action="store_true", help="have windows say what their requests sum up to")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        days = options["days"]
        since = None if days is None else now - timedelta(days=days)
        found = list(islice(find_imbalances(now=now, since=since), MOST_SHOWN))
        for each in found:
            self._tell(each, as_json=options["json"])
        repaired = sum(repair(each) for each in found) if options["repair"] else 0
        if not options["json"]:
            more = " (there may be more)" if len(found) == MOST_SHOWN else ""
            told = f", {repaired} repaired" if options["repair"] else ""
            self.stdout.write(f"{len(found)} differences{more}{told}.")
        if len(found) > repaired:
            sys.exit(1)

    def _tell(self, found: Imbalance, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(asdict(found), default=str))
        else:
            self.stdout.write(f"{found.about}: {found.found}")
