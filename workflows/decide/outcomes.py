"""The meaning of a row's outcome: recorded, tried again, replaced, passed over, or the end."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from core.db.uuid7 import uuid7
from core.exceptions import IntegrationError
from core.expressions import ExpressionError, Recorded
from registry.exceptions import CallError, ServiceNotFoundError
from workflows.decide.state import CallSuccess, ExecutionState, Finish, Row
from workflows.decide.turn import Halt, Next, Turn
from workflows.definition import RetryPolicy
from workflows.exceptions import WorkflowError
from workflows.models import ExecutionStatus, StepStatus

# An attempt whose time was over before anybody could begin it.
TOO_LATE = "retry_too_late"


def skip(turn: Turn) -> Next:
    """Pass over a step whose condition does not hold."""
    record(turn.row, StepStatus.SKIPPED, now=turn.now)
    turn.execution.learn(turn.step.id, status=StepStatus.SKIPPED, output=None, error=None)
    return route(turn, None)


def complete(turn: Turn, output: Any, *, error: dict[str, Any] | None = None) -> Next:
    """Record what a step came to, and go where its `next` says."""
    record(turn.row, StepStatus.COMPLETED, now=turn.now, output=output, error=error)
    turn.execution.learn(turn.step.id, status=StepStatus.COMPLETED, output=output, error=error)
    return route(turn, output)


def route(turn: Turn, output: Any) -> Next:
    """Return the step after this one; where no condition holds the row fails, visibly."""
    if not turn.step.next:
        return None
    if turn.step.next[0].when is None:  # as of most steps: there is nothing to evaluate
        return turn.step.next[0].step
    recorded = turn.recorded(":next")
    try:
        scope = turn.execution.visible(output=output)
        for way in turn.step.next:
            if way.when is None or way.when.truth(scope, recorded):
                return way.step
    except ExpressionError as error:
        return end_failed(turn, error)
    sentence = (
        f"No condition of `next` of the step '{turn.step.id}' holds, and none is the default."
    )
    return end_failed(turn, WorkflowError(sentence, code="no_route"))


def fail(turn: Turn, error: IntegrationError) -> Next:
    """Retry, then the route of the error, then the fallback, then optional, else the end."""
    step, row, now = turn.step, turn.row, turn.now
    if may_retry(step.retry, row, error):
        again = next_attempt(step.retry, row, error, now=now, fraction=turn.fraction)
        late = why_too_late(step.retry, again, now=now, deadline=turn.execution.deadline)
        if not late:
            record_retried(row, error, now=now)
            turn.transition.followers.append(again)
            return Halt.STOP
        error = error.noting(late)
    described = describe(error)
    way = next((r for r in step.on_error if "*" in r.match or described["code"] in r.match), None)
    if way is not None:
        _record_handled(turn, {**described, "handled": "ROUTED"}, StepStatus.FAILED)
        return way.step
    if step.fallback is not None:
        return _fall_back(turn, described)
    if step.optional:
        _record_handled(turn, {**described, "handled": "OPTIONAL"}, StepStatus.SKIPPED)
        return route(turn, None)
    return end_failed(turn, error)


def record_retried(row: Row, error: IntegrationError, *, now: datetime) -> None:
    """Settle an attempt that another one follows."""
    record(row, StepStatus.FAILED, now=now, error={**describe(error), "handled": "RETRIED"})


def _record_handled(turn: Turn, described: dict[str, Any], status: StepStatus) -> None:
    record(turn.row, status, now=turn.now, error=described)
    turn.execution.learn(turn.step.id, status=status, output=None, error=described)


def deadline_exceeded() -> WorkflowError:
    """Return the error of an execution whose `timeout` is over."""
    return WorkflowError("It took longer than its timeout.", code="deadline_exceeded")


def may_retry(policy: RetryPolicy, row: Row, error: IntegrationError) -> bool:
    """Return whether another attempt may follow one that failed thus, if it is not too late."""
    return isinstance(error, CallError) and policy.allows(
        row.attempt - row.retry_base,
        kind=error.kind,
        status_code=error.upstream_status,
        code=error.code,
    )


def why_too_late(
    policy: RetryPolicy, again: Row, *, now: datetime, deadline: datetime | None = None
) -> str:
    """Return a sentence when an attempt would begin after a bound that rules it out, else "".

    The bounds are the policy's `max_elapsed` and the `deadline` of the execution.
    """
    begins = max(again.wake_at or now, now)
    since = again.retry_since or now
    elapsed, pause = (begins - since).total_seconds(), (begins - now).total_seconds()
    if policy.max_elapsed is not None and elapsed >= policy.max_elapsed:
        return (
            f"No further attempt: it would begin {elapsed:.3g} s after the first one, and"
            f" `max_elapsed` is {policy.max_elapsed:g} s."
        )
    if deadline is not None and begins >= deadline:
        return (
            f"No further attempt: it would begin in {pause:.3g} s, and the `timeout` of the"
            " execution ends before that."
        )
    return ""


def next_attempt(
    policy: RetryPolicy, row: Row, error: IntegrationError, *, now: datetime, fraction: float
) -> Row:
    """Return the row of the attempt after this one, which waits for its time."""
    delay = policy.delay(
        row.attempt - row.retry_base,
        retry_after=getattr(error, "retry_after", None),
        fraction=fraction,
    )
    return replace(
        row,
        id=str(uuid7()),
        attempt=row.attempt + 1,
        status=StepStatus.WAITING,
        instance="",
        output=None,
        error=None,
        wake_at=now + timedelta(seconds=delay),
        started_at=None,
        completed_at=None,
        retry_since=row.retry_since or row.started_at or now,
        fence=0,
    )


def _fall_back(turn: Turn, described: dict[str, Any]) -> Next:
    fallback = turn.step.fallback
    assert fallback is not None
    described = {**described, "handled": "FALLBACK"}
    turn.execution.learn(turn.step.id, status=StepStatus.FAILED, output=None, error=described)
    if fallback.output is None:
        record(turn.row, StepStatus.FAILED, now=turn.now, error=described)
        return fallback.step
    try:
        output = fallback.output.render(turn.execution.visible(), turn.recorded(":fallback"))
        check_document(output, f"The fallback of '{turn.step.id}'")
    except ExpressionError as error:
        return end_failed(turn, error)
    return complete(turn, output, error=described)


def end_failed(turn: Turn, error: IntegrationError) -> Next:
    """Record a failure that nothing handles: the execution, or this branch of it, ends with it."""
    row, described = turn.row, describe(error)
    # Of a step that led nowhere the output stays: it is compensated with it.
    record(row, StepStatus.FAILED, now=turn.now, output=row.output, error=described)
    entry = {"step": row.step_id, "path": row.path, "attempt": row.attempt, **described}
    end(turn, Finish(ExecutionStatus.FAILED, errors=(entry,)))
    return Halt.STOP


def end(turn: Turn, finish: Finish) -> None:
    """End the execution, or inside a branch the branch."""
    if turn.execution.scope:
        turn.transition.leaves = finish
    else:
        turn.transition.finish = finish


def take_up(row: Row, outcome: CallSuccess) -> None:
    """Keep who answered, what it was sent and what was left out."""
    row.input, row.service, row.instance = outcome.sent, outcome.service, outcome.instance
    row.warnings = list(outcome.warnings) or None


def record(
    row: Row, status: StepStatus, *, now: datetime, output: Any = None, error: Any = None
) -> None:
    """Settle a row."""
    row.status, row.output, row.error = status, output, error
    row.started_at = row.started_at or now
    row.completed_at = now
    row.wake_at = None


def finish(execution: ExecutionState) -> Finish:
    """Return the end that was reached; the definition's own `output` shapes what comes out."""
    template = execution.definition.output
    if template is None or execution.scope:
        return Finish(ExecutionStatus.COMPLETED, output=execution.last_output)
    try:
        recorded = Recorded(execution.started_at, f"{execution.id}:output")
        output = template.render(execution.visible(output=execution.last_output), recorded)
        check_document(output, "The output of the workflow")
    except ExpressionError as error:
        entry = {"step": None, **describe(error)}
        return Finish(ExecutionStatus.FAILED, errors=(entry,))
    return Finish(ExecutionStatus.COMPLETED, output=output)


def check_document(value: Any, name: str) -> None:
    """Refuse what is neither an object nor a list.

    Raises:
        ExpressionError: it is something else.
    """
    if not isinstance(value, dict | list):
        raise ExpressionError(f"{name} is not an object or a list.")


_SHOWN = ("service", "instance", "action", "upstream_status", "retry_after", "errors")


def describe(error: IntegrationError) -> dict[str, Any]:
    """Return an error as it is kept and shown: its code, its sentence and what it was about."""
    message = error.message
    if isinstance(error, ServiceNotFoundError):
        message = f"Service not found: {message}"
    about = {k: error.details[k] for k in _SHOWN if error.details.get(k) not in (None, "", {})}
    code = error.details.get("code") or error.code
    return {"code": code, "message": message, "permanent": error.permanent, **about}
