"""Hints and sweeps: a message says "look now", the database says what there is to do."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING, Any

import structlog
from celery import shared_task
from celery.signals import worker_ready, worker_shutdown
from django.conf import settings
from django.db import connections

from registry.exceptions import WorkflowError
from workflows.recovery import note_sweep, overdue_executions, recover_expired
from workflows.services.control import fail_execution

if TYPE_CHECKING:
    from workflows.engine import Engine

logger = structlog.get_logger(__name__)

# A burst of starts becomes one message per pause.
PAUSE_SECONDS = 0.003
LARGEST_HINT = 200

_engine: Engine | None = None


@shared_task(name="workflows.tasks.look")
def look(step_ids: list[str]) -> None:
    """Claim these steps, if nobody has yet."""
    if _engine is not None:
        _engine.look(step_ids)


@shared_task(name="workflows.tasks.sweep")
def sweep() -> None:
    """Give back what dead workers held, and claim whatever is due. Any number may run at once."""
    try:
        recover_expired()
        for execution in overdue_executions():
            fail_execution(
                execution,
                WorkflowError("It took longer than its timeout.", code="deadline_exceeded"),
            )
        note_sweep(_engine.owner if _engine is not None else "")
    finally:
        connections.close_all()
    if _engine is not None:
        _engine.look()


@worker_ready.connect
def start_engine(**_: Any) -> None:
    """The worker runs one engine beside its Celery threads."""
    # Imported here: beat and the web load this module too, and need no engine.
    from workflows.engine import Engine

    global _engine
    if _engine is None:
        _engine = Engine()
        _engine.start()
        logger.info("engine_started", owner=_engine.owner)


@worker_shutdown.connect
def stop_engine(**_: Any) -> None:
    """Let calls finish within their grace and free the rest."""
    global _engine
    if _engine is not None:
        engine, _engine = _engine, None
        engine.stop(settings.ENGINE_GRACE_SECONDS)
        logger.info("engine_stopped", owner=engine.owner)


class HintPublisher:
    """Sends hints from a thread of its own, so that no caller waits for the broker.

    A hint that cannot be sent is dropped: the sweep finds the rows.
    """

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def announce(self, step_ids: list[str]) -> None:
        """Tell some worker that these steps are ready."""
        for step_id in step_ids:
            self._waiting.put(step_id)
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="hints", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            step_ids = [self._waiting.get()]
            while len(step_ids) < LARGEST_HINT and not self._waiting.empty():
                step_ids.append(self._waiting.get_nowait())
            self._send(step_ids)
            time.sleep(PAUSE_SECONDS)

    def _send(self, step_ids: list[str]) -> None:
        try:
            look.apply_async((step_ids,), retry=False)
        except Exception as error:
            logger.warning("hint_dropped", error=str(error)[:300], steps=len(step_ids))


_hints = HintPublisher()


def announce_steps(step_ids: list[str]) -> None:
    """Subscriber of `steps_ready`."""
    if _engine is not None:
        _engine.look(step_ids)
    else:
        _hints.announce(step_ids)
