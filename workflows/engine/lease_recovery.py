"""Recovers steps whose worker is gone: found by their lease, given back or left to a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import connection, transaction
from django.db.models import F, Q, QuerySet

from core.db.clock import database_now
from core.exceptions import IntegrationError, NotFound
from core.failpoints import failpoint
from registry.calls.targets.resolver import CallTarget, resolve
from registry.exceptions import CallError
from registry.integrations.execution import find_integration, may_be_repeated
from workflows.compensation import mark_for_review
from workflows.decide import call_at
from workflows.definition import StepTarget
from workflows.definition_cache import known_definition
from workflows.engine.worker_identity import is_gone
from workflows.models import (
    GOING_ON,
    UNDER_DEADLINE,
    StepStatus,
    Worker,
    WorkflowExecution,
    WorkflowStep,
)

logger = structlog.get_logger(__name__)

# A step that took this many workers with it is a dead letter: a person decides on it.
MAX_DEATHS = 3
MOST_WORKERS = 1000
GIVEN_BACK_AT_ONCE = 100
NOTED_EACH = timedelta(seconds=5)
# A row that somebody holds or held: its id, its fence, and its execution.
_Held = tuple[Any, int, Any]
# The states stand in the text: SQLite uses a narrow index only for what it can read there.
_STOPPABLE = ", ".join(f"'{status}'" for status in UNDER_DEADLINE)
_OVERDUE = (
    "SELECT id FROM workflow_execution WHERE deadline_at < %s"  # noqa: S608
    f" AND status IN ({_STOPPABLE}) ORDER BY deadline_at LIMIT %s"
)
_ORPHANS = (
    "SELECT c.id FROM workflow_execution c JOIN workflow_step s ON s.id = c.parent_step_id"  # noqa: S608
    f" WHERE c.parent_step_id IS NOT NULL AND c.status IN ({_STOPPABLE})"
    " AND s.status NOT IN ('PENDING', 'RUNNING', 'WAITING', 'NEEDS_REVIEW') LIMIT %s"
)


def recover_expired(*, limit: int = 500) -> list[str]:
    """Give back the steps whose lease ran out; return the ids of those that may be claimed again.

    A row whose worker died three times under it, and one whose action must not be sent twice,
    becomes NEEDS_REVIEW with its execution.
    """
    now = database_now()
    expired = WorkflowStep.objects.filter(status=StepStatus.RUNNING, lease_until__lt=now)
    return _recover(expired.order_by("lease_until")[:limit], Q(lease_until__lt=now), now=now)


def recover_orphaned(*, limit: int = 500) -> list[str]:
    """As `recover_expired`, for what processes of this machine held that are gone: at once."""
    now = database_now()
    freed: list[str] = []
    for name in Worker.objects.values_list("name", flat=True)[:MOST_WORKERS]:
        if not is_gone(name):
            continue
        held = WorkflowStep.objects.filter(status=StepStatus.RUNNING, lease_owner=name)
        freed += _recover(held[:limit], Q(lease_owner=name), now=now)
        if not held.exists():
            Worker.objects.filter(name=name).delete()
    return freed


def _recover(rows: QuerySet[WorkflowStep], still: Q, *, now: datetime) -> list[str]:
    """Give back rows whose holder died, each if `still` holds of it by then.

    What somebody else holds right now, perhaps another sweep, is left to the next sweep.
    """
    freed, repeatable = [], _Repeatable()
    for held in _parts(list(rows.values_list("id", "fence", "execution_id"))):
        freed += _give_back(held, repeatable, now=now, still=still, died=True)
    return freed


def _parts(held: Sequence[_Held]) -> Iterator[Sequence[_Held]]:
    return (held[i : i + GIVEN_BACK_AT_ONCE] for i in range(0, len(held), GIVEN_BACK_AT_ONCE))


def has_due_quarantined() -> bool:
    """Return whether there are rows to run whose worker died under them."""
    return WorkflowStep.objects.filter(
        deaths__gt=0,
        status__in=(StepStatus.PENDING, StepStatus.WAITING),
        wake_at__lte=database_now(),
        execution__status__in=GOING_ON,
    ).exists()


def overdue_executions(*, limit: int = 100) -> list[str]:
    """Return executions that are still open past their deadline."""
    now = connection.ops.adapt_datetimefield_value(database_now())
    return [str(row.pk) for row in WorkflowExecution.objects.raw(_OVERDUE, [now, limit])]


def orphaned_children(*, limit: int = 100) -> list[str]:
    """Return child executions that go on though no step waits for them.

    Whoever ends their parent's step cancels them, after its commit: it may die before.
    """
    return [str(row.pk) for row in WorkflowExecution.objects.raw(_ORPHANS, [limit])]


def release(held: Sequence[tuple[str, int]]) -> None:
    """Give back rows that this worker holds and will not finish; that counts as no death."""
    fences = dict(held)
    rows = WorkflowStep.objects.filter(id__in=fences).values_list("id", "execution_id")
    ours = [(step_id, fences[str(step_id)], execution_id) for step_id, execution_id in rows]
    repeatable = _Repeatable()
    for part in _parts(ours):
        _give_back(part, repeatable, now=database_now(), still=Q(), died=False)


def _give_back(
    held: Sequence[_Held], repeatable: _Repeatable, *, now: datetime, still: Q, died: bool
) -> list[str]:
    """Free rows, each given with fence and execution, if they are still held under that fence.

    Returns the ids of those that may be claimed again. A worker may die with a thousand calls on
    their way: it must not take a transaction for each to give them back.
    """
    fences = {step_id: fence for step_id, fence, _ in held}
    with transaction.atomic():
        # Executions first, in the order of their ids, as every writer locks them.
        executions = (
            WorkflowExecution.objects.filter(id__in={execution for *_, execution in held})
            .order_by("id")
            .defer("input", "context", "output")
            .select_for_update(skip_locked=died, no_key=True)
            .in_bulk()
        )
        rows = WorkflowStep.objects.filter(
            still, id__in=fences, execution_id__in=executions, status=StepStatus.RUNNING
        )
        freed: list[Any] = []
        rows = rows.order_by("id").defer("input", "output")
        # A renewal of their leases, which locks no execution, waits for this.
        for step in rows.select_for_update(skip_locked=died, no_key=True):
            if step.fence != fences[step.id]:
                continue
            step.deaths += died
            execution = executions[step.execution_id]
            may_be_sent_again = repeatable.holds_of(step, execution)
            if reason := _reason_for_review(step, may_be_sent_again=may_be_sent_again):
                _leave_to_review(step, execution, reason=reason, now=now)
            else:
                freed.append(step.id)
        if freed:
            _free(freed, now=now, died=died)
            failpoint("C9")
    return [str(step_id) for step_id in freed]


def _free(step_ids: Sequence[Any], *, now: datetime, died: bool) -> None:
    WorkflowStep.objects.filter(id__in=step_ids).update(
        status=StepStatus.PENDING,
        wake_at=now,
        lease_owner="",
        lease_until=None,
        fence=F("fence") + 1,
        deaths=F("deaths") + int(died),
        updated_at=now,
    )


def _reason_for_review(step: WorkflowStep, *, may_be_sent_again: bool) -> dict[str, str] | None:
    if step.deaths >= MAX_DEATHS:
        sentence = f"The worker died {step.deaths} times while it ran the step '{step.step_id}'."
        return {"code": "worker_died", "message": sentence}
    if not may_be_sent_again:
        sentence = (
            f"The worker was lost during the call of '{step.action}', which must not be sent twice."
            " Find out whether it happened, then retry or leave it."
        )
        return {"code": "outcome_unknown", "message": sentence}
    return None


class _Repeatable:
    """Tells whether what a step calls may be called again; looked up once in a sweep."""

    def __init__(self) -> None:
        self._answers: dict[tuple[StepTarget, str], bool] = {}

    def holds_of(self, step: WorkflowStep, execution: WorkflowExecution) -> bool:
        definition = known_definition(execution.version_id)
        called = call_at(definition, step.step_id, step.path) if definition else None
        if called is None or called.target is None:
            return True  # it calls nothing, or the next attempt will say what is wrong
        key = (called.target, step.action)
        if key not in self._answers:
            self._answers[key] = _may_be_sent_again(*key)
        return self._answers[key]


def _may_be_sent_again(target: StepTarget, action: str) -> bool:
    try:
        if target.kind == "integration":
            return may_be_repeated(find_integration(target.name, target.id))
        if target.kind == "connection":
            return True  # the Idempotency-Key is the same
        return resolve(CallTarget(target.kind, target.name, target.id), action).idempotent
    except (CallError, NotFound):
        # Not known any more: the next attempt will say so.
        return True


def _leave_to_review(
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
    mark_for_review(execution, {"step": step.step_id, "path": step.path, **reason})
    execution.save(update_fields=("status", "errors", "last_sequence", "updated_at"))
    logger.warning("step_needs_review", execution=str(execution.id), step=step.step_id, **reason)


def mark_unreadable_for_review(step_id: str, fence: int, error: IntegrationError) -> None:
    """Leave a held row to a person, because how to go on cannot be read any more."""
    now = database_now()
    with transaction.atomic():
        execution = WorkflowExecution.objects.select_for_update().get(steps__id=step_id)
        step = WorkflowStep.objects.filter(
            id=step_id, fence=fence, status=StepStatus.RUNNING
        ).first()
        if step is not None:
            reason = {"code": error.code, "message": error.message}
            _leave_to_review(step, execution, reason=reason, now=now)


def note_sweep(worker: str) -> None:
    """Tell that a sweep ran, at most every five seconds, and forget workers that fell silent."""
    now = database_now()
    due = Q(swept_at__isnull=True) | Q(swept_at__lt=now - NOTED_EACH)
    if Worker.objects.filter(due, name=worker).update(swept_at=now):
        Worker.objects.filter(seen_at__lt=now - timedelta(hours=1)).delete()
