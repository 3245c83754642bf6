"""Undoing in the engine's transaction: what a compensation can see, and what follows from it.

This is rare, so it goes through the models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db.models import Q

from workflows.compensation import (
    DONE,
    begin_compensation,
    compensate_next,
    end_compensated,
    mark_compensated,
    mark_for_review,
)
from workflows.decide import SETTLED_STATUSES, Finish, StepOutcome, compensable_steps
from workflows.engine.store.batch import Committed, Settled
from workflows.engine.store.child_executions import wake_parents
from workflows.engine.store.dialect import Dialect
from workflows.models import ExecutionStatus, StepStatus, WorkflowExecution, WorkflowStep
from workflows.services.executions.stop import stop_steps
from workflows.step_paths import compensated_path, scope_of, visible_scopes

_CHANGED = ("status", "errors", "ends_as", "completed_at", "last_sequence", "updated_at")


def outcomes_before_compensation(record: Mapping[str, Any]) -> Mapping[str, list[StepOutcome]]:
    """What the steps came to that the undone one could see, in the order of their end.

    Its own comes last, as what its call came to: what ended later is out of its sight.
    """
    steps = WorkflowStep.objects.filter(execution_id=record["execution_id"])
    place = compensated_path(record["path"])
    own = steps.filter(DONE, path=place).values_list("completed_at", "id").first()
    if own is None:
        return {}
    at, key = own
    seen = steps.filter(
        Q(completed_at__lt=at) | Q(completed_at=at, id__lte=key),
        scope__in=visible_scopes(scope_of(place)),
        status__in=SETTLED_STATUSES,
    )
    found: dict[str, list[StepOutcome]] = {}
    columns = ("scope", "step_id", "path", "status", "output", "error")
    for scope, *rest in seen.order_by("completed_at", "id").values_list(*columns):
        outcome = StepOutcome(*rest)
        if outcome.path == place and outcome.output is not None and outcome.status == "FAILED":
            outcome = outcome._replace(status=str(StepStatus.COMPLETED), error=None)
        found.setdefault(scope, []).append(outcome)
    return found


def start_compensation(item: Settled, *, now: datetime, done: Committed) -> bool:
    """Undo what completed before the execution fails; False with nothing to undo."""
    finish, definition = item.transition.finish, item.claim.execution.definition
    assert finish is not None
    if finish.status != "FAILED" or not compensable_steps(definition):
        return False
    execution = _execution_of(item)
    stop_steps(execution, now=now)
    # Branches that this batch went on with go nowhere any more.
    done.claims[:] = [c for c in done.claims if c.execution.id != item.claim.execution.id]
    execution.errors = list(finish.errors)
    first = begin_compensation(execution, definition, ends_as=ExecutionStatus.FAILED, now=now)
    if first is None:
        return False
    execution.save(update_fields=_CHANGED)
    done.ready.append(first)
    return True


def go_on(
    settled: Iterable[Settled], dialect: Dialect, cursor: Any, *, now: datetime, done: Committed
) -> list[str]:
    """Go on with executions that are being undone; give the rows that this made ready."""
    ready, ended = [], []
    for item in settled:
        if item.transition.review is not None:
            _leave_to_review(item)
        elif item.transition.compensated:
            following = _compensate_onward(item, now=now, done=done)
            if following is None:
                ended.append(item.claim.execution.id)
            else:
                ready.append(following)
    return [*ready, *(wake_parents(dialect, cursor, ended, now) if ended else ())]


def _compensate_onward(item: Settled, *, now: datetime, done: Committed) -> str | None:
    """Record that a step is undone and begin with the next; None when that was the last one."""
    row = item.transition.settled
    assert row is not None
    execution = _execution_of(item)
    mark_compensated(execution, row.path, now=now)
    following = compensate_next(execution, item.claim.execution.definition, now=now)
    if following is not None:
        return following
    end_compensated(execution, now=now)
    execution.save(update_fields=_CHANGED)
    ended: Any = str(execution.status)
    done.ended.append((item.claim.execution.id, Finish(ended, errors=tuple(execution.errors))))
    if item.claim.execution.definition.concurrency:
        done.freed.append(item.claim.execution.id)
    return None


def _leave_to_review(item: Settled) -> None:
    """Leave an execution to a person because a step could not be undone."""
    execution = _execution_of(item)
    assert item.transition.review is not None
    mark_for_review(execution, item.transition.review)
    execution.save(update_fields=_CHANGED)


def _execution_of(item: Settled) -> WorkflowExecution:
    """The execution, which the batch has locked."""
    found = WorkflowExecution.objects.defer("input", "context", "output")
    return found.get(pk=item.claim.execution.id)
