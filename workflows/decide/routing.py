"""Going from step to step: where a claimed row, or the outcome of a call, leads to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from core.exceptions import IntegrationError
from core.expressions import ExpressionError
from workflows.decide.approvals import begin_approval
from workflows.decide.branches import begin_map, begin_parallel
from workflows.decide.calls import begin_action
from workflows.decide.child_workflows import begin_workflow
from workflows.decide.compensation import (
    give_up_compensation,
    resume_compensation,
    settle_compensation,
)
from workflows.decide.local_steps import begin_fail, begin_succeed, begin_transform
from workflows.decide.outcomes import (
    TOO_LATE,
    complete,
    deadline_exceeded,
    end,
    end_failed,
    fail,
    finish,
    skip,
    take_up,
    why_too_late,
)
from workflows.decide.state import (
    CallFailure,
    CallSuccess,
    ExecutionState,
    Row,
    Transition,
    new_row,
)
from workflows.decide.turn import Halt, Next, Turn
from workflows.decide.waits import begin_event, begin_wait
from workflows.definition import Step
from workflows.definition.step_paths import is_compensation
from workflows.exceptions import WorkflowError
from workflows.models import TERMINAL

BEGIN: Mapping[str, Callable[[Turn], Next]] = {
    "ACTION": begin_action,
    "TRANSFORM": begin_transform,
    "CHOICE": begin_transform,
    "SUCCEED": begin_succeed,
    "FAIL": begin_fail,
    "WAIT": begin_wait,
    "EVENT": begin_event,
    "APPROVAL": begin_approval,
    "WORKFLOW": begin_workflow,
    "PARALLEL": begin_parallel,
    "MAP": begin_map,
}
# Steps without a call run inside one decision; this many in a row must be a loop.
MAX_INLINE_STEPS = 1000
# What these do depends on what a claim loads: signals, or the child.
FACTUAL_KINDS = frozenset({"EVENT", "WORKFLOW"})


def resume(execution: ExecutionState, row: Row, *, now: datetime) -> Transition | None:
    """Make a claimed row ready: None when its call can be made, else what became of it.

    A row that was inserted before its input could be known gets it now; a step without a call is
    done at once, or goes on waiting.
    """
    if is_compensation(row.path):
        return resume_compensation(execution, row, now=now)
    turn = _turn(execution, row, now=now)
    is_action = turn.step.kind == "ACTION"
    execution.visits.setdefault(row.step_id, 1)
    if is_action and (told := (row.error or {}).get("told")) is not None:
        return _go_on(turn, _take_persons_word(turn, told))
    if execution.deadline is not None and execution.deadline <= now:
        return give_up(execution, row, deadline_exceeded(), now=now)
    if is_action and row.input is not None:
        late = "" if row.retry_since is None else why_too_late(turn.step.retry, row, now=now)
        return _go_on(turn, fail(turn, WorkflowError(late, code=TOO_LATE))) if late else None
    onward = _begin(turn)
    return None if onward is Halt.CALL else _go_on(turn, onward)


def settle(
    execution: ExecutionState,
    row: Row,
    outcome: CallSuccess | CallFailure,
    *,
    now: datetime,
    fraction: float,
) -> Transition:
    """Decide what an outcome of a call means. `fraction` in [0, 1) is the draw for jitter."""
    if is_compensation(row.path):
        return settle_compensation(execution, row, outcome, now=now, fraction=fraction)
    turn = _turn(execution, row, now=now, fraction=fraction)
    if isinstance(outcome, CallFailure):
        return _go_on(turn, fail(turn, outcome.error))
    take_up(row, outcome)
    return _go_on(turn, complete(turn, outcome.output))


def give_up(
    execution: ExecutionState, row: Row, error: IntegrationError, *, now: datetime
) -> Transition:
    """Fail a row for a reason that its step has no say in."""
    if is_compensation(row.path):
        return give_up_compensation(row, error, now=now)
    turn = _turn(execution, row, now=now)
    row.output = None
    _release_dependents(turn)
    end_failed(turn, error)
    return turn.transition


def _turn(execution: ExecutionState, row: Row, *, now: datetime, fraction: float = 0.0) -> Turn:
    step = execution.definition.steps[row.step_id]
    return Turn(execution, step, row, Transition(settled=row), now, fraction)


def _release_dependents(turn: Turn) -> None:
    """Leave nothing behind that goes on for this row: its branches, its child."""
    row, child = turn.row, turn.execution.facts.child
    if row.done + row.failed < row.begun:
        turn.transition.abandons = row.path
    if child is not None and child.status not in TERMINAL:
        turn.transition.orphan = child.id


def _take_persons_word(turn: Turn, told: Mapping[str, Any]) -> Next:
    """Take up what a person said became of a call whose outcome was lost."""
    if "error" in told:
        return fail(turn, WorkflowError(str(told["error"]), code="failed_by_person"))
    return complete(turn, told["output"])


def _go_on(turn: Turn, onward: Next) -> Transition:
    """Enter steps until one needs a call or a wait, or there is none left."""
    while not isinstance(onward, Halt):
        if onward is None:
            end(turn, finish(turn.execution))
            break
        onward = _enter(turn, turn.execution.definition.steps[onward])
    return turn.transition


def _enter(before: Turn, step: Step) -> Next:
    execution, followers = before.execution, before.transition.followers
    visit = execution.visits.get(step.id, 0) + 1
    place = step.id if visit == 1 else f"{step.id}#{visit}"
    row = new_row(step, place, scope=execution.scope, now=before.now)
    turn = Turn(execution, step, row, before.transition, before.now)
    followers.append(row)
    if step.max_visits is not None and visit > step.max_visits:
        sentence = f"The step '{step.id}' was to run more than {step.max_visits} times."
        return end_failed(turn, WorkflowError(sentence, code="max_visits"))
    if len(followers) > MAX_INLINE_STEPS:
        sentence = f"More than {MAX_INLINE_STEPS} steps ran without a call or a wait."
        return end_failed(turn, WorkflowError(sentence, code="endless_loop"))
    execution.visits[step.id] = visit
    if step.kind in FACTUAL_KINDS or turn.transition.is_long:
        row.unclaimed = True
        return Halt.STOP
    return _begin(turn)


def _begin(turn: Turn) -> Next:
    """Start one step, or go on with one that waited: skip it, do it, or give its call an input."""
    when, is_new = turn.step.when, turn.row.input is None
    try:
        if is_new and when and not when.truth(turn.execution.visible(), turn.recorded()):
            return skip(turn)
        return BEGIN[turn.step.kind](turn)
    except ExpressionError as error:
        return fail(turn, error)
