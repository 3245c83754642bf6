"""Kills workers at every failpoint and looks whether anything is lost: `./dev failpoints`.

Each trial kills a process with SIGKILL at one place, lets a fresh one go on, and checks that the
execution ends as it should and that I1 to I7 hold of it. At the end the receiver's record is held
against the keys (I5).
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.faults import forked_worker
from tests.faults.hub_under_test import (
    Post,
    copy_database,
    define_everything,
    directory_for_data,
    receipts_of,
    running_postgres,
    running_receiver,
    running_redis,
    say,
    use_database,
    use_in_this_process,
)
from tests.faults.kinds import INPUT, KINDS
from tests.support.waiting import PATIENCE

IN_WEB = ("C0", "C1")
POINTS = tuple(f"C{number}" for number in range(11))
PLACES = {
    "C0": "before the API's commit",
    "C1": "committed and unpublished",
    "C2": "message taken",
    "C3": "before the claim",
    "C4": "claimed and not called",
    "C5": "called and no whole answer",
    "C6": "answered and uncommitted",
    "C7": "committed and not gone on",
    "C8": "followers not yet taken up",
    "C9": "in the sweep",
    "C10": "in finalising",
}
# What every kind ends as, whatever died.
ENDS = {kind: "FAILED" if kind == "failing" else "COMPLETED" for kind in KINDS}
# A call that no other call follows at once is followed by nothing that could be taken up.
WITHOUT_FOLLOWERS = ("any", "failing", "map", "transform", "wait", "event", "approval", "workflow")
MOST_NTH = 3
LEASE_SECONDS = "1.0"


@dataclass
class Tally:
    """What the trials of one place came to."""

    kills: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def add(self, other: Mapping[str, Any]) -> None:
        self.kills += other["kills"]
        self.kinds.update(other["kinds"])
        self.problems += other["problems"]


# --- One trial ---


def api_client() -> tuple[Any, dict[str, str]]:
    """Django's client of the real API, and the headers of the first key."""
    from django.conf import settings
    from django.test import Client

    lines = (settings.DATA_DIR / "access.env").read_text().splitlines()
    access = dict(line.split("=", 1) for line in lines if "=" in line)
    return Client(SERVER_NAME="localhost"), {"X-API-Key": access["SERVICE_INTEGRATION_API_KEY"]}


def post(path: str, body: dict[str, Any], **headers: str) -> Any:
    client, key = api_client()
    answer = client.post(
        f"/api{path}", json.dumps(body), "application/json", headers={**key, **headers}
    )
    assert answer.status_code < 300, f"{path}: {answer.status_code} {answer.content[:500]!r}"
    return answer.json()


def start_over_api(kind: str, key: str) -> None:
    headers = {"Idempotency-Key": key}
    post(f"/workflows/{kind}/execute", {"input_data": INPUT}, **headers)


def start_here(kind: str) -> str:
    from workflows import services

    start = services.Start(input=INPUT, context={})
    return str(services.start_execution(services.get_workflow(kind), start).execution.pk)


def trial(point: str, kind: str, chance: random.Random) -> tuple[list[str], list[str]]:
    """Kill one process at the place; the executions that were touched and what went wrong."""
    if point in IN_WEB:
        ids, problems = kill_web(point, kind)
    elif point == "C9":
        ids, problems = kill_sweep(kind)
    else:
        nth = 1 if point in ("C8", "C10") else chance.randint(1, MOST_NTH)
        ids, problems = kill_worker(f"{point}:{nth}", kind)
    return ids, problems or finish(ids, kind)


def kill_web(point: str, kind: str) -> tuple[list[str], list[str]]:
    """A start whose answer never comes, sent again with the same key."""
    from workflows.engine.ready_queue import ReadyPublisher
    from workflows.engine.runtime import runtime
    from workflows.models import WorkflowExecution
    from workflows.signalling.notifier import own_notifier

    key = f"trial-{time.time_ns()}-{os.getpid()}"

    def start_with_hints() -> None:
        runtime.announcer = ReadyPublisher(own_notifier)
        start_over_api(kind, key)

    pid = forked_worker.fork(start_with_hints, point)
    if not forked_worker.ended_by_kill(pid, seconds=PATIENCE):
        return [], [f"{point} {kind}: the web process was not killed"]
    found = WorkflowExecution.objects.filter(idempotency_key=key)
    problems = []
    if found.count() != (0 if point == "C0" else 1):
        problems.append(f"{point} {kind}: {found.count()} executions before the second try")
    start_over_api(kind, key)
    ids = [str(pk) for pk in found.values_list("pk", flat=True)]
    if len(ids) != 1:
        problems.append(f"{point} {kind}: {len(ids)} executions with one key")
    return ids, problems


def kill_worker(failpoint: str, kind: str) -> tuple[list[str], list[str]]:
    """A worker that dies; where an execution ends before, it gets another."""
    ids = [start_here(kind)]
    pid = forked_worker.fork(forked_worker.work, failpoint)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        ended = forked_worker.ended_by_kill(pid, seconds=0.03)
        if ended is not None:
            return ids, [] if ended else [f"{failpoint} {kind}: the worker left by itself"]
        if has_ended(ids[-1]):
            ids.append(start_here(kind))
        tell_waiting(ids)
    forked_worker.kill(pid)
    return ids, [f"{failpoint} {kind}: the worker never came there: {rows_of(ids)}"]


def kill_sweep(kind: str) -> tuple[list[str], list[str]]:
    """A worker dies at a call, and the next one while it gives that call back."""
    ids, problems = kill_worker("C4:1", kind)
    if problems:
        return ids, problems
    pid = forked_worker.fork(forked_worker.work, "C9")
    if not forked_worker.ended_by_kill(pid, seconds=PATIENCE):
        forked_worker.kill(pid)
        return ids, [f"C9 {kind}: the worker did not sweep"]
    return ids, []


def finish(ids: Sequence[str], kind: str) -> list[str]:
    """Let a fresh worker go on, and say what is wrong with how it ends."""
    pid = forked_worker.fork(forked_worker.work)
    try:
        deadline = time.monotonic() + PATIENCE
        while not all(map(has_ended, ids)) and time.monotonic() < deadline:
            tell_waiting(ids)
            time.sleep(0.03)
    finally:
        forked_worker.kill(pid)
    return [*wrong_ends(ids, kind), *violations(ids)]


def has_ended(execution: str) -> bool:
    from workflows.models import ENDED, WorkflowExecution

    return WorkflowExecution.objects.filter(pk=execution, status__in=ENDED).exists()


def tell_waiting(ids: Sequence[str]) -> None:
    """Be the person and the program that executions wait for."""
    from core.exceptions import Conflict
    from workflows import services
    from workflows.models import WorkflowStep

    waiting = WorkflowStep.objects.filter(
        execution_id__in=map(UUID, ids), status="WAITING", step_id__in=("hear", "ask")
    )
    for execution, step in waiting.values_list("execution_id", "step_id"):
        try:
            if step == "hear":
                services.signal_execution(execution, name="go")
            else:
                services.decide_approval(execution, step, approve=True, actor="somebody")
        except Conflict:
            continue  # told already, and not yet taken up


def rows_of(ids: Sequence[str]) -> list[tuple[Any, ...]]:
    from workflows.models import WorkflowStep

    rows = WorkflowStep.objects.filter(execution_id__in=map(UUID, ids)).order_by("id")
    return list(rows.values_list("path", "attempt", "status", "deaths"))


def wrong_ends(ids: Sequence[str], kind: str) -> list[str]:
    from workflows.models import WorkflowExecution

    found = WorkflowExecution.objects.filter(pk__in=ids).exclude(status=ENDS[kind])
    return [f"{kind} {e.pk}: {e.status} {e.errors}" for e in found]


def violations(ids: Sequence[str]) -> list[str]:
    """What I1 to I7 say of these executions and of their children."""
    from core.db.clock import database_now
    from workflows.invariants import CHECKS, Page
    from workflows.models import WorkflowExecution

    children = WorkflowExecution.objects.filter(parent_step__execution_id__in=map(UUID, ids))
    page = Page([*ids, *children.values_list("pk", flat=True)], database_now())
    return [str(violation) for check in CHECKS.values() for violation in check(page)]


# --- Many trials ---


def run_lane(point: str, kinds: Sequence[str], *, times: int, seed: int) -> dict[str, Any]:
    """So many trials of one place, one after the other; what they came to."""
    chance = random.Random(seed)
    if point == "C8":
        kinds = [kind for kind in kinds if kind not in WITHOUT_FOLLOWERS] or kinds
    tally = Tally()
    for kind in itertools.islice(itertools.cycle(kinds), seed, seed + times):
        _, problems = trial(point, kind, chance)
        tally.kills += 1
        tally.kinds[kind] += 1
        tally.problems += [f"{point} {problem}" for problem in problems]
    return {"kills": tally.kills, "kinds": tally.kinds, "problems": tally.problems}


def run_point(point: str, kinds: Sequence[str], times: int, lanes: int) -> Tally:
    """The trials of one place, spread over processes."""
    shares = [times // lanes + (n < times % lanes) for n in range(lanes)]
    tally = Tally()
    # Each lane has a database of its own: a worker takes whatever is due.
    databases = [copy_database(number) for number in range(lanes)]
    with tempfile.TemporaryDirectory() as directory:
        files = [Path(directory) / str(n) for n in range(lanes)]
        seeds = itertools.accumulate([0, *shares[:-1]])
        pids = [
            forked_worker.fork(
                lane_writing(
                    file, database, partial(run_lane, point, kinds, times=share, seed=seed)
                )
            )
            for file, database, share, seed in zip(files, databases, shares, seeds, strict=True)
        ]
        for pid, file in zip(pids, files, strict=True):
            os.waitpid(pid, 0)
            if file.exists():
                tally.add(json.loads(file.read_text()))
            else:
                tally.problems.append(f"{point}: a lane broke off")
    return tally


def lane_writing(
    file: Path, database: str, trials: Callable[[], dict[str, Any]]
) -> Callable[[], None]:
    from workflows.engine.runtime import runtime

    def lane() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        runtime.announcer = forked_worker.NoHints()
        use_database(database)
        file.write_text(json.dumps(trials()))

    return lane


def run(options: argparse.Namespace) -> bool:
    """All trials; whether all was well."""
    tallies: dict[str, Tally] = {}
    with ExitStack() as stack:
        directory = stack.enter_context(directory_for_data())
        surroundings = {"ENGINE_LEASE_SECONDS": LEASE_SECONDS, "ENGINE_MAX_IN_FLIGHT": "50"}
        if not options.embedded:
            surroundings |= stack.enter_context(running_postgres())[1]
            surroundings |= stack.enter_context(running_redis())[1]
        receiver = stack.enter_context(running_receiver())
        use_in_this_process(directory, surroundings)
        prepare(post, receiver)
        for point in options.points:
            began = time.monotonic()
            tallies[point] = run_point(point, options.kinds, options.times, options.lanes)
            tell_point(point, tallies[point], time.monotonic() - began)
        keys = check_keys(receiver)
    say("")
    say(f"keys of {keys['receipts']} deliveries: {len(keys['problems'])} violations of I5")
    for problem in keys["problems"][:20]:
        say(f"  {problem}")
    total = sum(t.kills for t in tallies.values())
    bad = sum(len(t.problems) for t in tallies.values()) + len(keys["problems"])
    say(f"{total} kills, {bad} problems")
    return not bad


def prepare(post: Post, receiver: str) -> None:

    from django.core.management import call_command

    call_command("bootstrap", stdout=StringIO())
    # Loaded before the first fork, so that no child has to.
    import workflows.engine.worker
    import workflows.invariants  # noqa: F401

    define_everything(post, receiver)
    gc.freeze()  # or each child would copy what the collector touches


def check_keys(receiver: str) -> dict[str, Any]:
    from workflows.invariants import check_receipts

    receipts = receipts_of(receiver)
    return {"receipts": len(receipts), "problems": [str(v) for v in check_receipts(receipts)]}


def tell_point(point: str, tally: Tally, seconds: float) -> None:
    say(
        f"{point:<4}{PLACES[point]:<30}{tally.kills:>5} kills over {len(tally.kinds)} kinds,"
        f" {len(tally.problems)} problems, {seconds:.0f} s"
    )
    for problem in tally.problems[:10]:
        say(f"       {problem}")


def names(known: Sequence[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        wanted = text.split(",")
        if unknown := sorted(set(wanted) - set(known)):
            raise argparse.ArgumentTypeError(f"{unknown[0]} is none of {', '.join(known)}")
        return wanted

    return parse


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev failpoints", description=__doc__)
    parser.add_argument("--times", type=int, default=200, help="kills at each place")
    parser.add_argument("--points", type=names(POINTS), default=list(POINTS), help="such as C0,C4")
    parser.add_argument("--kinds", type=names(list(KINDS)), default=list(KINDS))
    parser.add_argument("--lanes", type=int, default=2, help="trials at once")
    parser.add_argument("--embedded", action="store_true", help="on SQLite and the file broker")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    try:
        return 0 if run(parse(arguments)) else 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
