"""Periodic tasks of workers: a message says "look now", the database says what there is to do."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import structlog
from celery import shared_task
from celery.signals import worker_ready, worker_shutdown
from django.db import DatabaseError
from django.utils import timezone

from core.periodic_tasks import periodic_task
from workflows.decide import deadline_exceeded
from workflows.engine.lease_recovery import (
    note_sweep,
    orphaned_children,
    overdue_executions,
    recover_expired,
    recover_orphaned,
)
from workflows.engine.runtime import runtime
from workflows.engine.work_signs import has_scheduled_work, signs_of_work
from workflows.services.executions.bulk_operations import has_open_bulk, work_off_bulk
from workflows.services.executions.concurrency_limit import dequeue_everywhere
from workflows.services.executions.control import cancel_orphan, fail_execution
from workflows.services.retention.purge import purge_executions, purge_schedule_runs
from workflows.services.schedules.runs import sweep_schedules
from workflows.services.webhooks.lifecycle import forget_deliveries

logger = structlog.get_logger(__name__)


@shared_task(name="workflows.tasks.look")
def look(step_ids: list[str]) -> None:
    """Claim these steps: a message that a hub sent before it was upgraded; none does now."""
    runtime.look(step_ids)


@periodic_task("workflows.tasks.sweep")
def sweep() -> None:
    """Give back what dead workers held, and claim whatever is due. Any number may run at once."""
    seen = signs_of_work(runtime.owner)
    if {"held", "sweep"} & seen:
        recover_orphaned()
    if "held" in seen:
        recover_expired()
    _end_abandoned(seen)
    if "queued" in seen:
        dequeue_everywhere()
    if "bulk" in seen and has_open_bulk():
        _send(bulk)
    if "sweep" in seen:
        note_sweep(runtime.owner)
    if {"waiting", "dead"} & seen:
        runtime.look_around()


def _end_abandoned(seen: Collection[str]) -> None:
    if "overdue" in seen:
        for execution in overdue_executions():
            fail_execution(execution, deadline_exceeded())
    if "children" in seen:
        for child in orphaned_children():
            cancel_orphan(child)


@periodic_task("workflows.tasks.sweep_schedules")
def sweep_due_schedules() -> None:
    """Start what schedules have due. Any number may run at once."""
    if has_scheduled_work():
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


def sweep_at_once() -> None:
    """Give back what dead workers held without waiting for a message: this may be all that live."""
    try:
        sweep()
    except DatabaseError as error:
        logger.warning("first_sweep_failed", error=str(error)[:300])


@worker_ready.connect
def start_runtime(**_: Any) -> None:
    """Run one engine beside the Celery threads of this worker."""
    runtime.start(first=sweep_at_once)


@worker_shutdown.connect
def stop_runtime(**_: Any) -> None:
    """Stop it."""
    runtime.stop()
