"""WAIT and EVENT: steps that wait for a time or for a signal."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from core.expressions import ExpressionError
from core.instants import InstantRefused, parse_instant
from workflows.decide.outcomes import complete, fail
from workflows.decide.state import Signal, Unmatchable
from workflows.decide.turn import Next, Turn
from workflows.definition import Step
from workflows.exceptions import WorkflowError

LONGEST_WAIT = timedelta(days=366)


def begin_wait(turn: Turn) -> Next:
    """Wait for a time; claimed again, the time has come."""
    row = turn.row
    if row.input is None:
        until = _time_of(turn)
        row.input = {"until": until.isoformat()}
    else:
        until = datetime.fromisoformat(row.input["until"])
    return turn.park(until=until) if until > turn.now else complete(turn, None)


def _time_of(turn: Turn) -> datetime:
    step, visible, recorded = turn.step, turn.execution.visible(), turn.recorded()
    if step.seconds is not None:
        return seconds_from(step.seconds.render(visible, recorded), step, turn.now)
    assert step.until is not None
    return read_time(step.until.render(visible, recorded), step)


def seconds_from(value: Any, step: Step, now: datetime) -> datetime:
    """Return the time that many seconds from now, at most a year. Raises ExpressionError."""
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    if not usable or not 0 <= value <= LONGEST_WAIT.total_seconds():
        raise ExpressionError(f"The seconds of '{step.id}' are not a number from 0 to a year.")
    return now + timedelta(seconds=value)


def read_time(value: Any, step: Step) -> datetime:
    """Return a time with its offset, as RFC 3339 writes it. Raises ExpressionError."""
    try:
        return parse_instant(value)
    except InstantRefused as error:
        shown = value[:50] if isinstance(value, str) else type(value).__name__
        raise ExpressionError(f"The time of '{step.id}' is '{shown}'. {error}") from None


def begin_event(turn: Turn) -> Next:
    """Take the first signal that matches, also one that came early; else wait for it.

    One that cannot be judged is set aside with the reason, and looked at no more.
    """
    row, transition = turn.row, turn.transition
    if row.input is None:
        row.input = {"event": _event_name(turn), "until": time_limit(turn)}
    signal, transition.set_aside = _matching(turn)
    if transition.set_aside:
        sequences = [unmatchable.sequence for unmatchable in transition.set_aside]
        row.input = {**row.input, "set_aside": [*row.input.get("set_aside", ()), *sequences]}
    if signal is not None:
        row.input = {**row.input, "taken": signal.sequence}
        transition.takes = signal.sequence
        payload = signal.payload
        return complete(turn, payload if isinstance(payload, dict | list) else {"value": payload})
    until = read_limit(turn)
    if until is not None and until <= turn.now:
        sentence = f"No signal '{row.input['event']}' came within {turn.step.timeout:g} s."
        return fail(turn, WorkflowError(sentence, code="event_timeout"))
    transition.parked = True
    return turn.park(until=until)


def _event_name(turn: Turn) -> str:
    assert turn.step.event is not None
    name = turn.step.event.render(turn.execution.visible(), turn.recorded())
    if not isinstance(name, str) or not name:
        raise ExpressionError(f"The event of '{turn.step.id}' is not a name.")
    return name


def _matching(turn: Turn) -> tuple[Signal | None, tuple[Unmatchable, ...]]:
    """Return the first signal that is meant, and those before it on which `match` failed."""
    match, recorded = turn.step.match, turn.recorded()
    set_aside = turn.row.input.get("set_aside", ())
    failed: list[Unmatchable] = []
    for signal in turn.execution.facts.signals:
        if signal.name != turn.row.input["event"] or signal.sequence in set_aside:
            continue
        scope = {**turn.execution.visible(), "event": signal.payload}
        try:
            if match is None or match.truth(scope, recorded):
                return signal, tuple(failed)
        except ExpressionError as error:
            failed.append(Unmatchable(signal.sequence, signal.name, error.message))
    return None, tuple(failed)


def time_limit(turn: Turn) -> str | None:
    """Return when the step's `timeout` is over, as its row keeps it; None without one."""
    timeout = turn.step.timeout
    return (turn.now + timedelta(seconds=timeout)).isoformat() if timeout else None


def read_limit(turn: Turn) -> datetime | None:
    """Return the time that `time_limit` put into the row's input."""
    until = turn.row.input.get("until")
    return datetime.fromisoformat(until) if until else None
