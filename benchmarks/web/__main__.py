"""Measures what callers of the hub meet, over HTTP from outside: `./dev bench web`.

Each part starts a hub with `./dev run` as in production, on throw-away PostgreSQL with durable
commits and Redis, and what it is compared with; they take turns. `docs/benchmarks.md` says what the
figures mean.
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

from benchmarks.testbed.printing import say
from benchmarks.testbed.report import markdown_table
from benchmarks.web import faults, reads, waits, writes
from benchmarks.web.ground import Bench
from benchmarks.web.targets import Outcome, judge
from benchmarks.web.wrk import missing_wrk
from tests.support.servers import ending_with_this, find_binary, missing_servers

PARTS: dict[str, Callable[[Bench], None]] = {
    "reads": reads.measure_reads,
    "reads-under-writes": reads.measure_reads_under_writes,
    "heartbeats": writes.measure_heartbeats,
    "heartbeats-redis": writes.measure_heartbeats_redis,
    "starts": writes.measure_starts,
    "registrations": writes.measure_registrations,
    "choose": reads.measure_choose,
    "growth": reads.measure_growth,
    "waiters": waits.measure_waiters,
    "slow-peers": waits.measure_slow_peers,
    "idle": waits.measure_idle,
    "kill-web": faults.measure_kill_web,
    "restart-redis": faults.measure_restart_redis,
}
BESIDE_ETCD = {"reads", "reads-under-writes"}
WITHOUT_WRK = {"slow-peers", "idle", "kill-web", "restart-redis"}
MOST_SECONDS = 3600


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
    if missing := missing_programs(options.parts):
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
    parser = argparse.ArgumentParser(prog="./dev bench web", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5, help="of each load in each round")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="for the hub")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    parser.add_argument("--json", action="store_true", help="instead of tables")
    parser.add_argument("--executions", type=int, default=1_000_000, help="of growth")
    parser.add_argument("--backlog", type=int, default=500, help="executions of five HTTP steps")
    parser.add_argument("--latencies", type=int, default=40, help="executions timed one by one")
    parser.add_argument("--waiters", type=int, default=2_000, help="reads, and as many watches")
    parser.add_argument("--idle-seconds", type=float, default=30)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if min(options.rounds, options.seconds, options.waiters, options.backlog) < 1:
        parser.error("use numbers from 1")
    if any("=" not in pair for pair in options.set):
        parser.error("--set takes pairs such as WEB_PROCESSES=2")
    return options


def missing_programs(parts: Sequence[str]) -> str:
    """Return a sentence on what has to be installed for these parts; empty if nothing has."""
    missing = [missing_servers()]
    if set(parts) - WITHOUT_WRK:
        missing.append(missing_wrk())
    if set(parts) & BESIDE_ETCD and find_binary("etcd") is None:
        missing.append("install etcd (Debian and Ubuntu: apt install etcd-server)")
    return "; ".join(filter(None, missing))


def run_part(part: str, arguments: Sequence[str]) -> list[Outcome]:
    """Measure a part in a process of its own, which sets Django up on its own database.

    The others go on where one cannot be measured; its targets are missed.
    """
    print(part, file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "benchmarks.web", *arguments, "--child", "--parts", part]
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
        return list(judge(part, {}))
    return list(judge(part, json.loads(told.splitlines()[-1])))


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
