"""Measures the door to models, over HTTP from outside: `./dev bench models`.

A hub as in production, on throw-away PostgreSQL with durable commits and Redis, asks one process
that answers the same always, beside LiteLLM's proxy that asks the same one. `docs/benchmarks.md`
says what the figures mean.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.models import kills, parts
from benchmarks.models.targets import TARGETS
from benchmarks.web.suite import Suite, refuse_wrong_pairs
from benchmarks.web.wrk import missing_wrk
from tests.support.servers import missing_servers

SUITE = Suite(
    "benchmarks.models",
    {
        "latency": parts.measure_latency,
        "throughput": parts.measure_throughput,
        "streams": parts.measure_streams,
        "kills": kills.measure_kills,
    },
    TARGETS,
    most_seconds=1800,
)


def main(arguments: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    return SUITE.run(read_options(arguments), arguments, missing=missing_programs)


def missing_programs() -> str:
    """Return a sentence on what has to be installed; empty if nothing has."""
    return "; ".join(filter(None, (missing_servers(), missing_wrk())))


def read_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench models", description=__doc__)
    SUITE.add_options(parser)
    parser.add_argument("--rounds", type=int, default=3, help="of latency and throughput")
    parser.add_argument("--streams", type=int, default=1000, help="at once")
    parser.add_argument("--stream-seconds", type=float, default=60)
    parser.add_argument("--requests", type=int, default=10_000, help="of kills")
    parser.add_argument("--no-peer", action="store_true", help="without LiteLLM")
    options = parser.parse_args(arguments)
    if min(options.rounds, options.seconds, options.streams, options.requests) < 1:
        parser.error("use numbers from 1")
    refuse_wrong_pairs(parser, options)
    return options


if __name__ == "__main__":
    sys.exit(main())
