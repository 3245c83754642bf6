"""Compensates what an execution did: one step after the other, the last that completed first.

Every function takes an execution that its caller has locked, and changes what its caller saves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from workflows.decide import Row, compensable_steps, compensation_error, first_attempt
from workflows.definition import Definition
from workflows.definition.step_paths import compensated_path, compensation_path, is_compensation
from workflows.history.events import append_event
from workflows.models import (
    EventKind,
    ExecutionStatus,
    StepStatus,
    WorkflowExecution,
    WorkflowStep,
)

# Rows of steps that came to something, also where they then failed to lead on to another.
DONE = Q(status=StepStatus.COMPLETED) | Q(status=StepStatus.FAILED, output__isnull=False)
_ROW_FIELDS = ("id", "step_id", "path", "name", "service", "action", "wake_at")


def begin_compensation(
    execution: WorkflowExecution,
    definition: Definition,
    *,
    ends_as: ExecutionStatus,
    now: datetime,
    actor: str = "engine",
    reason: str = "",
) -> str | None:
    """Compensate before ending so; return the id of the first row, or None without any.

    The steps are stopped already, and `errors` of the execution set.
    """
    first = compensate_next(execution, definition, now=now)
    if first is None:
        return None
    execution.status = ExecutionStatus.COMPENSATING
    execution.ends_as = ends_as
    payload: dict[str, Any] = {"ends_as": str(ends_as)}
    if reason:
        payload["reason"] = reason
    if execution.errors:
        payload["errors"] = execution.errors
    append_event(execution, EventKind.COMPENSATING, actor=actor, payload=payload)
    return first


def compensate_next(
    execution: WorkflowExecution, definition: Definition, *, now: datetime
) -> str | None:
    """Insert the row that compensates the step which completed last; return its id, or None."""
    names = compensable_steps(definition)
    completed = _last_completed(execution, names) if names else None
    if completed is None:
        return None
    row = first_attempt(definition, *completed, now=now)
    insert_row(execution, row)
    return row.id


def insert_row(execution: WorkflowExecution, row: Row) -> None:
    WorkflowStep.objects.create(
        execution=execution,
        priority=execution.priority,
        **{name: getattr(row, name) for name in _ROW_FIELDS},
    )


def _last_completed(execution: WorkflowExecution, names: Sequence[str]) -> tuple[str, str] | None:
    """Return id and path of the last of these steps that did something here and is not compensated.

    What a rerun took over is not its own doing.
    """
    completed = execution.steps.filter(DONE, step_id__in=names, reused=False)
    completed = _latest(completed.exclude(path__startswith=compensation_path("")))
    return completed.order_by("-completed_at", "-id").values_list("step_id", "path").first()


def _latest(steps: QuerySet[WorkflowStep]) -> QuerySet[WorkflowStep]:
    """Return those of these attempts that are the latest at their path."""
    later = WorkflowStep.objects.filter(
        execution=OuterRef("execution"), path=OuterRef("path"), attempt__gt=OuterRef("attempt")
    )
    return steps.exclude(Exists(later))


def mark_compensated(execution: WorkflowExecution, path: str, *, now: datetime) -> None:
    """Mark the step that the row at this path compensates as COMPENSATED."""
    completed = execution.steps.filter(DONE, path=compensated_path(path))
    completed.update(status=StepStatus.COMPENSATED, updated_at=now)


def end_compensated(execution: WorkflowExecution, *, now: datetime) -> None:
    """End an execution of which everything is compensated."""
    assert execution.ends_as is not None
    execution.status = ExecutionStatus(execution.ends_as)
    execution.completed_at = now
    payload = {"errors": execution.errors} if execution.errors else {}
    append_event(execution, execution.status, actor="engine", payload=payload)


def mark_for_review(execution: WorkflowExecution, error: Mapping[str, Any]) -> None:
    """Leave an execution to a person because of this error."""
    kept = errors_before_compensation(execution) if execution.ends_as else []
    execution.status = ExecutionStatus.NEEDS_REVIEW
    execution.errors = [*kept, dict(error)]
    append_event(execution, EventKind.NEEDS_REVIEW, actor="engine", payload={"step": error["step"]})


def errors_before_compensation(execution: WorkflowExecution) -> list[dict[str, Any]]:
    """Return why the execution is being compensated, without what went wrong with that."""
    return [e for e in execution.errors if not is_compensation(str(e.get("path") or ""))]


def keep_in_review(
    execution: WorkflowExecution, row: WorkflowStep, *, error: str, actor: str, now: datetime
) -> None:
    """Record that a person says a step was not compensated: it stays to be reviewed."""
    failure = {"code": "failed_by_person", "message": error, "permanent": True, "by": actor}
    execution.steps.filter(pk=row.pk).update(
        status=StepStatus.FAILED, error=failure, completed_at=now, updated_at=now
    )
    execution.errors = [*errors_before_compensation(execution), compensation_error(row, failure)]


def retry_compensation(execution: WorkflowExecution, *, now: datetime) -> WorkflowStep:
    """Go on with a fresh budget of attempts, from the step that could not be compensated."""
    row = next_attempt(_failed_compensation(execution), now=now, priority=execution.priority)
    row.save()
    execution.status = ExecutionStatus.COMPENSATING
    execution.errors = errors_before_compensation(execution)
    return row


def next_attempt(
    step: WorkflowStep, *, now: datetime, priority: int, keeps_input: bool = True
) -> WorkflowStep:
    """Return the row of another attempt at a step, with a fresh budget; the caller stores it."""
    return WorkflowStep(
        execution_id=step.execution_id,
        step_id=step.step_id,
        path=step.path,
        scope=step.scope,
        attempt=step.attempt + 1,
        name=step.name,
        service=step.service,
        action=step.action,
        input=step.input if keeps_input else None,
        wake_at=now,
        retry_base=step.attempt,
        priority=priority,
    )


def _failed_compensation(execution: WorkflowExecution) -> WorkflowStep:
    """Return the attempt at compensating a step that a person has to look at."""
    stopped = (StepStatus.FAILED, StepStatus.NEEDS_REVIEW)
    rows = execution.steps.filter(path__startswith=compensation_path(""), status__in=stopped)
    return _latest(rows).get()
