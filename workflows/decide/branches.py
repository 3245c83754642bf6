"""PARALLEL and MAP: containers of branches, or of elements, that run side by side."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from core.expressions import ExpressionError
from workflows.decide.outcomes import complete, fail
from workflows.decide.state import BranchResult, ExecutionState, Row, new_row
from workflows.decide.turn import Next, Turn
from workflows.definition import Step
from workflows.exceptions import WorkflowError

MAX_ELEMENTS = 10_000
DEFAULT_CONCURRENCY = 20


def begin_parallel(turn: Turn) -> Next:
    """Begin every branch; claimed again, enough of them have ended."""
    row, step = turn.row, turn.step
    if row.total:
        return _join(turn)
    total = len(step.branches)
    needed = {"ALL": total, "ANY": 1}.get(str(step.join), step.join)
    row.total = row.begun = total
    row.needed, row.tolerated = int(needed), total - int(needed)
    row.input = {}
    for index, block in enumerate(step.branches):
        _begin_branch(turn, block.first, index)
    return turn.park(until=None)


def begin_map(turn: Turn) -> Next:
    """Begin as many elements as may run at once; claimed again, their outcome is known."""
    row, step = turn.row, turn.step
    if row.total:
        return _join(turn)
    assert step.over is not None
    assert step.body is not None
    elements = step.over.render(turn.execution.visible(), turn.recorded())
    if not isinstance(elements, list):
        raise ExpressionError(f"What '{step.id}' goes over is not a list.")
    if len(elements) > MAX_ELEMENTS:
        raise ExpressionError(f"'{step.id}' has {len(elements)} elements; at most {MAX_ELEMENTS}.")
    row.input = {"over": elements}
    if not elements:
        return complete(turn, [])
    row.total = row.needed = len(elements)
    row.tolerated = min(step.tolerate_failures, row.total)
    row.begun = min(row.total, step.max_concurrency or DEFAULT_CONCURRENCY)
    for index in range(row.begun):
        _begin_branch(turn, step.body.first, index)
    return turn.park(until=None)


def _begin_branch(turn: Turn, step_id: str, index: int) -> None:
    first = first_of_branch(turn.execution, turn.row, step_id, index, now=turn.now)
    turn.transition.followers.append(first)


def first_of_branch(
    execution: ExecutionState, container: Row, step_id: str, index: int, *, now: datetime
) -> Row:
    """Return the first row of a branch: who claims it gives it its input."""
    step = execution.definition.steps[step_id]
    return new_row(step, step_id, scope=f"{container.path}/{index}", now=now)


def next_branches(container: Row, step: Step) -> range:
    """Return the indexes of the elements to begin, so that as many run as ran before."""
    running = container.begun - container.done - container.failed
    room = max((step.max_concurrency or DEFAULT_CONCURRENCY) - running, 0)
    return range(container.begun, min(container.begun + room, container.total))


def has_ended(row: Row) -> bool:
    """Return whether a container's outcome is known."""
    return (
        row.done >= row.needed or row.failed > row.tolerated or row.done + row.failed >= row.total
    )


def _join(turn: Turn) -> Next:
    row = turn.row
    if not has_ended(row):
        return turn.park(until=None)
    if row.done + row.failed < row.begun:
        turn.transition.abandons = row.path
    results = turn.execution.facts.results
    if row.failed > row.tolerated:
        return fail(turn, _error_of(turn, [r for r in results if r.error is not None]))
    return complete(turn, _outputs_of(turn.step, row, results))


def _outputs_of(step: Step, row: Row, results: Sequence[BranchResult]) -> Any:
    completed = [r for r in results if r.error is None]
    if step.kind == "PARALLEL":
        return {result.last_step: result.output for result in completed}
    outputs = {result.index: result.output for result in completed}
    return [outputs.get(index) for index in range(row.total)]


def _error_of(turn: Turn, failed: Sequence[BranchResult]) -> WorkflowError:
    failed = sorted(failed, key=lambda result: result.index)
    first = failed[0].error if failed else None
    sentence = f"{turn.row.failed} of {turn.row.total} branches of '{turn.step.id}' failed"
    detail = f": {first['message']}" if first else "."
    messages = {str(r.index): [str((r.error or {}).get("message"))] for r in failed[:20]}
    return WorkflowError(sentence + detail, code="branch_failed", errors=messages)
