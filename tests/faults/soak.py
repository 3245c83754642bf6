"""A hub at work under faults of every sort: `./dev soak --minutes 5`.

Real processes: web, three workers, two beats, PostgreSQL and Redis of its own, a receiver that
counts each effect once per key. `--embedded` is the default installation, SQLite and the file
broker, with kills only. `--poison` is a step that kills its worker. `--beside REF` runs one of the
workers on the code of that commit.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import subprocess
import sys
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import redis

from tests.faults.chaos import Storm, Workers
from tests.faults.hub_under_test import (
    Server,
    counts_of,
    directory_for_data,
    receipts_of,
    running_postgres,
    running_receiver,
    running_redis,
    say,
)
from tests.faults.load import Load, ask, define, use_database_of
from tests.support.real_hub import BEAT, ROOT, Hub, running_hub

WORKERS = 3
LEASE_SECONDS = 5.0
AFTER_LEASE_SECONDS = 15.0
# Longer than that is a failure, and yet says more than an end in the middle.
PATIENCE_SECONDS = 180.0
NAME = "soak"
# The last part of the storm meets what is under way.
START_SHARE = 0.8


@dataclass
class Verdict:
    """What was asked for, what was found, and whether that is the same."""

    rows: list[tuple[bool, str, str]] = field(default_factory=list)

    def add(self, passed: bool, criterion: str, found: object) -> None:
        self.rows.append((passed, criterion, str(found)))

    def show(self) -> bool:
        say("")
        for passed, criterion, found in self.rows:
            say(f"{'pass' if passed else 'FAIL'}  {criterion:<58}{found}")
        return all(passed for passed, _, _ in self.rows)


@dataclass
class Ground:
    """The hub under test and what it stands on."""

    hub: Hub
    receiver: str
    postgres: Server | None
    redis: Server | None


@contextlib.contextmanager
def standing(options: argparse.Namespace) -> Iterator[Ground]:
    """A hub without its one worker: the soak has its own."""
    with ExitStack() as stack:
        directory = stack.enter_context(directory_for_data())
        surroundings = {
            "SERVICE_NAME": NAME,
            "ENGINE_LEASE_SECONDS": str(LEASE_SECONDS),
            "ENGINE_MAX_IN_FLIGHT": "50",
        }
        postgres = broker = None
        if not options.embedded:
            postgres, more = stack.enter_context(running_postgres())
            broker, also = stack.enter_context(running_redis())
            surroundings |= {**more, **also}
        receiver = stack.enter_context(running_receiver())
        hub = stack.enter_context(running_hub(directory, surroundings))
        # The bootstrap shows the first key, once, to whoever made the installation.
        os.truncate(hub.directory / "hub.log", 0)
        define(hub, receiver)
        hub.worker.terminate()
        hub.worker.wait()
        hub.processes.remove(hub.worker)
        use_database_of(hub)
        yield Ground(hub, receiver, postgres, broker)


@contextlib.contextmanager
def code_of(ref: str) -> Iterator[Path]:
    """The files of a commit in a folder of their own."""
    with directory_for_data() as directory:
        packed = subprocess.run(
            ["git", "archive", ref], cwd=ROOT, capture_output=True, check=True
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(packed)) as files:
            files.extractall(directory, filter="data")
        yield directory


# --- The soak ---


def soak(options: argparse.Namespace) -> bool:
    with ExitStack() as stack:
        ground = stack.enter_context(standing(options))
        roots = [ROOT] * WORKERS
        if options.beside:
            roots[-1] = stack.enter_context(code_of(options.beside))
            say(f"one worker on {options.beside}, {WORKERS - 1} on this code")
        ground.hub.run(BEAT)
        workers = Workers(ground.hub, roots)
        storm = brew(ground, workers, options)
        load = Load(ground.hub)
        began = time.monotonic()
        with telling(load, storm):
            load.start_many(options.executions, seconds=options.minutes * 60 * START_SHARE)
            while time.monotonic() < began + options.minutes * 60:
                time.sleep(0.2)
            calm_at = storm.end()
            wait_for_ends(load, calm_at + PATIENCE_SECONDS)
        took = time.monotonic() - calm_at
        show_timeline(storm)
        verdict = judge(ground, load)
        bound = LEASE_SECONDS + AFTER_LEASE_SECONDS
        text = f"{took:.1f} s; {os.cpu_count()} cores at load {os.getloadavg()[0]:.0f}"
        verdict.add(took <= bound, f"all ended within {bound:g} s of the last fault", text)
        return verdict.show()


def brew(ground: Ground, workers: Workers, options: argparse.Namespace) -> Storm:
    """Let the faults begin."""
    storm = Storm(workers, lease_seconds=LEASE_SECONDS, kill_seconds=options.kill_seconds)
    storm.every(options.kill_seconds, storm.kill_worker)
    if ground.postgres is None or ground.redis is None:
        return storm
    postgres, server = ground.postgres, ground.redis
    client = redis.Redis.from_url(ground.hub.environment["REDIS_URL"], socket_timeout=2)
    storm.every(13, storm.stop_worker)
    storm.every(23, lambda: storm.restart_database(postgres))
    storm.every(11, lambda: storm.trouble_broker(server, client))
    storm.every(0.05, lambda: storm.shuffle_messages(client, f"{NAME}:hub"))
    storm.every(1, lambda: storm.repeat_hint(some_steps))
    return storm


def some_steps() -> list[str]:
    """Rows in any state, the newest among them."""
    from django.db import connection

    from workflows.models import WorkflowStep

    try:
        newest = WorkflowStep.objects.order_by("-id").values_list("id", flat=True)[:200]
        return [str(pk) for pk in random.sample(list(newest), min(5, len(newest)))]
    except Exception:
        connection.close()
        return []


@contextlib.contextmanager
def telling(load: Load, storm: Storm) -> Iterator[None]:
    """A line every ten seconds."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(10):
            say(
                f"{time.monotonic() - storm.began:5.0f} s  {len(load.acknowledged)} accepted,"
                f" {count_open(load)} open, {storm.tell()}"
            )

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(70)


def count_open(load: Load) -> int:
    from workflows.models import ENDED, WorkflowExecution

    mine = WorkflowExecution.objects.filter(id__in=map(UUID, load.acknowledged))
    return len(load.acknowledged) - int(ask(mine.filter(status__in=ENDED).count))


def wait_for_ends(load: Load, deadline: float) -> bool:
    while count_open(load) > 0:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def show_timeline(storm: Storm) -> None:
    say("")
    for at, what in storm.timeline:
        if what != "worker killed":
            say(f"{at:7.1f} s  {what}")
    say(storm.tell())


# --- What must hold ---


def judge(ground: Ground, load: Load) -> Verdict:
    verdict = Verdict()
    statuses = ask(lambda: statuses_of(load.acknowledged))
    lost = len(load.acknowledged) - sum(statuses.values())
    verdict.add(not lost, "no accepted execution is lost", f"{lost} of {len(load.acknowledged)}")
    verdict.add(set(statuses) == {"COMPLETED"}, "every execution is COMPLETED", statuses)
    for line in ask(lambda: reasons_of(load.acknowledged)):
        say(f"  {line}")
    counts, expected = counts_of(ground.receiver), load.expected_effects()
    verdict.add(counts["effects"] == expected, "every effect counted once", counts["effects"])
    verdict.rows.append(
        (
            counts["careless_effects"] >= expected,
            "  a receiver that ignores the keys would have counted",
            f"{counts['careless_effects']} ({counts['deliveries']} deliveries)",
        )
    )
    code, told = check_invariants(ground, load)
    verdict.add(code == 0, "check_invariants, with keys, ids, logs and canaries", told[-1])
    for line in told[:-1][:20]:
        say(f"  {line}")
    return verdict


def statuses_of(ids: Sequence[str]) -> dict[str, int]:
    from django.db.models import Count

    from workflows.models import WorkflowExecution

    found = WorkflowExecution.objects.filter(pk__in=ids).order_by().values_list("status")
    return dict(found.annotate(Count("id")))


def reasons_of(ids: Sequence[str]) -> list[str]:
    """Why executions ended otherwise than well, each reason once, with their number."""
    from workflows.models import WorkflowExecution

    found = WorkflowExecution.objects.filter(pk__in=ids).exclude(status="COMPLETED")
    errors = found.values_list("errors", flat=True)
    reasons = Counter(f"{e.get('code')}: {e.get('message')}" for given in errors for e in given)
    return [f"{number} x {reason}" for reason, number in reasons.most_common(10)]


def check_invariants(ground: Ground, load: Load) -> tuple[int, list[str]]:
    """The operator's command, as a process of its own."""
    hub = ground.hub
    files = {
        "--acknowledged": "\n".join(load.acknowledged),
        "--receipts": "\n".join(json.dumps(r) for r in receipts_of(ground.receiver)),
        "--canaries": "\n".join([hub.key, hub.access["SERVICE_INTEGRATION_PASSWORD"]])
        if "SERVICE_INTEGRATION_PASSWORD" in hub.access
        else hub.key,
    }
    command = [
        sys.executable,
        "manage.py",
        "check_invariants",
        "--log",
        str(hub.directory / "hub.log"),
    ]
    for option, text in files.items():
        file = hub.directory / option.strip("-")
        file.write_text(text)
        command += [option, str(file)]
    result = subprocess.run(
        command, cwd=ROOT, env=hub.environment, capture_output=True, text=True, check=False
    )
    return result.returncode, (result.stdout + result.stderr).strip().splitlines() or ["nothing"]


# --- Poison ---


def poison(options: argparse.Namespace) -> bool:
    """The same load twice, the second time with steps that kill whoever calls them."""
    with standing(options) as ground:
        # Started again as ./dev run does, a second after the end.
        failpoint = {"FAILPOINT": "C4@poison"}
        workers = Workers(ground.hub, [ROOT] * 2, pause_seconds=1.0, **failpoint)
        storm = Storm(workers, lease_seconds=LEASE_SECONDS, kill_seconds=0)
        load, seconds = Load(ground.hub), options.minutes * 30
        load.start_many(20, seconds=10)  # everything is loaded and open
        wait_for_ends(load, time.monotonic() + 60)
        quiet = latencies_of(run_stretch(load, options, seconds))
        poisoned: list[str] = []
        mix = threading.Thread(target=add_poison, args=(ground, poisoned, seconds), daemon=True)
        mix.start()
        others = run_stretch(load, options, seconds)
        mix.join()
        until_settled(poisoned)
        beside = latencies_of(others)
        storm.end()
        verdict = judge(ground, load)
        statuses = ask(lambda: statuses_of(poisoned))
        verdict.add(statuses == {"NEEDS_REVIEW": len(poisoned)}, "poison NEEDS_REVIEW", statuses)
        deaths = ask(lambda: deaths_of(poisoned))
        verdict.add(set(deaths) == {3}, "after three deaths each", deaths)
        p95 = percentile(quiet, 0.95), percentile(beside, 0.95)
        text = f"{p95[0]:.2f} s quiet, {p95[1]:.2f} s beside poison; {workers.deaths} workers died"
        verdict.add(p95[1] < 2 * p95[0], "p95 of the others is under twice the quiet one", text)
        return verdict.show()


def run_stretch(load: Load, options: argparse.Namespace, seconds: float) -> list[str]:
    before = len(load.acknowledged)
    load.start_many(options.executions // 2, seconds=seconds)
    wait_for_ends(load, time.monotonic() + 60)
    return load.acknowledged[before:]


def add_poison(ground: Ground, poisoned: list[str], seconds: float) -> None:
    mine = Load(ground.hub)
    for _ in range(3):
        poisoned.append(mine.start("poisoned"))
        time.sleep(seconds / 4)


def until_settled(ids: Sequence[str]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and ask(lambda: statuses_of(ids)).keys() != {"NEEDS_REVIEW"}:
        time.sleep(0.5)


def deaths_of(ids: Sequence[str]) -> list[int]:
    from workflows.models import WorkflowStep

    return list(
        WorkflowStep.objects.filter(execution_id__in=map(UUID, ids)).values_list(
            "deaths", flat=True
        )
    )


def latencies_of(ids: Sequence[str]) -> list[float]:
    from workflows.models import WorkflowExecution

    found = WorkflowExecution.objects.filter(pk__in=ids).values_list("created_at", "completed_at")
    return [(end - begin).total_seconds() for begin, end in found if end is not None]


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long the storm lasts")
    parser.add_argument("--executions", type=int, default=1000)
    parser.add_argument("--kill-seconds", type=float, default=2.0, help="between two kills")
    parser.add_argument("--embedded", action="store_true", help="SQLite, file broker, kills only")
    parser.add_argument("--poison", action="store_true", help="a step that kills its worker")
    parser.add_argument("--beside", metavar="REF", help="one worker on the code of this commit")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    run: Callable[[Any], bool] = poison if options.poison else soak
    try:
        return 0 if run(options) else 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
