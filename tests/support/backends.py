"""Runs the tests on SQLite, then on throw-away PostgreSQL and Redis: what `./dev test` does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from tests.support.environments import ROOT
from tests.support.servers import missing_servers

BACKENDS = {"sqlite": "SQLite", "postgres": "PostgreSQL and Redis"}
MOST_WORKERS = 8


def main(arguments: Sequence[str]) -> int:
    # An exception, so that the pytest that runs right now is ended too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    backends = [os.environ["SI_BACKEND"]] if os.environ.get("SI_BACKEND") else list(BACKENDS)
    if not set(backends) <= set(BACKENDS):
        sys.exit(f"dev: SI_BACKEND is {backends[0]!r}: it has to be {' or '.join(BACKENDS)}.")
    lines, worst = [], 0
    with tempfile.TemporaryDirectory(prefix="service-integration-") as reports:
        for backend in backends:
            missing = missing_servers() if backend == "postgres" else ""
            if missing:
                lines.append(f"{BACKENDS[backend]}: all skipped, {missing}")
                continue
            report = Path(reports) / f"{backend}.xml"
            worst = max(worst, run_pytest(backend, report, arguments))
            lines += summarise(BACKENDS[backend], report)
    say("\n".join(["", "Summary", *(f"  {line}" for line in lines)]))
    return worst


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def run_pytest(backend: str, report: Path, arguments: Sequence[str]) -> int:
    say(f"\nTests on {BACKENDS[backend]}")
    # One more than there are cores: many tests wait for processes that they started.
    workers = min((os.cpu_count() or 1) + 1, MOST_WORKERS)
    command = [sys.executable, "-m", "pytest", "-n", str(workers), f"--junitxml={report}"]
    environment = {**os.environ, "SI_BACKEND": backend}
    # Some hundred processes load the same modules: each would compile them anew.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return subprocess.call([*command, *arguments], cwd=ROOT, env=environment)


def summarise(title: str, report: Path) -> list[str]:
    """Return a line for a JUnit report, and a line for each reason why tests were skipped."""
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
