"""Measures taking over the executions of an earlier system: `./dev bench adoption`.

A database as the earlier system left it is made from a seed, with two or three steps for each
execution, and taken over by `manage.py adopt_schema`, from another database on the same server and
where it stands. Told are rows by the second, and CPU time and largest memory of the command. With
`--executions 1000000` it is the question of docs/moving.md: 10 minutes on two cores, and 300 MB.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks.testbed import servers
from benchmarks.testbed.django_setup import OF_A_HUB
from benchmarks.testbed.printing import say
from tests.support.earlier_database import SHAPES, fill
from tests.support.servers import missing_servers

ROOT = Path(__file__).resolve().parent.parent
MOST_MEGABYTES = 300
MOST_SECONDS_OF_A_MILLION = 600
_STEPS = 2.5  # of an execution, on average


@dataclass(frozen=True)
class Run:
    """What one run of the command took."""

    seconds: float
    cpu_seconds: float
    megabytes: float


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="./dev bench adoption", description=__doc__)
    parser.add_argument("--executions", type=int, default=100_000)
    parser.add_argument("--services", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--where", choices=("own", "other"), help="only where it stands, or from another database"
    )
    options = parser.parse_args(arguments)
    if missing := missing_servers():
        say(f"PostgreSQL is needed: {missing}.")
        return 1
    say(f"{options.executions:,} executions; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    say("\n| from | executions/s | rows/s | CPU of the command | a million in | memory at most |")
    say("|---|---|---|---|---|---|")
    places = (options.where,) if options.where else ("other", "own")
    return max([measure(place, options) for place in places])


def measure(place: str, options: argparse.Namespace) -> int:
    """Print what one way takes; return 1 where it takes more than it may."""
    with servers.start_durable() as durable, tempfile.TemporaryDirectory(prefix="si-bench-") as at:
        url = prepare(durable, place, options)
        surroundings = {**durable.environment(), "DATA_DIR": at, "SECRET_KEY": "for-the-benchmark"}
        source = [] if place == "own" else ["--from", url]
        if place == "other":
            run_command(["migrate", "--verbosity", "0"], surroundings)
        run = run_command(["adopt_schema", "--apply", *source], surroundings)
        check_taken(url if place == "own" else hub_url(durable), options.executions)
    rate = options.executions / run.seconds
    of_a_million = 1_000_000 / rate
    say(
        f"| {'its own database' if place == 'own' else 'another database'} | {rate:,.0f}"
        f" | {rate * (1 + _STEPS):,.0f} | {run.cpu_seconds:.0f} s | {of_a_million / 60:.1f} min"
        f" | {run.megabytes:.0f} MB |"
    )
    is_well = of_a_million <= MOST_SECONDS_OF_A_MILLION and run.megabytes <= MOST_MEGABYTES
    return 0 if is_well else 1


def hub_url(durable: servers.Durable) -> str:
    own = durable.environment()
    login = f"{own['POSTGRES_USER']}:{own.get('POSTGRES_PASSWORD') or 'trusted'}"
    return f"postgres://{login}@{own['POSTGRES_HOST']}:{own['POSTGRES_PORT']}/{own['POSTGRES_DB']}"


def prepare(durable: servers.Durable, place: str, options: argparse.Namespace) -> str:
    """Make the earlier database, and return its URL."""
    url = hub_url(durable)
    if place == "other":
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE earlier")
        url = url.rpartition("/")[0] + "/earlier"
    fill(
        url, SHAPES["newer"], seed=options.seed, services=options.services,
        executions=options.executions,
    )  # fmt: skip
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    return url


def run_command(arguments: list[str], surroundings: Mapping[str, str]) -> Run:
    """Run a command of the hub; return how long it took, and its largest memory."""
    shell = {name: value for name, value in os.environ.items() if not name.startswith(OF_A_HUB)}
    key = {"CREDENTIAL_KEYS": "bench:" + "A" * 43 + "="}
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**shell, **key, **surroundings},
        stdout=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"manage.py {' '.join(arguments)} failed.")
    cpu = used.ru_utime + used.ru_stime
    return Run(time.monotonic() - begun, cpu, used.ru_maxrss / 1024)


def check_taken(url: str, executions: int) -> None:
    """Make sure that all of it is there."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM workflow_execution").fetchone()
    if row is None or row[0] != executions:
        raise SystemExit(f"{row} of {executions} executions were taken.")


if __name__ == "__main__":
    sys.exit(main())
