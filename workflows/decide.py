"""What runs next (pure): from what is known of an execution and one outcome to what to record.

The engine, the validator and the tests share these functions. They read no clock, draw no random
numbers and touch no database: `now` and `fraction` come in, a `Transition` comes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from registry.exceptions import CallError, IntegrationError, ServiceNotFoundError, WorkflowError
from registry.models.base import uuid7
from workflows.definition import Definition, Step
from workflows.expressions import ExpressionError, Recorded, StepOutcomes, build_scope

# Steps without a call run inside one decision; this many in a row must be a loop.
MAX_INLINE_STEPS = 1000
PURE_KINDS = frozenset({"TRANSFORM", "CHOICE", "FAIL", "SUCCEED"})


@dataclass(slots=True)
class Row:
    """One row of `workflow_step`, as far as deciding and recording need it."""

    id: str
    step_id: str
    path: str
    attempt: int = 1
    name: str = ""
    status: str = "PENDING"
    service: str = ""
    instance: str = ""
    action: str = ""
    input: Any = None
    output: Any = None
    error: Any = None
    wake_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    retry_base: int = 0
    retry_since: datetime | None = None
    fence: int = 0


@dataclass(slots=True)
class Run:
    """What is known of an execution. Deciding moves it on; nobody else holds the same one."""

    id: str
    workflow: str
    started_at: datetime
    input: dict[str, Any]
    context: dict[str, Any]
    definition: Definition
    steps: StepOutcomes = field(default_factory=StepOutcomes)
    document: dict[str, Any] = field(default_factory=dict)
    visits: dict[str, int] = field(default_factory=dict)
    last_output: Any = None

    def __post_init__(self) -> None:
        self.document = dict(self.input)

    def learn(self, step_id: str, *, status: str, output: Any, error: Any) -> None:
        """Take up what became of a step."""
        self.steps[step_id] = {"output": output, "status": status, "error": error}
        if status == "COMPLETED":
            self.last_output = output
            if isinstance(output, dict):
                self.document = {**self.document, **output}

    def scope(self, **more: Any) -> dict[str, Any]:
        """What an expression may read."""
        about = {
            "id": self.id,
            "workflow": self.workflow,
            "started_at": self.started_at.isoformat(),
        }
        return build_scope(
            input=self.input, context=self.context, steps=self.steps, execution=about, **more
        )


@dataclass(frozen=True, slots=True)
class Success:
    """An answer. `sent` is the input as it went out."""

    output: Any
    sent: Any
    service: str = ""
    instance: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error that ended an attempt."""

    error: IntegrationError


@dataclass(frozen=True, slots=True)
class Finish:
    """How an execution ends."""

    status: Literal["COMPLETED", "FAILED"]
    output: Any = None
    errors: tuple[dict[str, Any], ...] = ()


@dataclass(slots=True)
class Transition:
    """What to record in one commit: the settled row, the rows that follow, perhaps the end."""

    settled: Row | None = None
    followers: list[Row] = field(default_factory=list)
    finish: Finish | None = None


def resume(run: Run, row: Row, *, now: datetime) -> Transition | None:
    """Make a claimed row ready: None when its call can be made, else what became of it.

    A row that was inserted before its input could be known gets it now; a step without a call is
    done at once.
    """
    step = run.definition.steps[row.step_id]
    run.visits.setdefault(row.step_id, 1)
    if step.kind == "ACTION" and row.input is not None:
        return None
    transition = Transition(settled=row)
    onward = _begin(run, step, row, transition, now=now)
    if onward is _CALL:
        return None
    _go_on(run, onward, transition, now=now)
    return transition


def settle(
    run: Run, row: Row, outcome: Success | Failure, *, now: datetime, fraction: float
) -> Transition:
    """Decide what an outcome of a call means. `fraction` in [0, 1) is the draw for jitter."""
    step = run.definition.steps[row.step_id]
    transition = Transition(settled=row)
    if isinstance(outcome, Success):
        row.input, row.service, row.instance = outcome.sent, outcome.service, outcome.instance
        onward = _complete(run, step, row, outcome.output, transition, now=now)
    else:
        onward = _fail(run, step, row, outcome.error, transition, now=now, fraction=fraction)
    _go_on(run, onward, transition, now=now)
    return transition


# What a step leads to: the id of the next one, None at the end, or one of these.
_CALL = object()
_STOP = object()


def _go_on(run: Run, onward: object, transition: Transition, *, now: datetime) -> None:
    """Enter steps until one needs a call, a wait, or there is none left."""
    while onward is not _CALL and onward is not _STOP:
        if onward is None:
            transition.finish = _finish(run)
            return
        onward = _enter(run, run.definition.steps[str(onward)], transition, now=now)


def _enter(run: Run, step: Step, transition: Transition, *, now: datetime) -> object:
    visit = run.visits.get(step.id, 0) + 1
    row = Row(
        id=str(uuid7()),
        step_id=step.id,
        path=step.id if visit == 1 else f"{step.id}#{visit}",
        name=step.name,
        action=step.action or "",
        service=step.target.name if step.target else "",
        wake_at=now,
    )
    transition.followers.append(row)
    if step.max_visits is not None and visit > step.max_visits:
        sentence = f"The step '{step.id}' was to run more than {step.max_visits} times."
        return _end_failed(row, WorkflowError(sentence, code="max_visits"), transition, now=now)
    if len(transition.followers) > MAX_INLINE_STEPS:
        sentence = f"More than {MAX_INLINE_STEPS} steps ran without a call or a wait."
        return _end_failed(row, WorkflowError(sentence, code="endless_loop"), transition, now=now)
    run.visits[step.id] = visit
    return _begin(run, step, row, transition, now=now)


def _begin(run: Run, step: Step, row: Row, transition: Transition, *, now: datetime) -> object:
    """Start one step: skip it, do it, or give it the input for its call."""
    recorded = Recorded(now, f"{run.id}:{row.path}")
    try:
        if step.when is not None and not step.when.truth(run.scope(), recorded):
            return _skip(run, step, row, transition, now=now)
        if step.kind in PURE_KINDS:
            return _do_pure(run, step, row, transition, recorded)
        row.input = _input_of(run, step, recorded)
    except ExpressionError as error:
        return _fail(run, step, row, error, transition, now=now, fraction=0.0)
    return _CALL


def _input_of(run: Run, step: Step, recorded: Recorded) -> dict[str, Any]:
    if step.input is None:
        return run.document
    document = step.input.render(run.scope(), recorded)
    if not isinstance(document, dict):
        raise ExpressionError(f"The input of '{step.id}' is not an object.")
    return document


def _do_pure(run: Run, step: Step, row: Row, transition: Transition, recorded: Recorded) -> object:
    now = recorded.now
    row.started_at = row.started_at or now
    if step.kind == "FAIL":
        return _end_failed(row, _chosen_error(run, step, recorded), transition, now=now)
    output: Any = None
    if step.output is not None:
        output = step.output.render(run.scope(), recorded)
        if not isinstance(output, dict | list):
            raise ExpressionError(f"The output of '{step.id}' is not an object or a list.")
    if step.kind != "SUCCEED":
        return _complete(run, step, row, output, transition, now=now)
    _record(row, "COMPLETED", now=now, output=output)
    run.learn(step.id, status="COMPLETED", output=output, error=None)
    transition.finish = _finish(run)
    return _STOP


def _chosen_error(run: Run, step: Step, recorded: Recorded) -> WorkflowError:
    made = step.error.render(run.scope(), recorded) if step.error is not None else None
    if isinstance(made, Mapping):
        code = str(made.get("code") or "failed")
        return WorkflowError(str(made.get("message") or f"'{step.id}' ended it."), code=code)
    return WorkflowError(str(made or f"The step '{step.id}' ended the workflow."), code="failed")


def _skip(run: Run, step: Step, row: Row, transition: Transition, *, now: datetime) -> object:
    _record(row, "SKIPPED", now=now)
    run.learn(step.id, status="SKIPPED", output=None, error=None)
    return _route(run, step, row, None, transition, now=now)


def _complete(
    run: Run,
    step: Step,
    row: Row,
    output: Any,
    transition: Transition,
    *,
    now: datetime,
    error: dict[str, Any] | None = None,
) -> object:
    _record(row, "COMPLETED", now=now, output=output, error=error)
    run.learn(step.id, status="COMPLETED", output=output, error=error)
    return _route(run, step, row, output, transition, now=now)


def _route(
    run: Run, step: Step, row: Row, output: Any, transition: Transition, *, now: datetime
) -> object:
    """The step after this one. Where no condition holds, the row fails: a silent end would hide it."""
    if not step.next:
        return None
    recorded = Recorded(now, f"{run.id}:{row.path}:next")
    try:
        scope = run.scope(output=output)
        for route in step.next:
            if route.when is None or route.when.truth(scope, recorded):
                return route.step
    except ExpressionError as error:
        return _end_failed(row, error, transition, now=now)
    sentence = f"No condition of `next` of the step '{step.id}' holds, and none is the default."
    return _end_failed(row, WorkflowError(sentence, code="no_route"), transition, now=now)


def _fail(
    run: Run,
    step: Step,
    row: Row,
    error: IntegrationError,
    transition: Transition,
    *,
    now: datetime,
    fraction: float,
) -> object:
    """Retry, then fallback, then optional, else the end."""
    if _may_retry(step, row, error, now=now):
        _record(row, "FAILED", now=now, error={**describe(error), "handled": "RETRIED"})
        transition.followers.append(_next_attempt(step, row, error, now=now, fraction=fraction))
        return _STOP
    if step.fallback is not None:
        return _fall_back(run, step, row, error, transition, now=now)
    if step.optional:
        described = {**describe(error), "handled": "OPTIONAL"}
        _record(row, "SKIPPED", now=now, error=described)
        run.learn(step.id, status="SKIPPED", output=None, error=described)
        return _route(run, step, row, None, transition, now=now)
    return _end_failed(row, error, transition, now=now)


def _may_retry(step: Step, row: Row, error: IntegrationError, *, now: datetime) -> bool:
    since = row.retry_since or row.started_at or now
    return isinstance(error, CallError) and step.retry.allows(
        row.attempt - row.retry_base,
        kind=error.kind,
        status_code=error.upstream_status,
        code=error.code,
        elapsed=(now - since).total_seconds(),
    )


def _next_attempt(
    step: Step, row: Row, error: IntegrationError, *, now: datetime, fraction: float
) -> Row:
    delay = step.retry.delay(
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
    error: IntegrationError,
    transition: Transition,
    *,
    now: datetime,
) -> object:
    assert step.fallback is not None
    described = {**describe(error), "handled": "FALLBACK"}
    if step.fallback.output is None:
        _record(row, "FAILED", now=now, error=described)
        run.learn(step.id, status="FAILED", output=None, error=described)
        return step.fallback.step
    run.learn(step.id, status="FAILED", output=None, error=described)
    try:
        recorded = Recorded(now, f"{run.id}:{row.path}:fallback")
        output = step.fallback.output.render(run.scope(), recorded)
        if not isinstance(output, dict | list):
            raise ExpressionError(f"The fallback of '{step.id}' is not an object or a list.")
    except ExpressionError as broken:
        return _end_failed(row, broken, transition, now=now)
    return _complete(run, step, row, output, transition, now=now, error=described)


def _end_failed(
    row: Row, error: IntegrationError, transition: Transition, *, now: datetime
) -> object:
    described = describe(error)
    _record(row, "FAILED", now=now, output=row.output, error=described)
    entry = {"step": row.step_id, "path": row.path, "attempt": row.attempt, **described}
    transition.finish = Finish("FAILED", errors=(entry,))
    return _STOP


def _record(row: Row, status: str, *, now: datetime, output: Any = None, error: Any = None) -> None:
    row.status, row.output, row.error = status, output, error
    row.started_at = row.started_at or now
    row.completed_at = now
    row.wake_at = None


def _finish(run: Run) -> Finish:
    """The end that was reached; the definition's own `output` shapes what comes out."""
    template = run.definition.output
    if template is None:
        return Finish("COMPLETED", output=run.last_output)
    try:
        recorded = Recorded(run.started_at, f"{run.id}:output")
        output = template.render(run.scope(output=run.last_output), recorded)
        if not isinstance(output, dict | list):
            raise ExpressionError("The output of the workflow is not an object or a list.")
    except ExpressionError as error:
        return Finish("FAILED", errors=({"step": None, **describe(error)},))
    return Finish("COMPLETED", output=output)


_SHOWN = ("service", "instance", "action", "upstream_status", "retry_after", "errors")


def describe(error: IntegrationError) -> dict[str, Any]:
    """An error as it is kept and shown: its code, its sentence and what it was about."""
    message = error.message
    if isinstance(error, ServiceNotFoundError):
        message = f"Service not found: {message}"
    about = {k: error.details[k] for k in _SHOWN if error.details.get(k) not in (None, "", {})}
    code = error.details.get("code") or error.code
    return {"code": code, "message": message, "permanent": error.permanent, **about}
