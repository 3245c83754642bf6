"""Runs the parts of a benchmark, each in a process of its own, and tells what was reached."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.testbed.printing import say
from benchmarks.testbed.report import markdown_table
from benchmarks.web.ground import Bench
from benchmarks.web.targets import Outcome, Target, judge
from tests.support.servers import ending_with_this


@dataclass(frozen=True)
class Suite:
    """The parts of a benchmark and what they are to reach; `module` is run for one of them."""

    module: str
    parts: Mapping[str, Callable[[Bench], None]]
    targets: Mapping[str, Sequence[Target]]
    most_seconds: float

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options that every benchmark of parts has, but for its rounds."""
        parser.add_argument("--parts", nargs="+", choices=self.parts, default=list(self.parts))
        parser.add_argument("--seconds", type=float, default=5, help="of each load in each round")
        parser.add_argument(
            "--set", nargs="+", default=[], metavar="NAME=VALUE", help="for the hub"
        )
        parser.add_argument(
            "--check", action="store_true", help="exit with 1 if a target is missed"
        )
        parser.add_argument("--json", action="store_true", help="instead of tables")
        parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)

    def run(
        self, options: argparse.Namespace, arguments: Sequence[str], *, missing: Callable[[], str]
    ) -> int:
        """Run what the options ask for, and return the exit code.

        `missing` says which programs have to be installed first.
        """
        # An exception, so that all that was started is ended and removed.
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
        if options.child:
            bench = Bench(options)
            self.parts[options.parts[0]](bench)
            print(json.dumps(bench.values), flush=True)
            return 0
        if sentence := missing():
            say(f"This cannot be measured here: {sentence}.")
            return 1
        outcomes = [each for part in options.parts for each in self._run_part(part, arguments)]
        if options.json:
            say(json.dumps([outcome.as_json() for outcome in outcomes], indent=2))
        else:
            _print_tables(outcomes, options)
        missed = any(outcome.reached is False for outcome in outcomes)
        return 1 if options.check and missed else 0

    def _run_part(self, part: str, arguments: Sequence[str]) -> list[Outcome]:
        """Measure a part in a process of its own, which sets Django up on its own database.

        The others go on where one cannot be measured; its targets are missed.
        """
        print(part, file=sys.stderr, flush=True)
        command = [sys.executable, "-m", self.module, *arguments, "--child", "--parts", part]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, preexec_fn=ending_with_this(signal.SIGTERM)
        )
        try:
            told, _ = process.communicate(timeout=self.most_seconds)
        except BaseException:
            process.terminate()  # its own end is that of all that it started
            process.wait()
            raise
        if process.returncode:
            print(f"{part} could not be measured: the lines above say why.", file=sys.stderr)
            return list(judge(part, {}, self.targets))
        return list(judge(part, json.loads(told.splitlines()[-1]), self.targets))


def refuse_wrong_pairs(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End with a sentence where an option of `--set` is no pair."""
    if any("=" not in pair for pair in options.set):
        parser.error("--set takes pairs such as WEB_PROCESSES=2")


def _print_tables(outcomes: Sequence[Outcome], options: argparse.Namespace) -> None:
    say(
        f"{os.cpu_count()} cores, Python {platform.python_version()}; medians of {options.rounds}"
        f" rounds of {options.seconds:g} s; {' '.join(options.set) or 'the defaults of the hub'}\n"
    )
    for part in options.parts:
        rows = [outcome.cells() for outcome in outcomes if outcome.part == part]
        say("\n".join(markdown_table([part, "value", "target", "ratio", "reached"], rows)) + "\n")
