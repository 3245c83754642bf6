"""Small worker processes, forked from one that has loaded everything: a start costs milliseconds.

They run the hub's own engine and its own sweep, as a worker does, but get no messages: they hear of
what is due by looking, and of new rows by the task that a message would run.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from tests.support.servers import ending_with_this

LOOK_SECONDS = 0.05
# A sweep costs ten times a look.
LOOKS_PER_SWEEP = 5


def fork(action: Callable[[], None], failpoint: str = "") -> int:
    """Run an action in a child with an armed failpoint; the child's id."""
    from django.db import connections

    from core import failpoints

    # A connection belongs to one process.
    connections.close_all()
    end_with_parent = ending_with_this(signal.SIGKILL)
    pid = os.fork()
    if pid:
        return pid
    try:
        end_with_parent()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        failpoints.arm(failpoint)
        action()
    except BaseException as error:
        sys.stderr.write(f"child: {type(error).__name__}: {error}\n")
        os._exit(1)
    os._exit(0)


def work() -> None:
    """Be a worker until killed."""
    from workflows import tasks
    from workflows.engine.runtime import runtime

    runtime.quarantine = QuarantineHere()
    tasks.start_runtime()
    for number in itertools.count():
        if number % LOOKS_PER_SWEEP == 0:
            tasks.sweep()
        tasks.look(due_rows())
        time.sleep(LOOK_SECONDS)


class NoHints:
    """Sends no messages: sending takes a thread, and a process with threads must not fork."""

    def announce(self, step_ids: list[str]) -> None:
        """Leave it to the workers to look."""


def due_rows() -> list[str]:
    """What messages would name."""
    from django.utils import timezone

    from workflows.models import WorkflowStep

    due = WorkflowStep.objects.filter(
        status__in=("PENDING", "WAITING"), wake_at__lte=timezone.now()
    )
    return [str(pk) for pk in due.values_list("pk", flat=True)[:20]]


class QuarantineHere:
    """Runs quarantined rows in the same process, so that no second one has to start."""

    def __init__(self) -> None:
        self._engine: Any = None

    def start(self) -> None:
        from workflows.engine.worker import Engine

        if self._engine is None:
            self._engine = Engine(quarantine=True)
            self._engine.start()
        self._engine.look()

    def stop(self) -> None:
        """Nobody asks for it."""


def ended_by_kill(pid: int, *, seconds: float) -> bool | None:
    """Whether a child was killed (True) or left (False) by then; None if it still runs."""
    deadline = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        if time.monotonic() > deadline:
            return None
        time.sleep(0.01)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
