"""Measures what callers of the hub meet, over HTTP from outside: `./dev bench web`.

Each part starts a hub with `./dev run` as in production, on throw-away PostgreSQL with durable
commits and Redis, and what it is compared with; they take turns. `docs/benchmarks.md` says what the
figures mean.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial

from benchmarks.web import faults, reads, waits, writes
from benchmarks.web.suite import Suite, refuse_wrong_pairs
from benchmarks.web.targets import TARGETS
from benchmarks.web.wrk import missing_wrk
from tests.support.servers import find_binary, missing_servers

SUITE = Suite(
    "benchmarks.web",
    {
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
    },
    TARGETS,
    most_seconds=3600,
)
BESIDE_ETCD = {"reads", "reads-under-writes"}
WITHOUT_WRK = {"slow-peers", "idle", "kill-web", "restart-redis"}


def main(arguments: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    options = read_options(arguments)
    return SUITE.run(options, arguments, missing=partial(missing_programs, options.parts))


def read_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench web", description=__doc__)
    SUITE.add_options(parser)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--executions", type=int, default=1_000_000, help="of growth")
    parser.add_argument("--backlog", type=int, default=500, help="executions of five HTTP steps")
    parser.add_argument("--latencies", type=int, default=40, help="executions timed one by one")
    parser.add_argument("--waiters", type=int, default=2_000, help="reads, and as many watches")
    parser.add_argument("--idle-seconds", type=float, default=30)
    options = parser.parse_args(arguments)
    if min(options.rounds, options.seconds, options.waiters, options.backlog) < 1:
        parser.error("use numbers from 1")
    refuse_wrong_pairs(parser, options)
    return options


def missing_programs(parts: Sequence[str]) -> str:
    """Return a sentence on what has to be installed for these parts; empty if nothing has."""
    missing = [missing_servers()]
    if set(parts) - WITHOUT_WRK:
        missing.append(missing_wrk())
    if set(parts) & BESIDE_ETCD and find_binary("etcd") is None:
        missing.append("install etcd (Debian and Ubuntu: apt install etcd-server)")
    return "; ".join(filter(None, missing))


if __name__ == "__main__":
    sys.exit(main())
