"""Measures checks: `./dev bench checks`.

`pace`: thousands of checks a minute from one worker, beside a bare aiohttp loop. `telling`: from a
bad answer to the message at the channel, by a hub as a user starts it. `memory`: pages and sweeps
beside millions of results. Each part starts its own servers, in a process of its own, and stops
them again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.checks.memory import measure_memory
from benchmarks.checks.pace import measure_pace
from benchmarks.checks.telling import measure_telling
from benchmarks.testbed.printing import say
from tests.support.servers import missing_servers

PARTS = {"pace": measure_pace, "telling": measure_telling, "memory": measure_memory}


def main(arguments: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    options = read_options(arguments)
    if missing := missing_servers():
        say(f"PostgreSQL and Redis are needed: {missing}.")
        return 1
    if len(options.parts) == 1:
        PARTS[options.parts[0]](options)
        return 0
    # Django is set up once in a process.
    codes = [
        subprocess.run(
            [sys.executable, "-m", "benchmarks.checks", *arguments, "--parts", part], check=False
        ).returncode
        for part in options.parts
    ]
    return max(codes)


def read_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench checks", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--checks", type=int, default=5_000, help="of the pace, a minute")
    parser.add_argument("--seconds", type=int, default=60, help="of each stretch of the pace")
    parser.add_argument("--failures", type=int, default=20, help="that are told of")
    parser.add_argument("--results", type=int, default=10_000_000, help="of the memory")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
