"""Compensating completed steps: the call that does it, and what becomes of that call (pure).

The row that compensates a step lies at the step's own path behind a `~`. Which step comes next is
read from the rows when one is recorded; here is decided what its call is given and what its outcome
means.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from core.db.uuid7 import uuid7
from core.exceptions import IntegrationError
from core.expressions import ExpressionError, Recorded
from workflows.decide.outcomes import (
    TOO_LATE,
    describe,
    may_retry,
    next_attempt,
    record,
    record_retried,
    take_up,
    why_too_late,
)
from workflows.decide.state import CallFailure, CallSuccess, ExecutionState, Row, Transition
from workflows.definition import Compensation, Definition, Step
from workflows.definition.step_paths import compensation_path, is_compensation
from workflows.exceptions import WorkflowError
from workflows.models import StepStatus


def compensable_steps(definition: Definition) -> list[str]:
    """Return the ids of the steps that have a compensation."""
    return [step.id for step in definition.steps.values() if step.compensate is not None]


def call_at(definition: Definition, step_id: str, path: str) -> Step | Compensation:
    """Return what says whom the row at this path calls: its step, or that one's compensation."""
    step = definition.steps[step_id]
    return (step.compensate or step) if is_compensation(path) else step


def first_attempt(definition: Definition, step_id: str, path: str, *, now: datetime) -> Row:
    """Return the row that compensates the step at this path: who claims it gives it its input."""
    step = definition.steps[step_id]
    assert step.compensate is not None
    return Row(
        id=str(uuid7()),
        step_id=step_id,
        path=compensation_path(path),
        name=step.name,
        service=step.compensate.target.name,
        action=step.compensate.action or "",
        wake_at=now,
    )


def resume_compensation(execution: ExecutionState, row: Row, *, now: datetime) -> Transition | None:
    """Give the call its input: None when it can be made, else what became of the row."""
    told = (row.error or {}).get("told")
    if told is not None:
        return _compensated(row, told["output"], now=now)
    if row.input is not None:
        call = call_at(execution.definition, row.step_id, row.path)
        late = why_too_late(call.retry, row, now=now)
        return (
            give_up_compensation(row, WorkflowError(late, code=TOO_LATE), now=now) if late else None
        )
    try:
        row.input = _input_of(execution, row, now=now)
    except ExpressionError as error:
        return give_up_compensation(row, error, now=now)
    return None


def settle_compensation(
    execution: ExecutionState,
    row: Row,
    outcome: CallSuccess | CallFailure,
    *,
    now: datetime,
    fraction: float,
) -> Transition:
    """Decide what the outcome of an attempt to compensate a step means."""
    if isinstance(outcome, CallSuccess):
        take_up(row, outcome)
        return _compensated(row, outcome.output, now=now)
    call = call_at(execution.definition, row.step_id, row.path)
    error = outcome.error
    if not may_retry(call.retry, row, error):
        return give_up_compensation(row, error, now=now)
    again = next_attempt(call.retry, row, error, now=now, fraction=fraction)
    if late := why_too_late(call.retry, again, now=now):
        return give_up_compensation(row, error.noting(late), now=now)
    record_retried(row, error, now=now)
    return Transition(settled=row, followers=[again])


def give_up_compensation(row: Row, error: IntegrationError, *, now: datetime) -> Transition:
    """Leave a step that could not be compensated to a person."""
    described = describe(error)
    record(row, StepStatus.FAILED, now=now, error=described)
    return Transition(settled=row, review=compensation_error(row, described))


def compensation_error(row: Any, described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry for the errors of an execution of which a step could not be compensated."""
    return {"step": row.step_id, "path": row.path, "attempt": row.attempt, **described}


def _compensated(row: Row, output: Any, *, now: datetime) -> Transition:
    record(row, StepStatus.COMPLETED, now=now, output=output)
    return Transition(settled=row, compensated=True)


def _input_of(execution: ExecutionState, row: Row, *, now: datetime) -> dict[str, Any]:
    """Return what the compensation's `input` renders to: it sees what the step saw and its output.

    Without one, that is the output; one that is no object is put into one.
    """
    step = execution.definition.steps[row.step_id]
    output = execution.steps[row.step_id]["output"]
    assert step.compensate is not None
    if step.compensate.input is None:
        return output if isinstance(output, dict) else {"output": output}
    recorded = Recorded(now, f"{execution.id}:{row.path}")
    document = step.compensate.input.render(execution.visible(output=output), recorded)
    if not isinstance(document, dict):
        raise ExpressionError(f"The input that '{step.id}' is undone with is not an object.")
    return document
