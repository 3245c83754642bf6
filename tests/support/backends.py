"""Runs the tests on SQLite, and at once on throw-away PostgreSQL and Redis: `./dev test`.

A test that fails is run once more, by itself, when all others have ended. One that passes then is
unsteady: the summary says how it failed, and a few of them do not fail the run.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

from tests.support.environments import ROOT
from tests.support.outcomes import Outcomes
from tests.support.servers import missing_servers

BACKENDS = {"sqlite": "SQLite", "postgres": "PostgreSQL and Redis"}
MOST_WORKERS = 8
# They come with libraries that the tests use, and take a second to load.
UNUSED_PLUGINS = ("schemathesis", "faker", "anyio")
MOST_UNSTEADY = 3
# Where more fail, something is wrong with all of them, and once is enough to see it.
MOST_RUN_AGAIN = 20
TESTS_FAILED = 1  # pytest's code; others say that it was interrupted, or ran nothing
MOST_LINES = 40


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
        first = {backend: Outcomes.read(Path(folder, f"{backend}.json")) for backend in present}
        again = run_failed_again(first, Path(folder), arguments)
    if missing:
        lines.append(f"{BACKENDS['postgres']}: all skipped, {missing}")
    lines += [
        line for backend in again for line in describe(backend, first[backend], again[backend])
    ]
    say("\n".join(["", "Summary", *(f"  {line}" for line in lines)]))
    code = max(codes, default=0)
    return 0 if code == TESTS_FAILED and are_few_and_unsteady(first, again) else code


def run_failed_again(
    first: Mapping[str, Outcomes], folder: Path, arguments: Sequence[str]
) -> dict[str, Outcomes]:
    """Return how the tests that failed on each backend end, run by themselves."""
    failed = {backend: each.failed for backend, each in first.items() if each.failed}
    if not 0 < sum(map(len, failed.values())) <= MOST_RUN_AGAIN:
        return {}
    return {backend: run_alone(backend, failed[backend], folder, arguments) for backend in failed}


def run_alone(backend: str, ids: Iterable[str], folder: Path, arguments: Sequence[str]) -> Outcomes:
    say(f"\nOnce more on {BACKENDS[backend]}, by itself, what failed")
    only, report = folder / "only", folder / f"{backend}-again.json"
    only.write_text("\n".join(ids))
    options = ["-n", "0", f"--outcomes={report}", f"--only={only}"]
    subprocess.call(command_of(*arguments, *options), cwd=ROOT, env=environment_of(backend))
    return Outcomes.read(report)


def are_few_and_unsteady(first: Mapping[str, Outcomes], again: Mapping[str, Outcomes]) -> bool:
    """Return whether all that failed passed the second time, and there was little of it."""
    if any(each.not_loaded for each in first.values()):
        return False
    failed = {(backend, each) for backend in first for each in first[backend].failed}
    passed = {(backend, each) for backend in again for each in again[backend].passed}
    if failed <= passed and len(failed) > MOST_UNSTEADY:
        say(f"\n{len(failed)} tests are unsteady, and {MOST_UNSTEADY} may be.")
    return failed <= passed and 0 < len(failed) <= MOST_UNSTEADY


def describe(backend: str, first: Outcomes, again: Outcomes) -> Iterator[str]:
    """Yield each test that failed at first, what it said then, and how it ended when run again."""
    for test, text in first.failed.items():
        if test not in again.passed:
            yield f"{BACKENDS[backend]}: failed twice: {test}"
            continue
        yield f"{BACKENDS[backend]}: unsteady, passed when it was run again: {test}"
        lines = text.splitlines()
        yield from (f"    {line}" for line in (["…"] if lines[MOST_LINES:] else []))
        yield from (f"    {line}" for line in lines[-MOST_LINES:])


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
    reports = [f"--junitxml={folder / backend}.xml", f"--outcomes={folder / backend}.json"]
    command = command_of("-n", str(workers), *reports, *arguments)
    return subprocess.Popen(command, cwd=ROOT, env=environment_of(backend), stdout=log, stderr=log)


def command_of(*arguments: str) -> list[str]:
    unused = [f"-pno:{name}" for name in UNUSED_PLUGINS]
    return [sys.executable, "-m", "pytest", "-p", "tests.support.outcomes", *unused, *arguments]


def environment_of(backend: str) -> dict[str, str]:
    environment = {**os.environ, "SI_BACKEND": backend}
    # Some hundred processes load the same modules: each would compile them anew.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


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
