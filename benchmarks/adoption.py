"""Measures taking over the executions of an earlier system: `./dev bench adoption`.

A database as the earlier system left it is made from a seed, with two or three steps for each
execution, and taken over by `manage.py adopt_schema`, from another database on the same server and
where it stands. Told are rows by the second, and CPU time and largest memory of the command. A hub
is at work on its database while another is taken from, and is asked all the time. With
`--executions 1000000` it is the question of docs/moving.md: 10 minutes on two cores, and 300 MB.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psycopg

from benchmarks.testbed import servers
from benchmarks.testbed.counters import cpu_of_tree, read_processes
from benchmarks.testbed.django_setup import OF_A_HUB
from benchmarks.testbed.hub import percentile
from benchmarks.testbed.printing import say
from tests.support.earlier_database import SHAPES, fill
from tests.support.real_hub import Hub, running_hub
from tests.support.servers import missing_servers

ROOT = Path(__file__).resolve().parent.parent
MOST_MEGABYTES = 300
MOST_SECONDS_OF_A_MILLION = 600
_STEPS = 2.5  # of an execution, on average


# What is asked of the hub meanwhile, in turn.
_ASKED = ("/services", "/discovery/services", "/executions?per_page=20", "/health/system")
_PAUSE_SECONDS = 0.25


@dataclass(frozen=True)
class Run:
    """What one run of the command took."""

    seconds: float
    cpu_seconds: float
    megabytes: float


@dataclass
class Meanwhile:
    """Asks a hub while the command is at work: how long it took, and what was no answer."""

    hub: Hub
    times: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        ended = threading.Event()
        asker = threading.Thread(target=self._ask, args=(ended,))
        asker.start()
        try:
            yield
        finally:
            ended.set()
            asker.join()

    def _ask(self, ended: threading.Event) -> None:
        with httpx2.Client(base_url=self.hub.url, timeout=30) as client:
            client.headers["X-API-Key"] = self.hub.key
            for path in itertools.cycle(_ASKED):
                begun = time.monotonic()
                try:
                    status = str(client.get(path).status_code)
                except httpx2.HTTPError as error:
                    status = type(error).__name__
                self.times.append(time.monotonic() - begun)
                if status != "200":
                    self.failures.append(f"{path}: {status}")
                if ended.wait(_PAUSE_SECONDS):
                    return

    def line(self) -> str:
        p50, p99, most = (percentile(self.times, share) * 1000 for share in (0.5, 0.99, 1.0))
        return (
            f"meanwhile the hub answered {len(self.times):,} requests, {len(self.failures)} of"
            f" them not with 200: p50 {p50:.0f} ms, p99 {p99:.0f} ms, {most:.0f} ms at most"
        )


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
    say(
        "\n| from | executions/s | rows/s | CPU of the command | CPU of PostgreSQL | a million in"
        " | memory at most |"
    )
    say("|---|---|---|---|---|---|---|")
    places = (options.where,) if options.where else ("other", "own")
    return max([measure(place, options) for place in places])


def measure(place: str, options: argparse.Namespace) -> int:
    """Print what one way takes; return 1 where it takes more than it may."""
    with servers.start_durable() as durable, tempfile.TemporaryDirectory(prefix="si-bench-") as at:
        url = prepare(durable, place, options)
        surroundings = {**durable.environment(), "DATA_DIR": at, "SECRET_KEY": "for-the-benchmark"}
        before = cpu_of_tree(durable.pid, read_processes())
        if place == "own":
            meanwhile, run = None, run_command(["adopt_schema", "--apply"], surroundings)
        else:
            meanwhile, run = run_beside_a_hub(url, Path(at), durable)
        servers_cpu = cpu_of_tree(durable.pid, read_processes()) - before
        check_taken(url if place == "own" else hub_url(durable), options.executions)
    rate = options.executions / run.seconds
    of_a_million = 1_000_000 / rate
    say(
        f"| {'its own database' if place == 'own' else 'another database'} | {rate:,.0f}"
        f" | {rate * (1 + _STEPS):,.0f} | {run.cpu_seconds:.0f} s | {servers_cpu:.0f} s"
        f" | {of_a_million / 60:.1f} min | {run.megabytes:.0f} MB |"
    )
    if meanwhile is not None:
        say("\n".join(["", meanwhile.line(), *sorted(set(meanwhile.failures))]))
    is_well = of_a_million <= MOST_SECONDS_OF_A_MILLION and run.megabytes <= MOST_MEGABYTES
    return 0 if is_well and not (meanwhile and meanwhile.failures) else 1


def run_beside_a_hub(url: str, at: Path, durable: servers.Durable) -> tuple[Meanwhile, Run]:
    """Take over another database while a hub is at work on its own."""
    with running_hub(at, durable.environment()) as hub:
        meanwhile = Meanwhile(hub)
        with meanwhile.asking():
            run = run_command(["adopt_schema", "--apply", "--from", url], hub.environment)
    return meanwhile, run


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
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**shell, **surroundings},
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
