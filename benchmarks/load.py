"""Measures the pace and the size of the engine under load: `./dev bench load`.

Steps per second beside few and many finished executions, with few and many executions under way,
and the memory of one worker process while thousands of its steps wait for a slow service.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from benchmarks.testbed import hub as testbed
from benchmarks.testbed.chain import PAYLOAD, STEPS
from benchmarks.testbed.finished_executions import fill_finished, remove_finished
from benchmarks.testbed.printing import say
from benchmarks.testbed.report import markdown_table
from benchmarks.testbed.servers import start_durable
from tests.support.real_hub import Hub
from tests.support.servers import missing_servers

PARTS = ("finished", "open", "memory")
WAIT_SECONDS = 10
MEMORY_GOAL_MB = 300


def main(arguments: Sequence[str] | None = None) -> int:
    options = read_options(arguments)
    if missing := missing_servers():
        say(f"PostgreSQL and Redis are needed: {missing}.")
        return 1
    with start_durable() as durable:
        surroundings = durable.environment()
        # One worker may hold them all, so that what is under way is what was asked for.
        surroundings["ENGINE_MAX_IN_FLIGHT"] = str(max(options.waiting, options.many_open))
        with testbed.running_testbed(surroundings) as (hub, workers):
            testbed.start_echo(hub)
            testbed.define(hub, "echo", testbed.ECHO)
            testbed.wait_for_all(hub, testbed.post_executions(hub, "echo", 20, 4))
            if "finished" in options.parts:
                measure_finished(hub, options)
            if "open" in options.parts:
                measure_open(hub, options)
            if "memory" in options.parts:
                measure_memory(hub, workers, options)
    return 0


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench load", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--executions", type=int, default=500, help="of a stretch, 5 calls each")
    parser.add_argument("--few-finished", type=int, default=100)
    parser.add_argument("--many-finished", type=int, default=100_000)
    parser.add_argument("--few-open", type=int, default=10)
    parser.add_argument("--many-open", type=int, default=2_000)
    parser.add_argument("--waiting", type=int, default=2_000, help="steps that wait at once")
    return parser.parse_args(arguments)


# --- Finished executions ---


def measure_finished(hub: Hub, options: argparse.Namespace) -> None:
    """Measure with few, many, few ... in turn, so that what slows the machine slows both."""
    from workflows import services

    workflow = services.get_workflow("echo")
    speeds: dict[int, list[float]] = {options.few_finished: [], options.many_finished: []}
    for _ in range(options.rounds):
        for count, measured in speeds.items():
            fill_finished(workflow, first=1, last=count)
            measured.append(testbed.backlog_speed(hub, "echo", options.executions))
            remove_finished()
    print_flatness("finished executions in the tables", speeds)


# --- Executions under way ---


def measure_open(hub: Hub, options: argparse.Namespace) -> None:
    speeds: dict[int, list[float]] = {options.few_open: [], options.many_open: []}
    for _ in range(options.rounds):
        for count, measured in speeds.items():
            measured.append(speed_of_open(hub, count, max(options.executions, 2 * count)))
    print_flatness("executions under way", speeds)


def speed_of_open(hub: Hub, width: int, count: int) -> float:
    """Return the steps per second while so many are kept under way: one ends, one begins."""
    from django.db import transaction

    ends = testbed.EndEvents(hub)
    began, going = time.time(), set[str]()
    started: list[str] = []
    while len(started) < count:
        missing = min(width - len(going), count - len(started))
        with transaction.atomic():
            ids = testbed.insert_executions("echo", missing)
        started += ids
        going |= set(ids)
        going -= ends.wait(going)
    return count * STEPS / (testbed.wait_for_all(hub, started) - began)


def print_flatness(subject: str, speeds: dict[int, list[float]]) -> None:
    few, many = speeds
    ratio = median(b / a for a, b in zip(speeds[few], speeds[many], strict=True))
    rows = [[f"{count:,}", f"{median(measured):,.0f}"] for count, measured in speeds.items()]
    say("\n".join(markdown_table([subject, "steps per second"], rows)))
    say(f"\nWith {many:,} it has {ratio:.2f} x the pace of {few:,} (median of the rounds).\n")


# --- Memory ---


def measure_memory(hub: Hub, workers: Sequence[int], options: argparse.Namespace) -> None:
    """Leave one worker, and let so many of its steps wait for the slow service at once."""
    gone = [process for process in hub.processes if process.pid in workers[1:]]
    for process in gone:
        process.terminate()
        process.wait(30)
    start_slow(hub)
    before = resident_megabytes(workers[0])
    ids = start_waiting(options.waiting)
    highest = most_at_once = 0
    for waiting in steps_waiting(ids):
        most_at_once = max(most_at_once, waiting)
        highest = max(highest, resident_megabytes(workers[0]))
    rows = [
        ["steps waiting at once, at most", f"{most_at_once:,}"],
        ["MB of the worker before", f"{before:,}"],
        ["MB of the worker then, at most", f"{highest:,}"],
        ["MB that it should stay under", f"{MEMORY_GOAL_MB:,}"],
    ]
    say("\n".join(markdown_table([f"a service that takes {WAIT_SECONDS} s", ""], rows)))


def start_slow(hub: Hub) -> None:
    testbed.start_service(hub, "slow", "wait", WAIT_SECONDS)
    step = {"id": "wait", "service": "slow", "action": "wait", "input": PAYLOAD, "timeout": 120}
    hub.post("/workflows", {"name": "slow", "steps": [step]})


def start_waiting(count: int) -> list[str]:
    from django.db import transaction

    with transaction.atomic():
        return testbed.insert_executions("slow", count)


def steps_waiting(ids: Sequence[str]) -> Iterator[int]:
    """Yield how many of them wait for the service, again and again until all have ended."""
    from workflows.models import WorkflowExecution, WorkflowStep

    deadline = time.monotonic() + testbed.PATIENCE_SECONDS
    executions = WorkflowExecution.objects.filter(id__in=ids)
    while executions.filter(completed_at__isnull=True).exists():
        if time.monotonic() > deadline:
            raise RuntimeError("the slow steps did not end")
        yield WorkflowStep.objects.filter(execution__in=executions, status="RUNNING").count()
        time.sleep(0.2)
    failed = executions.exclude(status="COMPLETED").count()
    if failed:
        raise RuntimeError(f"{failed} of {len(ids)} did not complete")


def resident_megabytes(pid: int) -> int:
    """Return the memory of a process that is its own or shared, in MB of 2^20 bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) // 1024
    return 0


if __name__ == "__main__":
    sys.exit(main())
