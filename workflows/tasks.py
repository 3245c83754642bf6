"""Hints and sweeps: a message says "look now", the database says what there is to do."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import structlog
from celery import shared_task
from celery.signals import worker_ready, worker_shutdown
from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from core.failpoints import failpoint
from core.gc_tuning import freeze_loaded_objects
from core.periodic_tasks import periodic_task
from workflows.decide import deadline_exceeded
from workflows.engine.lease_recovery import (
    has_due_quarantined,
    note_sweep,
    orphaned_children,
    overdue_executions,
    recover_expired,
    recover_orphaned,
)
from workflows.engine.quarantine import QuarantineProcess
from workflows.engine.ready_publisher import HintPublisher
from workflows.engine.ready_queue import ReadyListener
from workflows.services.executions.bulk_operations import has_open_bulk, work_off_bulk
from workflows.services.executions.concurrency_limit import dequeue_everywhere
from workflows.services.executions.control import cancel_orphan, fail_execution
from workflows.services.retention.purge import purge_executions, purge_schedule_runs
from workflows.services.schedules.runs import sweep_schedules
from workflows.services.webhooks.lifecycle import forget_deliveries

if TYPE_CHECKING:
    from workflows.engine.worker import Engine

logger = structlog.get_logger(__name__)

_engine: Engine | None = None
_suspects = QuarantineProcess()
_listener: ReadyListener | None = None


@shared_task(name="workflows.tasks.look")
def look(step_ids: list[str]) -> None:
    """Claim these steps, if nobody has yet."""
    failpoint("C2")
    if _engine is not None:
        _engine.look(step_ids)


@periodic_task("workflows.tasks.sweep")
def sweep() -> None:
    """Give back what dead workers held, and claim whatever is due. Any number may run at once."""
    recover_orphaned()
    recover_expired()
    for execution in overdue_executions():
        fail_execution(execution, deadline_exceeded())
    for child in orphaned_children():
        cancel_orphan(child)
    dequeue_everywhere()
    if has_open_bulk():
        _send(bulk)
    if _engine is not None and has_due_quarantined():
        _suspects.start()
    note_sweep(_engine.owner if _engine is not None else "")
    if _engine is not None:
        _engine.look()


@periodic_task("workflows.tasks.sweep_schedules")
def sweep_due_schedules() -> None:
    """Start what schedules have due. Any number may run at once."""
    sweep_schedules()


@periodic_task("workflows.tasks.bulk")
def bulk() -> None:
    """Work on bulk operations for a few seconds. Any number may run at once."""
    work_off_bulk()


@periodic_task("workflows.tasks.purge")
def purge() -> None:
    """Delete what retention does not keep, for a few seconds. Any number may run at once."""
    purge_executions()
    purge_schedule_runs()


@periodic_task("workflows.tasks.forget_deliveries")
def forget_old_deliveries() -> None:
    """Drop what is kept of messages to webhooks for long enough."""
    forget_deliveries(now=timezone.now())


def _send(task: Any) -> None:
    """Have some worker run a task; a lost message is made up for by the next sweep."""
    try:
        task.apply_async(expires=5, retry=False)
    except Exception as error:
        logger.warning("task_not_sent", task=task.name, error=str(error)[:300])


@worker_ready.connect
def start_engine(**_: Any) -> None:
    """The worker runs one engine beside its Celery threads."""
    # Imported here: beat and the web load this module too, and need no engine.
    from workflows.engine.worker import Engine

    global _engine, _listener
    if _engine is None:
        _engine = Engine()
        _engine.start()
        if settings.REDIS_URL:
            _listener = ReadyListener(_engine.look)
            _listener.start()
        freeze_loaded_objects()
        threading.Thread(target=_sweep_at_once, name="first-sweep", daemon=True).start()
        logger.info("engine_started", owner=_engine.owner)


def _sweep_at_once() -> None:
    """Give back what dead workers held without waiting for a message: this may be all that live."""
    try:
        sweep()
    except DatabaseError as error:
        logger.warning("first_sweep_failed", error=str(error)[:300])


@worker_shutdown.connect
def stop_engine(**_: Any) -> None:
    """Let calls finish within their grace and free the rest."""
    global _engine
    _suspects.stop()
    if _listener is not None:
        _listener.stop()
    if _engine is not None:
        engine, _engine = _engine, None
        engine.stop(settings.ENGINE_GRACE_SECONDS)
        logger.info("engine_stopped", owner=engine.owner)


def _send_look(step_ids: list[str]) -> None:
    look.apply_async((step_ids,), retry=False)


_hints = HintPublisher(_send_look)


def announce_steps(step_ids: list[str]) -> None:
    """Subscriber of `steps_ready`."""
    failpoint("C1")
    if _engine is not None:
        _engine.look(step_ids)
    else:
        _hints.announce(step_ids)
