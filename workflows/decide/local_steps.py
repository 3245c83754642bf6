"""TRANSFORM, CHOICE, SUCCEED and FAIL: steps that neither call nor wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workflows.decide.outcomes import (
    check_document,
    complete,
    end,
    end_failed,
    finish,
    record,
)
from workflows.decide.turn import Halt, Next, Turn
from workflows.exceptions import WorkflowError
from workflows.models import StepStatus


def begin_transform(turn: Turn) -> Next:
    """Compute an output; CHOICE has none."""
    return complete(turn, _output_of(turn))


def begin_succeed(turn: Turn) -> Next:
    """End here, well."""
    output = _output_of(turn)
    record(turn.row, StepStatus.COMPLETED, now=turn.now, output=output)
    turn.execution.learn(turn.step.id, status=StepStatus.COMPLETED, output=output, error=None)
    end(turn, finish(turn.execution))
    return Halt.STOP


def begin_fail(turn: Turn) -> Next:
    """End here, with an error."""
    step = turn.step
    rendered = None
    if step.error is not None:
        rendered = step.error.render(turn.execution.visible(), turn.recorded())
    code, message = "failed", f"The step '{step.id}' ended the workflow."
    if isinstance(rendered, Mapping):
        code, message = str(rendered.get("code") or code), str(rendered.get("message") or message)
    elif rendered:
        message = str(rendered)
    return end_failed(turn, WorkflowError(message, code=code))


def _output_of(turn: Turn) -> Any:
    if turn.step.output is None:
        return None
    output = turn.step.output.render(turn.execution.visible(), turn.recorded())
    check_document(output, f"The output of '{turn.step.id}'")
    return output
