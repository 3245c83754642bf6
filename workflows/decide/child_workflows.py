"""WORKFLOW: a step that starts a child execution and waits for its end."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from workflows.decide.outcomes import complete, fail
from workflows.decide.state import ChildExecution, ChildStart
from workflows.decide.turn import Next, Turn
from workflows.decide.waits import read_limit, time_limit
from workflows.exceptions import WorkflowError
from workflows.models import ExecutionStatus

# A lost word from a child is made up for by looking.
CHILD_LOOK_SECONDS = 30


def begin_workflow(turn: Turn) -> Next:
    """Start a child, then wait for its end."""
    row, step, child = turn.row, turn.step, turn.execution.facts.child
    if row.input is None:
        row.input = {"input": turn.input_document(), "until": time_limit(turn)}
    if problem := row.input.get("problem"):
        return fail(turn, WorkflowError(problem["message"], code=problem["code"]))
    if child is None:
        assert step.workflow is not None
        turn.transition.child = ChildStart(
            step.workflow, step.version, row.input["input"], step.workflow_id
        )
        return turn.park(until=_next_look(turn))
    if child.status == ExecutionStatus.COMPLETED:
        return complete(turn, child.output)
    if child.status in (ExecutionStatus.FAILED, ExecutionStatus.CANCELLED):
        return fail(turn, _error_of(child))
    until = read_limit(turn)
    if until is not None and until <= turn.now:
        turn.transition.orphan = child.id
        sentence = f"The child execution {child.id} did not end within {step.timeout:g} s."
        return fail(turn, WorkflowError(sentence, code="child_timeout"))
    return turn.park(until=_next_look(turn))


def _error_of(child: ChildExecution) -> WorkflowError:
    first: dict[str, Any] = next(iter(child.errors), {})
    status = child.status.lower()
    detail = f": {first['message']}" if first.get("message") else "."
    return WorkflowError(f"The child execution {child.id} {status}{detail}", code=f"child_{status}")


def _next_look(turn: Turn) -> datetime:
    soon = turn.now + timedelta(seconds=CHILD_LOOK_SECONDS)
    return min(soon, read_limit(turn) or soon)
