"""Runs all that tries to get more than it was given, on both databases: `./dev security`."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

from tests.security.findings import Findings, say
from tests.security.world import ALLOWED, Caller, running_web, surroundings_of
from tests.support.servers import missing_servers

BACKENDS = {"sqlite": "SQLite", "postgres": "PostgreSQL and Redis"}
# Loaded once Django is set up.
PARTS = ("matrix", "changes", "scenarios", "addresses", "documents", "workers", "requests",
         "webhooks", "leaks")  # fmt: skip


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./dev security", description=__doc__)
    parser.add_argument("--backend", choices=BACKENDS, help="one of both")
    parser.add_argument("--parts", default=",".join(PARTS), help="some of: %(default)s")
    parser.add_argument("--one-in", type=int, default=1, metavar="N",
                        help="of whom later changes befall, try one of so many")  # fmt: skip
    options = parser.parse_args(arguments)
    # An exception, so that the servers are ended too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    if options.backend:
        return try_all(options.backend, options.parts.split(","), options.one_in)
    backends = [name for name in BACKENDS if name == "sqlite" or not missing_servers()]
    if len(backends) < len(BACKENDS):
        say(f"{BACKENDS['postgres']}: left out, {missing_servers()}")
    command = [sys.executable, "-m", "tests.security", "--parts", options.parts,
               "--one-in", str(options.one_in), "--backend"]  # fmt: skip
    # A process sets Django up for one database.
    return max(subprocess.call([*command, backend]) for backend in backends)


def try_all(backend: str, parts: list[str], one_in: int) -> int:
    """Try everything on one database and print what got through; return 1 where anything did."""
    findings, started = Findings(one_in=one_in), time.monotonic()
    folder = tempfile.TemporaryDirectory(prefix="si-security-", ignore_cleanup_errors=True)
    with (
        folder as name,
        surroundings_of(backend) as surroundings,
        running_web(Path(name), surroundings) as hub,
    ):
        say(f"\nOn {BACKENDS[backend]}, where calls are allowed to {ALLOWED} alone")
        caller = Caller(hub.url)
        for part in parts:
            before = set(findings.attempts)
            import_module(f"tests.security.{part}").run(caller, findings, hub)
            findings.report(name for name in findings.attempts if name not in before)
    seconds = time.monotonic() - started
    told = f"{findings.total:,} attempts; {findings.total_through:,} got through"
    say(f"  {told}, in {seconds:.0f} s")
    return 1 if findings.total_through else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
