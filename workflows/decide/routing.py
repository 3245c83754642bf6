"""Going from step to step: what a claimed row, or the outcome of a call, leads to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from core.db.uuid7 import uuid7
from core.exceptions import IntegrationError
from core.expressions import ExpressionError, Recorded
from workflows.decide.compensation import give_up_undoing, resume_undoing, settle_undoing
from workflows.decide.kinds import BEGIN
from workflows.decide.outcomes import (
    CALL,
    STOP,
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
from workflows.decide.state import Failure, Row, Run, Success, Transition
from workflows.definition import Step
from workflows.exceptions import WorkflowError
from workflows.step_paths import is_compensation

# Steps without a call run inside one decision; this many in a row must be a loop.
MAX_INLINE_STEPS = 1000
# What these do depends on what a claim loads: signals, or the child.
FACTUAL_KINDS = frozenset({"EVENT", "WORKFLOW"})


def resume(run: Run, row: Row, *, now: datetime) -> Transition | None:
    """Make a claimed row ready: None when its call can be made, else what became of it.

    A row that was inserted before its input could be known gets it now; a step without a call is
    done at once, or goes on waiting.
    """
    if is_compensation(row.path):
        return resume_undoing(run, row, now=now)
    step = run.definition.steps[row.step_id]
    run.visits.setdefault(row.step_id, 1)
    if step.kind == "ACTION" and (told := (row.error or {}).get("told")) is not None:
        return _take_word(run, step, row, told, now=now)
    if run.deadline is not None and run.deadline <= now:
        return give_up(run, row, deadline_exceeded(), now=now)
    if step.kind == "ACTION" and row.input is not None:
        return _resume_call(run, step, row, now=now)
    transition = Transition(settled=row)
    onward = _begin(run, step, row, transition, now=now)
    if onward is CALL:
        return None
    _go_on(run, onward, transition, now=now)
    return transition


def give_up(run: Run, row: Row, error: IntegrationError, *, now: datetime) -> Transition:
    """Fail a row for a reason that its step has no say in."""
    if is_compensation(row.path):
        return give_up_undoing(row, error, now=now)
    transition = Transition(settled=row)
    row.output = None
    _let_go(run, row, transition)
    end_failed(run, row, error, transition, now=now)
    return transition


def _let_go(run: Run, row: Row, transition: Transition) -> None:
    """Leave nothing behind that goes on for this row: its branches, its child."""
    if row.done + row.failed < row.begun:
        transition.abandons = row.path
    child = run.facts.child
    if child is not None and child.status not in ("COMPLETED", "FAILED", "CANCELLED"):
        transition.orphan = child.id


def _resume_call(run: Run, step: Step, row: Row, *, now: datetime) -> Transition | None:
    """None when the call can be made: it is not too late for it."""
    if row.retry_since is None or not (late := why_too_late(step.retry, row, now=now)):
        return None
    transition = Transition(settled=row)
    onward = fail(run, step, row, WorkflowError(late, code=TOO_LATE), transition, now=now)
    _go_on(run, onward, transition, now=now)
    return transition


def _take_word(
    run: Run, step: Step, row: Row, told: Mapping[str, Any], *, now: datetime
) -> Transition:
    """A person said what became of a call whose outcome was lost."""
    transition = Transition(settled=row)
    if "error" in told:
        error = WorkflowError(str(told["error"]), code="failed_by_person")
        onward = fail(run, step, row, error, transition, now=now)
    else:
        onward = complete(run, step, row, told["output"], transition, now=now)
    _go_on(run, onward, transition, now=now)
    return transition


def settle(
    run: Run, row: Row, outcome: Success | Failure, *, now: datetime, fraction: float
) -> Transition:
    """Decide what an outcome of a call means. `fraction` in [0, 1) is the draw for jitter."""
    if is_compensation(row.path):
        return settle_undoing(run, row, outcome, now=now, fraction=fraction)
    step = run.definition.steps[row.step_id]
    transition = Transition(settled=row)
    if isinstance(outcome, Success):
        take_up(row, outcome)
        onward = complete(run, step, row, outcome.output, transition, now=now)
    else:
        onward = fail(run, step, row, outcome.error, transition, now=now, fraction=fraction)
    _go_on(run, onward, transition, now=now)
    return transition


def _go_on(run: Run, onward: object, transition: Transition, *, now: datetime) -> None:
    """Enter steps until one needs a call or a wait, or there is none left."""
    while onward is not CALL and onward is not STOP:
        if onward is None:
            end(run, transition, finish(run))
            return
        onward = _enter(run, run.definition.steps[str(onward)], transition, now=now)


def _enter(run: Run, step: Step, transition: Transition, *, now: datetime) -> object:
    visit = run.visits.get(step.id, 0) + 1
    place = step.id if visit == 1 else f"{step.id}#{visit}"
    row = Row(
        id=str(uuid7()),
        step_id=step.id,
        path=f"{run.scope}/{place}" if run.scope else place,
        scope=run.scope,
        name=step.name,
        action=step.action or "",
        service=step.target.name if step.target else "",
        wake_at=now,
    )
    transition.followers.append(row)
    if step.max_visits is not None and visit > step.max_visits:
        sentence = f"The step '{step.id}' was to run more than {step.max_visits} times."
        error = WorkflowError(sentence, code="max_visits")
        return end_failed(run, row, error, transition, now=now)
    if len(transition.followers) > MAX_INLINE_STEPS:
        sentence = f"More than {MAX_INLINE_STEPS} steps ran without a call or a wait."
        error = WorkflowError(sentence, code="endless_loop")
        return end_failed(run, row, error, transition, now=now)
    run.visits[step.id] = visit
    if step.kind in FACTUAL_KINDS:
        row.unclaimed = True
        return STOP
    return _begin(run, step, row, transition, now=now)


def _begin(run: Run, step: Step, row: Row, transition: Transition, *, now: datetime) -> object:
    """Start one step, or go on with one that waited: skip it, do it, or give its call an input."""
    recorded = Recorded(now, f"{run.id}:{row.path}")
    begun = row.input is not None
    try:
        if step.when is not None and not begun and not step.when.truth(run.visible(), recorded):
            return skip(run, step, row, transition, now=now)
        return BEGIN[step.kind](run, step, row, transition, recorded)
    except ExpressionError as error:
        return fail(run, step, row, error, transition, now=now)
