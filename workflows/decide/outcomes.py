"""What a row's outcome means: recorded, tried again, replaced, passed over, or the end."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from core.db.uuid7 import uuid7
from core.exceptions import IntegrationError
from core.expressions import ExpressionError, Recorded
from registry.exceptions import CallError, ServiceNotFoundError
from workflows.decide.state import Finish, Row, Run, Success, Transition
from workflows.definition import RetryPolicy, Step
from workflows.exceptions import WorkflowError

# What a step leads to: the id of the next one, None at the end, or one of these.
CALL = object()
STOP = object()

# An attempt whose time was over before anybody could begin it.
TOO_LATE = "retry_too_late"


def skip(run: Run, step: Step, row: Row, transition: Transition, *, now: datetime) -> object:
    """Pass over a step whose condition does not hold."""
    record(row, "SKIPPED", now=now)
    run.learn(step.id, status="SKIPPED", output=None, error=None)
    return route(run, step, row, None, transition, now=now)


def complete(
    run: Run,
    step: Step,
    row: Row,
    output: Any,
    transition: Transition,
    *,
    now: datetime,
    error: dict[str, Any] | None = None,
) -> object:
    """Record what a step came to, and go where its `next` says."""
    record(row, "COMPLETED", now=now, output=output, error=error)
    run.learn(step.id, status="COMPLETED", output=output, error=error)
    return route(run, step, row, output, transition, now=now)


def route(
    run: Run, step: Step, row: Row, output: Any, transition: Transition, *, now: datetime
) -> object:
    """The step after this one. Where no condition holds, the row fails: silence would hide it."""
    if not step.next:
        return None
    recorded = Recorded(now, f"{run.id}:{row.path}:next")
    try:
        scope = run.visible(output=output)
        for way in step.next:
            if way.when is None or way.when.truth(scope, recorded):
                return way.step
    except ExpressionError as error:
        return end_failed(run, row, error, transition, now=now)
    sentence = f"No condition of `next` of the step '{step.id}' holds, and none is the default."
    return end_failed(run, row, WorkflowError(sentence, code="no_route"), transition, now=now)


def fail(
    run: Run,
    step: Step,
    row: Row,
    error: IntegrationError,
    transition: Transition,
    *,
    now: datetime,
    fraction: float = 0.0,
) -> object:
    """Retry, then the route of the error, then the fallback, then optional, else the end."""
    if may_retry(step.retry, row, error):
        again = next_attempt(step.retry, row, error, now=now, fraction=fraction)
        late = why_too_late(step.retry, again, now=now, deadline=run.deadline)
        if not late:
            record(row, "FAILED", now=now, error={**describe(error), "handled": "RETRIED"})
            transition.followers.append(again)
            return STOP
        error = error.noting(late)
    described = describe(error)
    way = next((r for r in step.on_error if "*" in r.match or described["code"] in r.match), None)
    if way is not None:
        _record_handled(run, row, {**described, "handled": "ROUTED"}, "FAILED", now=now)
        return way.step
    if step.fallback is not None:
        return _fall_back(run, step, row, described, transition, now=now)
    if step.optional:
        _record_handled(run, row, {**described, "handled": "OPTIONAL"}, "SKIPPED", now=now)
        return route(run, step, row, None, transition, now=now)
    return end_failed(run, row, error, transition, now=now)


def _record_handled(
    run: Run, row: Row, described: dict[str, Any], status: str, *, now: datetime
) -> None:
    record(row, status, now=now, error=described)
    run.learn(row.step_id, status=status, output=None, error=described)


def deadline_exceeded() -> WorkflowError:
    """The error of an execution whose `timeout` is over."""
    return WorkflowError("It took longer than its timeout.", code="deadline_exceeded")


def may_retry(policy: RetryPolicy, row: Row, error: IntegrationError) -> bool:
    """Whether another attempt may follow this one, which failed thus, if it is not too late."""
    return isinstance(error, CallError) and policy.allows(
        row.attempt - row.retry_base,
        kind=error.kind,
        status_code=error.upstream_status,
        code=error.code,
    )


def why_too_late(
    policy: RetryPolicy, again: Row, *, now: datetime, deadline: datetime | None = None
) -> str:
    """A sentence when an attempt would begin after a bound that rules it out; "" when in time.

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
    """The row of the attempt after this one, which waits for its time."""
    delay = policy.delay(
        row.attempt - row.retry_base,
        retry_after=getattr(error, "retry_after", None),
        fraction=fraction,
    )
    return replace(
        row,
        id=str(uuid7()),
        attempt=row.attempt + 1,
        status="WAITING",
        instance="",
        output=None,
        error=None,
        wake_at=now + timedelta(seconds=delay),
        started_at=None,
        completed_at=None,
        retry_since=row.retry_since or row.started_at or now,
        fence=0,
    )


def _fall_back(
    run: Run,
    step: Step,
    row: Row,
    described: dict[str, Any],
    transition: Transition,
    *,
    now: datetime,
) -> object:
    assert step.fallback is not None
    described = {**described, "handled": "FALLBACK"}
    run.learn(step.id, status="FAILED", output=None, error=described)
    if step.fallback.output is None:
        record(row, "FAILED", now=now, error=described)
        return step.fallback.step
    try:
        recorded = Recorded(now, f"{run.id}:{row.path}:fallback")
        output = step.fallback.output.render(run.visible(), recorded)
        check_document(output, f"The fallback of '{step.id}'")
    except ExpressionError as broken:
        return end_failed(run, row, broken, transition, now=now)
    return complete(run, step, row, output, transition, now=now, error=described)


def end_failed(
    run: Run, row: Row, error: IntegrationError, transition: Transition, *, now: datetime
) -> object:
    """Record a failure that nothing handles: the execution, or this branch of it, ends with it."""
    described = describe(error)
    # Of a step that led nowhere the output stays: it is undone with it.
    record(row, "FAILED", now=now, output=row.output, error=described)
    entry = {"step": row.step_id, "path": row.path, "attempt": row.attempt, **described}
    end(run, transition, Finish("FAILED", errors=(entry,)))
    return STOP


def end(run: Run, transition: Transition, finish: Finish) -> None:
    """End the execution, or inside a branch the branch."""
    if run.scope:
        transition.leaves = finish
    else:
        transition.finish = finish


def take_up(row: Row, outcome: Success) -> None:
    """Keep who answered, what it was sent and what was left out."""
    row.input, row.service, row.instance = outcome.sent, outcome.service, outcome.instance
    row.warnings = list(outcome.warnings) or None


def record(row: Row, status: str, *, now: datetime, output: Any = None, error: Any = None) -> None:
    """Settle a row."""
    row.status, row.output, row.error = status, output, error
    row.started_at = row.started_at or now
    row.completed_at = now
    row.wake_at = None


def finish(run: Run) -> Finish:
    """The end that was reached; the definition's own `output` shapes what comes out."""
    template = run.definition.output
    if template is None or run.scope:
        return Finish("COMPLETED", output=run.last_output)
    try:
        recorded = Recorded(run.started_at, f"{run.id}:output")
        output = template.render(run.visible(output=run.last_output), recorded)
        check_document(output, "The output of the workflow")
    except ExpressionError as error:
        return Finish("FAILED", errors=({"step": None, **describe(error)},))
    return Finish("COMPLETED", output=output)


def check_document(value: Any, what: str) -> None:
    """Refuse what is neither an object nor a list.

    Raises:
        ExpressionError: it is something else.
    """
    if not isinstance(value, dict | list):
        raise ExpressionError(f"{what} is not an object or a list.")


_SHOWN = ("service", "instance", "action", "upstream_status", "retry_after", "errors")


def describe(error: IntegrationError) -> dict[str, Any]:
    """An error as it is kept and shown: its code, its sentence and what it was about."""
    message = error.message
    if isinstance(error, ServiceNotFoundError):
        message = f"Service not found: {message}"
    about = {k: error.details[k] for k in _SHOWN if error.details.get(k) not in (None, "", {})}
    code = error.details.get("code") or error.code
    return {"code": code, "message": message, "permanent": error.permanent, **about}
