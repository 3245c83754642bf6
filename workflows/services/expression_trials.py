"""Evaluates an expression or a template on what an execution knew at one of its steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.exceptions import Conflict, NotFound
from core.expressions import (
    ABSENT,
    ExpressionError,
    Recorded,
    compile_expression,
    compile_template,
)
from workflows.decide import ExecutionState, StepOutcome, recall
from workflows.definition.step_paths import visible_scopes
from workflows.models import StepStatus, WorkflowExecution, WorkflowStep
from workflows.services.executions.lookup import execution_definition

_SETTLED = (StepStatus.COMPLETED, StepStatus.SKIPPED, StepStatus.FAILED, StepStatus.COMPENSATED)
_Evaluate = Callable[[dict[str, Any], Recorded], Any]


@dataclass(frozen=True)
class EvaluationPoint:
    """Where something is evaluated: what can be read there, and where `now()` comes from."""

    scope: dict[str, Any]
    recorded: Recorded


def evaluate_expression(execution: WorkflowExecution, text: str, *, step: str | None = None) -> Any:
    """Return the value of an expression, as the engine would compute it after that step.

    Without a step: at the end of the execution, as in the definition's `output`.

    Raises:
        ExpressionError: it cannot be read, or fails on these values.
        NotFound: there is no such step.
        Conflict: the definition is gone.
    """
    return _evaluate(execution, step, "expression", lambda: compile_expression(text).evaluate)


def evaluate_template(execution: WorkflowExecution, source: Any, *, step: str | None = None) -> Any:
    """Return what a template renders to there. Raises as `evaluate_expression`."""
    return _evaluate(execution, step, "template", lambda: compile_template(source).render)


def _evaluate(
    execution: WorkflowExecution, step: str | None, field: str, compiled: Callable[[], _Evaluate]
) -> Any:
    try:
        evaluate = compiled()
        point = _place_in(execution, step)
        return evaluate(point.scope, point.recorded)
    except ExpressionError as error:
        raise ExpressionError(error.message, errors=_errors_by_path(error, field)) from None


def _errors_by_path(error: ExpressionError, field: str) -> dict[str, list[str]]:
    """Return the error under the field that was sent, or the part of the template that it is in."""
    inner = error.details.get("errors") or {error.details.get("path", ""): error.message}
    return {_below(field, path): [sentence] for path, sentence in inner.items()}


def _below(field: str, path: str) -> str:
    if not path:
        return field
    return f"{field}{path}" if path.startswith("[") else f"{field}.{path}"


def _place_in(execution: WorkflowExecution, path: str | None) -> EvaluationPoint:
    definition = execution_definition(execution)
    row = _latest_at(execution, path) if path else None
    if row is not None and row.step_id not in definition.steps:
        raise Conflict(f"The definition does not have the step '{row.step_id}' any more.")
    state = ExecutionState(
        id=str(execution.pk),
        workflow=execution.workflow_name,
        started_at=execution.started_at or execution.created_at,
        input=execution.input,
        context=execution.context,
        definition=definition,
        scope=row.scope if row else "",
        started_by=execution.started_by,
    )
    outcomes = _outcomes_by_scope(execution, state.scope, until=row)
    recall(
        state,
        lambda scope: outcomes.get(scope, ()),
        lambda found: (_latest_at(execution, found).input or {}).get("over", []),
    )
    if row is None:
        return EvaluationPoint(
            state.visible(output=state.last_output),
            Recorded(state.started_at, f"{state.id}:output"),
        )
    has_output = row.status in (StepStatus.COMPLETED, StepStatus.COMPENSATED)
    scope = state.visible(output=row.output if has_output else ABSENT)
    return EvaluationPoint(
        scope, Recorded(row.started_at or state.started_at, f"{state.id}:{row.path}")
    )


def _latest_at(execution: WorkflowExecution, path: str) -> WorkflowStep:
    row = execution.steps.filter(path=path).order_by("-attempt").first()
    if row is None:
        raise NotFound(f"The execution has no step '{path[:200]}'.")
    return row


def _outcomes_by_scope(
    execution: WorkflowExecution, scope: str, *, until: WorkflowStep | None
) -> dict[str, list[StepOutcome]]:
    """Return what could be seen from a scope by the time that a row ended."""
    rows = execution.steps.filter(scope__in=visible_scopes(scope), status__in=_SETTLED)
    rows = rows.exclude(path__startswith="~")
    outcomes: dict[str, list[StepOutcome]] = {}
    for row in rows.order_by("completed_at", "id"):
        if until is not None and _is_after(row, until):
            continue
        # What was undone later had completed then.
        status = StepStatus.COMPLETED if row.status == StepStatus.COMPENSATED else row.status
        outcome = StepOutcome(row.step_id, row.path, str(status), row.output, row.error)
        outcomes.setdefault(row.scope, []).append(outcome)
    return outcomes


def _is_after(row: WorkflowStep, until: WorkflowStep) -> bool:
    return _end_of(row) > _end_of(until) if until.completed_at else False


def _end_of(row: WorkflowStep) -> tuple[datetime, Any]:
    assert row.completed_at is not None
    return row.completed_at, row.id
