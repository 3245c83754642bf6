"""Runs the tests on SQLite, and at once on throw-away PostgreSQL and Redis: `./dev test`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

from tests.support.environments import ROOT
from tests.support.servers import missing_servers

BACKENDS = {"sqlite": "SQLite", "postgres": "PostgreSQL and Redis"}
MOST_WORKERS = 8
# They come with libraries that the tests use, and take a second to load.
UNUSED_PLUGINS = ("schemathesis", "faker", "anyio")


def main(arguments: Sequence[str]) -> int:
    # An exception, so that each pytest that runs right now is ended too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    backends = [os.environ["SI_BACKEND"]] if os.environ.get("SI_BACKEND") else list(BACKENDS)
    if not set(backends) <= set(BACKENDS):
        sys.exit(f"dev: SI_BACKEND is {backends[0]!r}: it has to be {' or '.join(BACKENDS)}.")
    missing = missing_servers() if "postgres" in backends else ""
    present = [backend for backend in backends if backend != "postgres" or not missing]
    with tempfile.TemporaryDirectory(prefix="service-integration-") as folder:
        codes = run_side_by_side(present, Path(folder), arguments)
        lines = [line for backend in present for line in summarise(backend, Path(folder))]
    if missing:
        lines.append(f"{BACKENDS['postgres']}: all skipped, {missing}")
    say("\n".join(["", "Summary", *(f"  {line}" for line in lines)]))
    return max(codes, default=0)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def run_side_by_side(backends: Sequence[str], folder: Path, arguments: Sequence[str]) -> list[int]:
    """Run pytest on each backend, all at once: where one waits for a process, another works.

    The first one's output is shown while it runs, the others' when they have ended.
    """
    running: list[subprocess.Popen[bytes]] = []
    try:
        for backend in backends:
            log = None if not running else (folder / f"{backend}.log").open("wb")
            running.append(start_pytest(backend, folder, arguments, len(backends), log))
        say("\nTests on " + ", and at once on ".join(BACKENDS[backend] for backend in backends))
        codes = [running[0].wait()] if running else []
        for backend, process in zip(backends[1:], running[1:], strict=True):
            codes.append(process.wait())
            say(f"\nTests on {BACKENDS[backend]}\n{(folder / f'{backend}.log').read_text()}")
        return codes
    finally:
        for process in running:
            if process.poll() is None:
                process.terminate()
                process.wait()


def start_pytest(
    backend: str, folder: Path, arguments: Sequence[str], share: int, log: IO[bytes] | None
) -> subprocess.Popen[bytes]:
    # One more than there are cores for it: many tests wait for processes that they started.
    workers = min((os.cpu_count() or 1) // share + 1, MOST_WORKERS)
    report = folder / f"{backend}.xml"
    command = [sys.executable, "-m", "pytest", "-n", str(workers), f"--junitxml={report}"]
    command += [f"-pno:{name}" for name in UNUSED_PLUGINS]
    environment = {**os.environ, "SI_BACKEND": backend}
    # Some hundred processes load the same modules: each would compile them anew.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return subprocess.Popen(
        [*command, *arguments], cwd=ROOT, env=environment, stdout=log, stderr=log
    )


def summarise(backend: str, folder: Path) -> list[str]:
    """Return a line for a JUnit report, and a line for each reason why tests were skipped."""
    title, report = BACKENDS[backend], folder / f"{backend}.xml"
    if not report.exists():
        return [f"{title}: stopped before any test ran"]
    cases = ElementTree.parse(report).getroot().findall(".//testcase")
    reasons = Counter(case[0].get("message") for case in cases if case.find("skipped") is not None)
    failed = sum(1 for c in cases if c.find("failure") is not None or c.find("error") is not None)
    skipped = sum(reasons.values())
    line = f"{title}: {len(cases) - failed - skipped} passed, {failed} failed, {skipped} skipped"
    return [line, *(f"  {count} skipped: {reason}" for reason, count in reasons.items())]


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
