"""What beginning, or going on with, a step of each kind does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from core.db.uuid7 import uuid7
from core.expressions import ExpressionError, Recorded
from core.instants import InstantRefused, parse_instant
from workflows.decide.outcomes import (
    CALL,
    STOP,
    check_document,
    complete,
    end,
    end_failed,
    fail,
    finish,
    record,
)
from workflows.decide.state import (
    BranchResult,
    ChildStart,
    Row,
    Run,
    Signal,
    Transition,
    Unmatchable,
)
from workflows.definition import Step
from workflows.exceptions import WorkflowError

MAX_ELEMENTS = 10_000
DEFAULT_CONCURRENCY = 20
# A lost word from a child is made up for by looking.
CHILD_LOOK_SECONDS = 30
LONGEST_WAIT = timedelta(days=366)


def begin_action(
    run: Run, step: Step, row: Row, transition: Transition, recorded: Recorded
) -> object:
    """Give the call its input; a template that is no object fails the step."""
    row.input = input_of(run, step, recorded)
    return CALL


def input_of(run: Run, step: Step, recorded: Recorded) -> dict[str, Any]:
    """The running document, or what the step's `input` makes of what is known."""
    if step.input is None:
        return run.document
    document = step.input.render(run.visible(), recorded)
    if not isinstance(document, dict):
        raise ExpressionError(f"The input of '{step.id}' is not an object.")
    return document


def begin_transform(
    run: Run, step: Step, row: Row, transition: Transition, recorded: Recorded
) -> object:
    """Compute an output; CHOICE has none."""
    output = _output_of(run, step, recorded)
    return complete(run, step, row, output, transition, now=recorded.now)


def begin_succeed(
    run: Run, step: Step, row: Row, transition: Transition, recorded: Recorded
) -> object:
    """End here, well."""
    output = _output_of(run, step, recorded)
    record(row, "COMPLETED", now=recorded.now, output=output)
    run.learn(step.id, status="COMPLETED", output=output, error=None)
    end(run, transition, finish(run))
    return STOP


def begin_fail(
    run: Run, step: Step, row: Row, transition: Transition, recorded: Recorded
) -> object:
    """End here, with an error."""
    made = step.error.render(run.visible(), recorded) if step.error is not None else None
    code, message = "failed", f"The step '{step.id}' ended the workflow."
    if isinstance(made, Mapping):
        code, message = str(made.get("code") or code), str(made.get("message") or message)
    elif made:
        message = str(made)
    return end_failed(run, row, WorkflowError(message, code=code), transition, now=recorded.now)


def _output_of(run: Run, step: Step, recorded: Recorded) -> Any:
    if step.output is None:
        return None
    output = step.output.render(run.visible(), recorded)
    check_document(output, f"The output of '{step.id}'")
    return output


# --- Waiting ---


def park(row: Row, *, now: datetime, until: datetime | None) -> object:
    """Let a row wait, holding nothing: until a time, or until something happens."""
    row.status, row.wake_at = "WAITING", until
    row.started_at = row.started_at or now
    return STOP


def begin_wait(
    run: Run, step: Step, row: Row, transition: Transition, recorded: Recorded
) -> object:
    """Wait for a time; claimed again, the time has come."""
    now = recorded.now
    if row.input is None:
        until = _time_of(run, step, recorded)
        row.input = {"until": until.isoformat()}
        if until > now:
            return park(row, now=now, until=until)
    elif (until := datetime.fromisoformat(row.input["until"])) > now:
        return park(row, now=now, until=until)
    return complete(run, step, row, None, transition, now=now)


def _time_of(run: Run, step: Step, recorded: Recorded) -> datetime:
    if step.seconds is not None:
        return seconds_from(step.seconds.render(run.visible(), recorded), step, recorded.now)
    assert step.until is not None
    return read_time(step.until.render(run.visible(), recorded), step)


def seconds_from(value: Any, step: Step, now: datetime) -> datetime:
    """A time that many seconds from now, at most a year."""
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    if not usable or not 0 <= value <= LONGEST_WAIT.total_seconds():
        raise ExpressionError(f"The seconds of '{step.id}' are not a number from 0 to a year.")
    return now + timedelta(seconds=value)


def read_time(value: Any, step: Step) -> datetime:
    """A time with its offset, as RFC 3339 writes it."""
    try:
        return parse_instant(value)
    except InstantRefused as error:
        shown = value[:50] if isinstance(value, str) else type(value).__name__
        raise ExpressionError(f"The time of '{step.id}' is '{shown}'. {error}") from None


def begin_event(
    run: Run, step: Step, row: Row, transition: Transition, recorded: Recorded
) -> object:
    """Take the first signal that matches, also one that came early; else wait for it.

    One that cannot be judged is set aside with the reason, and looked at no more.
    """
    now = recorded.now
    if row.input is None:
        row.input = {"event": _event_name(run, step, recorded), "until": _limit(step, now)}
    taken, transition.set_aside = _matching(run, step, row, recorded)
    if transition.set_aside:
        places = [signal.sequence for signal in transition.set_aside]
        row.input = {**row.input, "set_aside": [*row.input.get("set_aside", ()), *places]}
    if taken is not None:
        row.input = {**row.input, "taken": taken.sequence}
        transition.takes = taken.sequence
        output = (
            taken.payload if isinstance(taken.payload, dict | list) else {"value": taken.payload}
        )
        return complete(run, step, row, output, transition, now=now)
    until = row.input["until"]
    if until and datetime.fromisoformat(until) <= now:
        sentence = f"No signal '{row.input['event']}' came within {step.timeout:g} s."
        error = WorkflowError(sentence, code="event_timeout")
        return fail(run, step, row, error, transition, now=now)
    transition.parked = True
    return park(row, now=now, until=datetime.fromisoformat(until) if until else None)


def _event_name(run: Run, step: Step, recorded: Recorded) -> str:
    assert step.event is not None
    name = step.event.render(run.visible(), recorded)
    if not isinstance(name, str) or not name:
        raise ExpressionError(f"The event of '{step.id}' is not a name.")
    return name


def _matching(
    run: Run, step: Step, row: Row, recorded: Recorded
) -> tuple[Signal | None, tuple[Unmatchable, ...]]:
    """The first signal that is meant, and those before it on which `match` failed."""
    passed = row.input.get("set_aside", ())
    failed: list[Unmatchable] = []
    for signal in run.facts.signals:
        if signal.name != row.input["event"] or signal.sequence in passed:
            continue
        scope = {**run.visible(), "event": signal.payload}
        try:
            if step.match is None or step.match.truth(scope, recorded):
                return signal, tuple(failed)
        except ExpressionError as error:
            failed.append(Unmatchable(signal.sequence, signal.name, error.message))
    return None, tuple(failed)


def _limit(step: Step, now: datetime) -> str | None:
    return (now + timedelta(seconds=step.timeout)).isoformat() if step.timeout else None


def begin_approval(
    run: Run, step: Step, row: Row, transition: Transition, recorded: Recorded
) -> object:
    """Wait for people; the services write their decisions into the row."""
    now = recorded.now
    if row.input is None:
        row.input = {
            "document": input_of(run, step, recorded),
            "until": _limit(step, now),
            "due": _due(run, step, recorded),
            "decisions": [],
        }
    decisions = row.input["decisions"]
    rejected = next((d for d in decisions if d["decision"] == "REJECTED"), None)
    until = row.input["until"]
    timed_out = bool(until) and datetime.fromisoformat(until) <= now
    if rejected is None and len(decisions) < step.minimum and not timed_out:
        return park(row, now=now, until=datetime.fromisoformat(until) if until else None)
    if rejected is None and (len(decisions) >= step.minimum or step.on_timeout == "APPROVE"):
        output = {"decision": "APPROVED", "decisions": decisions, **_form_of(decisions)}
        return complete(run, step, row, output, transition, now=now)
    return _refuse(run, step, row, rejected, transition, now=now)


def _due(run: Run, step: Step, recorded: Recorded) -> str | None:
    """From when on those of `escalate_to` may decide too: seconds from now, or a time."""
    if step.due is None:
        return None
    value = step.due.render(run.visible(), recorded)
    if isinstance(value, str):
        return read_time(value, step).isoformat()
    return seconds_from(value, step, recorded.now).isoformat()


def _form_of(decisions: list[dict[str, Any]]) -> dict[str, Any]:
    return {"form": decisions[-1].get("form")} if decisions else {"form": None}


def _refuse(
    run: Run,
    step: Step,
    row: Row,
    rejected: dict[str, Any] | None,
    transition: Transition,
    *,
    now: datetime,
) -> object:
    if rejected is not None:
        reason = f": {rejected['comment']}" if rejected.get("comment") else "."
        error = WorkflowError(f"{rejected['by']} rejected '{step.id}'{reason}", code="rejected")
    elif step.on_timeout == "REJECT":
        error = WorkflowError(f"Nobody decided '{step.id}' in time: rejected.", code="rejected")
    else:
        error = WorkflowError(f"Nobody decided '{step.id}' in time.", code="approval_timeout")
    return fail(run, step, row, error, transition, now=now)


def begin_workflow(
    run: Run, step: Step, row: Row, transition: Transition, recorded: Recorded
) -> object:
    """Start a child, then wait for its end."""
    now = recorded.now
    child = run.facts.child
    if row.input is None:
        row.input = {"input": input_of(run, step, recorded), "until": _limit(step, now)}
    if problem := row.input.get("problem"):
        error = WorkflowError(problem["message"], code=problem["code"])
        return fail(run, step, row, error, transition, now=now)
    if child is None:
        assert step.workflow is not None
        transition.child = ChildStart(
            step.workflow, step.version, row.input["input"], step.workflow_id
        )
        return park(row, now=now, until=_next_look(row, now))
    if child.status == "COMPLETED":
        return complete(run, step, row, child.output, transition, now=now)
    if child.status in ("FAILED", "CANCELLED"):
        first: dict[str, Any] = next(iter(child.errors), {})
        sentence = f"The child execution {child.id} {child.status.lower()}"
        detail = f": {first['message']}" if first.get("message") else "."
        error = WorkflowError(sentence + detail, code=f"child_{child.status.lower()}")
        return fail(run, step, row, error, transition, now=now)
    until = row.input.get("until")
    if until and datetime.fromisoformat(until) <= now:
        transition.orphan = child.id
        sentence = f"The child execution {child.id} did not end within {step.timeout:g} s."
        error = WorkflowError(sentence, code="child_timeout")
        return fail(run, step, row, error, transition, now=now)
    return park(row, now=now, until=_next_look(row, now))


def _next_look(row: Row, now: datetime) -> datetime:
    soon = now + timedelta(seconds=CHILD_LOOK_SECONDS)
    until = row.input.get("until")
    return min(soon, datetime.fromisoformat(until)) if until else soon


# --- Branches ---


def begin_parallel(
    run: Run, step: Step, row: Row, transition: Transition, recorded: Recorded
) -> object:
    """Begin every branch; claimed again, enough of them have ended."""
    if row.total:
        return _join(run, step, row, transition, recorded)
    total = len(step.branches)
    needed = {"ALL": total, "ANY": 1}.get(str(step.join), step.join)
    row.total = row.begun = total
    row.needed, row.tolerated = int(needed), total - int(needed)
    row.input = {}
    for index, block in enumerate(step.branches):
        transition.followers.append(first_of_branch(run, row, block.first, index, recorded.now))
    return park(row, now=recorded.now, until=None)


def begin_map(run: Run, step: Step, row: Row, transition: Transition, recorded: Recorded) -> object:
    """Begin as many elements as may run at once; claimed again, their outcome is known."""
    if row.total:
        return _join(run, step, row, transition, recorded)
    assert step.over is not None
    assert step.body is not None
    elements = step.over.render(run.visible(), recorded)
    if not isinstance(elements, list):
        raise ExpressionError(f"What '{step.id}' goes over is not a list.")
    if len(elements) > MAX_ELEMENTS:
        raise ExpressionError(f"'{step.id}' has {len(elements)} elements; at most {MAX_ELEMENTS}.")
    row.input = {"over": elements}
    if not elements:
        return complete(run, step, row, [], transition, now=recorded.now)
    row.total = len(elements)
    row.begun = min(row.total, step.max_concurrency or DEFAULT_CONCURRENCY)
    row.tolerated = min(step.tolerate_failures, row.total)
    row.needed = row.total
    for index in range(row.begun):
        transition.followers.append(first_of_branch(run, row, step.body.first, index, recorded.now))
    return park(row, now=recorded.now, until=None)


def first_of_branch(run: Run, container: Row, step_id: str, index: int, now: datetime) -> Row:
    """The first row of a branch: who claims it gives it its input."""
    step = run.definition.steps[step_id]
    scope = f"{container.path}/{index}"
    return Row(
        id=str(uuid7()),
        step_id=step_id,
        path=f"{scope}/{step_id}",
        scope=scope,
        name=step.name,
        action=step.action or "",
        service=step.target.name if step.target else "",
        wake_at=now,
    )


def has_ended(row: Row) -> bool:
    """Whether a container's outcome is known."""
    return (
        row.done >= row.needed or row.failed > row.tolerated or row.done + row.failed >= row.total
    )


def _join(run: Run, step: Step, row: Row, transition: Transition, recorded: Recorded) -> object:
    if not has_ended(row):
        return park(row, now=recorded.now, until=None)
    if row.done + row.failed < row.begun:
        transition.abandons = row.path
    if row.failed > row.tolerated:
        return _fail_branches(run, step, row, transition, now=recorded.now)
    output = _outputs_of(step, row, run.facts.results)
    return complete(run, step, row, output, transition, now=recorded.now)


def _outputs_of(step: Step, row: Row, results: list[BranchResult]) -> Any:
    good = [r for r in results if r.error is None]
    if step.kind == "PARALLEL":
        return {result.last_step: result.output for result in good}
    outputs = {result.index: result.output for result in good}
    return [outputs.get(index) for index in range(row.total)]


def _fail_branches(
    run: Run, step: Step, row: Row, transition: Transition, *, now: datetime
) -> object:
    failed = sorted((r for r in run.facts.results if r.error is not None), key=lambda r: r.index)
    first = failed[0].error if failed else None
    sentence = f"{row.failed} of {row.total} branches of '{step.id}' failed"
    detail = f": {first['message']}" if first else "."
    about = {"errors": {str(r.index): [str((r.error or {}).get("message"))] for r in failed[:20]}}
    error = WorkflowError(sentence + detail, code="branch_failed", **about)
    return fail(run, step, row, error, transition, now=now)


BEGIN: Mapping[str, Callable[[Run, Step, Row, Transition, Recorded], object]] = {
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
