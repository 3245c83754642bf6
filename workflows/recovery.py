"""What becomes of steps whose worker is gone: found by their lease, given back or set aside."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from registry.calls.resolve import Target, resolve
from registry.exceptions import CallError
from workflows.definition import DefinitionError
from workflows.events import append_event
from workflows.models import (
    UNENDED,
    EventKind,
    ExecutionStatus,
    StepStatus,
    Worker,
    WorkflowExecution,
    WorkflowStep,
)
from workflows.versions import definition_of

logger = structlog.get_logger(__name__)

# A step that took this many workers with it is set aside for a person.
MOST_DEATHS = 3


def database_now() -> datetime:
    """The database's clock; with SQLite that is this machine's."""
    if connection.vendor != "postgresql":
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]


def recover_expired(*, limit: int = 500) -> list[str]:
    """Give back the steps whose lease ran out; return the ids of those that may be claimed again.

    A row whose worker died three times under it, and one whose action must not be sent twice,
    becomes NEEDS_REVIEW with its execution.
    """
    now = database_now()
    expired = WorkflowStep.objects.filter(status=StepStatus.RUNNING, lease_until__lt=now)
    rows = list(expired.order_by("lease_until").values_list("id", "fence", "execution_id")[:limit])
    freed = []
    for step_id, fence, execution_id in rows:
        if _give_back(step_id, fence, execution_id, now=now, died=True):
            freed.append(str(step_id))
    return freed


def overdue_executions(*, limit: int = 100) -> list[str]:
    """Executions that are still open past their deadline."""
    late = WorkflowExecution.objects.filter(
        deadline_at__lt=database_now(), status__in=UNENDED
    ).order_by("deadline_at")
    return [str(pk) for pk in late.values_list("pk", flat=True)[:limit]]


def release(held: Sequence[tuple[str, int]]) -> None:
    """Give back rows that this worker holds and will not finish; that counts as no death."""
    now = database_now()
    executions = dict(
        WorkflowStep.objects.filter(id__in=[step_id for step_id, _ in held]).values_list(
            "id", "execution_id"
        )
    )
    fences = {str(step_id): fence for step_id, fence in held}
    for step_id, execution_id in executions.items():
        _give_back(step_id, fences[str(step_id)], execution_id, now=now, died=False)


def _give_back(step_id: Any, fence: int, execution_id: Any, *, now: datetime, died: bool) -> bool:
    """Free one row if it is still held under this fence; True when it may be claimed again."""
    with transaction.atomic():
        execution = WorkflowExecution.objects.select_for_update().get(id=execution_id)
        step = WorkflowStep.objects.filter(
            Q(lease_until__lt=now) if died else Q(),
            id=step_id,
            fence=fence,
            status=StepStatus.RUNNING,
        ).first()
        if step is None:
            return False
        step.deaths += died
        reason = _reason_for_review(step, execution)
        if reason:
            _set_aside(step, execution, reason=reason, now=now)
            return False
        WorkflowStep.objects.filter(id=step_id, fence=fence).update(
            status=StepStatus.PENDING,
            wake_at=now,
            lease_owner="",
            lease_until=None,
            fence=F("fence") + 1,
            deaths=step.deaths,
            updated_at=now,
        )
        return True


def _reason_for_review(step: WorkflowStep, execution: WorkflowExecution) -> dict[str, str] | None:
    if step.deaths >= MOST_DEATHS:
        sentence = f"The worker died {step.deaths} times while it ran the step '{step.step_id}'."
        return {"code": "worker_died", "message": sentence}
    if not _may_be_sent_again(step, execution):
        sentence = (
            f"The worker was lost during the call of '{step.action}', which must not be sent twice."
            " Find out whether it happened, then retry or leave it."
        )
        return {"code": "outcome_unknown", "message": sentence}
    return None


def _may_be_sent_again(step: WorkflowStep, execution: WorkflowExecution) -> bool:
    try:
        assert execution.version is not None
        target = definition_of(execution.version).steps[step.step_id].target
        if target is None:
            return True
        return resolve(Target(target.kind, target.name), step.action).idempotent
    except (CallError, DefinitionError):
        # Not known any more: the next attempt will say so.
        return True


def _set_aside(
    step: WorkflowStep, execution: WorkflowExecution, *, reason: dict[str, str], now: datetime
) -> None:
    WorkflowStep.objects.filter(id=step.id).update(
        status=StepStatus.NEEDS_REVIEW,
        error=reason,
        lease_owner="",
        lease_until=None,
        fence=F("fence") + 1,
        deaths=step.deaths,
        updated_at=now,
    )
    execution.status = ExecutionStatus.NEEDS_REVIEW
    execution.errors = [{"step": step.step_id, "path": step.path, **reason}]
    append_event(execution, EventKind.NEEDS_REVIEW, actor="engine", payload={"step": step.step_id})
    execution.save(update_fields=("status", "errors", "last_sequence", "updated_at"))
    logger.warning("step_needs_review", execution=str(execution.id), step=step.step_id, **reason)


def note_sweep(worker: str) -> None:
    """Tell that a sweep ran, at most every five seconds, and forget workers that fell silent."""
    now = database_now()
    due = Q(swept_at__isnull=True) | Q(swept_at__lt=now - timedelta(seconds=5))
    if Worker.objects.filter(due, name=worker).update(swept_at=now):
        Worker.objects.filter(seen_at__lt=now - timedelta(hours=1)).delete()
