"""Undoing in the engine's transaction: what a compensation can see, and what follows from it.

This is rare, so it goes through the models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
from workflows.definition.step_paths import compensated_path, scope_of, visible_scopes
from workflows.engine.store.batch import Committed, Settled
from workflows.engine.store.child_executions import wake_parents
from workflows.engine.store.transaction import Transaction
from workflows.execution_rows import stop_steps
from workflows.models import ExecutionStatus, StepStatus, WorkflowExecution, WorkflowStep

_CHANGED = ("status", "errors", "ends_as", "completed_at", "last_sequence", "updated_at")


def outcomes_before_compensation(record: Mapping[str, Any]) -> Mapping[str, list[StepOutcome]]:
    """Return the outcomes that the compensated step could see, by scope, in the order of their end.

    Its own comes last, as what its call came to: what ended later is out of its sight.
    """
    steps = WorkflowStep.objects.filter(execution_id=record["execution_id"])
    path = compensated_path(record["path"])
    own = steps.filter(DONE, path=path).values_list("completed_at", "id").first()
    if own is None:
        return {}
    at, key = own
    seen = steps.filter(
        Q(completed_at__lt=at) | Q(completed_at=at, id__lte=key),
        scope__in=visible_scopes(scope_of(path)),
        status__in=SETTLED_STATUSES,
    )
    outcomes: dict[str, list[StepOutcome]] = {}
    columns = ("scope", "step_id", "path", "status", "output", "error")
    for scope, *rest in seen.order_by("completed_at", "id").values_list(*columns):
        outcome = StepOutcome(*rest)
        if (
            outcome.path == path
            and outcome.output is not None
            and outcome.status == StepStatus.FAILED
        ):
            outcome = outcome._replace(status=str(StepStatus.COMPLETED), error=None)
        outcomes.setdefault(scope, []).append(outcome)
    return outcomes


def start_compensation(item: Settled, transaction: Transaction, committed: Committed) -> bool:
    """Compensate what completed before the execution fails; False with nothing to compensate."""
    finish, definition = item.transition.finish, item.claim.execution.definition
    assert finish is not None
    if finish.status != ExecutionStatus.FAILED or not compensable_steps(definition):
        return False
    execution = _execution_of(item)
    stop_steps(execution, now=transaction.now)
    # Branches that this batch went on with go nowhere any more.
    committed.claims[:] = [c for c in committed.claims if c.execution.id != item.claim.execution.id]
    execution.errors = list(finish.errors)
    first = begin_compensation(
        execution, definition, ends_as=ExecutionStatus.FAILED, now=transaction.now
    )
    if first is None:
        return False
    execution.save(update_fields=_CHANGED)
    committed.ready.append(first)
    return True


def continue_compensations(
    settled: Iterable[Settled], transaction: Transaction, committed: Committed
) -> None:
    """Go on with executions that are being compensated; what this makes ready is noted."""
    ended = []
    for item in settled:
        if item.transition.review is not None:
            _leave_to_review(item)
        elif item.transition.compensated:
            following = _compensate_onward(item, transaction, committed)
            if following is None:
                ended.append(item.claim.execution.id)
            else:
                committed.ready.append(following)
    if ended:
        committed.ready += wake_parents(transaction, ended)


def _compensate_onward(item: Settled, transaction: Transaction, committed: Committed) -> str | None:
    """Record that a step is compensated and begin the next; None when that was the last one."""
    row = item.transition.settled
    assert row is not None
    execution = _execution_of(item)
    mark_compensated(execution, row.path, now=transaction.now)
    following = compensate_next(execution, item.claim.execution.definition, now=transaction.now)
    if following is not None:
        return following
    end_compensated(execution, now=transaction.now)
    execution.save(update_fields=_CHANGED)
    status = ExecutionStatus(execution.status)
    committed.add_end(item.claim.execution, Finish(status, errors=tuple(execution.errors)))
    return None


def _leave_to_review(item: Settled) -> None:
    """Leave an execution to a person because a step could not be compensated."""
    execution = _execution_of(item)
    assert item.transition.review is not None
    mark_for_review(execution, item.transition.review)
    execution.save(update_fields=_CHANGED)


def _execution_of(item: Settled) -> WorkflowExecution:
    """Return the execution, which the batch has locked."""
    executions = WorkflowExecution.objects.defer("input", "context", "output")
    return executions.get(pk=item.claim.execution.id)
