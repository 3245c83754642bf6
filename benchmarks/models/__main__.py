"""Measures the door to models, over HTTP from outside: `./dev bench models`.

A hub as in production, on throw-away PostgreSQL with durable commits and Redis, asks one process
that answers the same always, beside LiteLLM's proxy that asks the same one. `docs/benchmarks.md`
says what the figures mean.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence

from benchmarks.models import kills, parts
from benchmarks.models.targets import TARGETS
from benchmarks.testbed.printing import say
from benchmarks.testbed.report import markdown_table
from benchmarks.web.ground import Bench
from benchmarks.web.targets import Outcome, judge
from benchmarks.web.wrk import missing_wrk
from tests.support.servers import ending_with_this, missing_servers

PARTS: dict[str, Callable[[Bench], None]] = {
    "latency": parts.measure_latency,
    "throughput": parts.measure_throughput,
    "streams": parts.measure_streams,
    "kills": kills.measure_kills,
}
MOST_SECONDS = 1800


def main(arguments: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    options = read_options(arguments)
    # An exception, so that all that was started is ended and removed.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    if options.child:
        bench = Bench(options)
        PARTS[options.parts[0]](bench)
        print(json.dumps(bench.values), flush=True)
        return 0
    if missing := "; ".join(filter(None, (missing_servers(), missing_wrk()))):
        say(f"This cannot be measured here: {missing}.")
        return 1
    outcomes = [outcome for part in options.parts for outcome in run_part(part, arguments)]
    if options.json:
        say(json.dumps([outcome.as_json() for outcome in outcomes], indent=2))
    else:
        print_tables(outcomes, options)
    missed = any(outcome.reached is False for outcome in outcomes)
    return 1 if options.check and missed else 0


def read_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench models", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=3, help="of latency and throughput")
    parser.add_argument("--seconds", type=float, default=5, help="of each load in each round")
    parser.add_argument("--streams", type=int, default=1000, help="at once")
    parser.add_argument("--stream-seconds", type=float, default=60)
    parser.add_argument("--requests", type=int, default=10_000, help="of kills")
    parser.add_argument("--no-peer", action="store_true", help="without LiteLLM")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="for the hub")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    parser.add_argument("--json", action="store_true", help="instead of tables")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if min(options.rounds, options.seconds, options.streams, options.requests) < 1:
        parser.error("use numbers from 1")
    if any("=" not in pair for pair in options.set):
        parser.error("--set takes pairs such as WEB_PROCESSES=2")
    return options


def run_part(part: str, arguments: Sequence[str]) -> list[Outcome]:
    """Measure a part in a process of its own, which sets Django up on its own database.

    The others go on where one cannot be measured; its targets are missed.
    """
    print(part, file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "benchmarks.models", *arguments, "--child", "--parts", part]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, preexec_fn=ending_with_this(signal.SIGTERM)
    )
    try:
        told, _ = process.communicate(timeout=MOST_SECONDS)
    except BaseException:
        process.terminate()  # its own end is that of all that it started
        process.wait()
        raise
    if process.returncode:
        print(f"{part} could not be measured: the lines above say why.", file=sys.stderr)
        return list(judge(part, {}, TARGETS))
    return list(judge(part, json.loads(told.splitlines()[-1]), TARGETS))


def print_tables(outcomes: Sequence[Outcome], options: argparse.Namespace) -> None:
    say(
        f"{os.cpu_count()} cores, Python {platform.python_version()}; medians of {options.rounds}"
        f" rounds of {options.seconds:g} s; {' '.join(options.set) or 'the defaults of the hub'}\n"
    )
    for part in options.parts:
        rows = [outcome.cells() for outcome in outcomes if outcome.part == part]
        say("\n".join(markdown_table([part, "value", "target", "ratio", "reached"], rows)) + "\n")


if __name__ == "__main__":
    sys.exit(main())
