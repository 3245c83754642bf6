"""Executions: start and wait, look, cancel, retry, rerun."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from service_integration_client.exceptions import (
    CircuitOpenError,
    MaxRetriesExceededError,
    WorkflowExecutionError,
)
from service_integration_client.hub import Hub
from service_integration_client.operations.control import EXECUTIONS
from service_integration_client.operations.workflows import WORKFLOWS
from service_integration_client.requests import JsonObject, Request, create, read
from service_integration_client.results import (
    NEEDS_A_PERSON,
    WorkflowResult,
    failure_of,
    has_ended,
    id_of,
)

FIRST_WAIT_SECONDS = 60
POLL_WAIT_SECONDS = 20
TYPE_WAIT_SECONDS = 30
OUTAGE_ATTEMPTS = 10
OUTAGE_PAUSE_SECONDS = 2.0
SHORTEST_POLL_SECONDS = 1.0


async def execute_workflow(
    hub: Hub,
    workflow_id: str,
    input_data: JsonObject | None = None,
    context: JsonObject | None = None,
    *,
    version: int | None = None,
    wait: bool = True,
    timeout: float | None = None,
    raise_on_failure: bool = True,
    priority: int | None = None,
    idempotency_key: str | None = None,
) -> WorkflowResult:
    """Run a workflow, by its id or name, and answer its output.

    Without a `version`, the current one.

    The answer is a mapping of the output with `execution_id`, `status`, `steps` and `errors` as
    attributes. It waits until the execution ends, or for `timeout` seconds at most; outages of the
    hub are waited out for a minute and more. With ``wait=False`` it answers at once, with the
    execution as the mapping. Higher `priority`, from -100 to 100, comes first. A program that may
    itself be started again gives an `idempotency_key`: the same key is the same execution.
    Raises: WorkflowExecutionError when the execution ended otherwise than COMPLETED or needs a
    person, unless `raise_on_failure` is false; and when `timeout` passed (code ``wait_timeout``).
    """
    first_wait = _first_wait(timeout) if wait else 0
    path, about = WORKFLOWS.at(workflow_id, "execute"), WORKFLOWS.about(workflow_id)
    body: JsonObject = {
        "input_data": input_data or {},
        "context": context or {},
        "wait": first_wait,
        "version": version,
        "priority": priority,
    }
    request = create(path, body=body, about=about)
    return await _run(
        hub,
        _keyed(replace(request, wait_seconds=first_wait), idempotency_key),
        wait=wait,
        timeout=timeout,
        raise_on_failure=raise_on_failure,
    )


async def execute_workflow_type(
    hub: Hub,
    workflow_type: str,
    input_data: JsonObject | None = None,
    context: JsonObject | None = None,
    *,
    wait: bool = True,
    timeout: float | None = None,
    raise_on_failure: bool = True,
    priority: int | None = None,
    idempotency_key: str | None = None,
) -> WorkflowResult:
    """Run the workflow of a type, such as PROJECT_PLANNING; all else as `execute_workflow`.

    Raises: ResourceNotFoundError, ValidationError, WorkflowExecutionError.
    """
    body: JsonObject = {
        "workflow_type": workflow_type,
        "data": input_data or {},
        "context": context or {},
        "priority": priority,
    }
    request = create(f"{WORKFLOWS.path}/execute", body=body, about=WORKFLOWS.about(workflow_type))
    return await _run(
        hub,
        _keyed(replace(request, wait_seconds=TYPE_WAIT_SECONDS), idempotency_key),
        wait=wait,
        timeout=timeout,
        raise_on_failure=raise_on_failure,
    )


def _keyed(request: Request, key: str | None) -> Request:
    return request if key is None else replace(request, idempotency_key=key)


def _first_wait(timeout: float | None) -> float:
    return FIRST_WAIT_SECONDS if timeout is None else max(0.0, min(FIRST_WAIT_SECONDS, timeout))


async def _run(
    hub: Hub, request: Request, *, wait: bool, timeout: float | None, raise_on_failure: bool
) -> WorkflowResult:
    deadline = None if timeout is None else hub.now() + timeout
    request = replace(request, deadline=deadline)
    execution = await _started(hub, request, wait=wait, deadline=deadline)
    if not wait:
        return WorkflowResult(execution, content=execution)
    execution = await _ended(hub, execution, deadline=deadline)
    if raise_on_failure and execution.get("status") != "COMPLETED":
        raise failure_of(execution)
    return WorkflowResult(execution)


async def _started(hub: Hub, request: Request, *, wait: bool, deadline: float | None) -> JsonObject:
    """The new execution. When the hub went away after it had been asked, it is asked again with
    the same key once it is back: it answers with the same execution.
    """
    try:
        answer: JsonObject = await hub.call(request)
    except (MaxRetriesExceededError, CircuitOpenError) as error:
        pause = _pause(error)
        late = deadline is not None and hub.now() + pause >= deadline
        if late or not (wait and error.may_have_happened):
            raise
        await hub.sleep(pause)
        return await _outlasting(hub, request, deadline=deadline)
    return answer


async def _ended(hub: Hub, execution: JsonObject, *, deadline: float | None) -> JsonObject:
    """The execution once it ended or needs a person."""
    while not has_ended(execution) and execution.get("status") != NEEDS_A_PERSON:
        seconds = POLL_WAIT_SECONDS if deadline is None else deadline - hub.now()
        if seconds <= 0:
            raise _out_of_time(execution)
        poll = _poll(id_of(execution), wait=min(POLL_WAIT_SECONDS, seconds))
        poll = replace(poll, deadline=deadline)
        execution = await _outlasting(hub, poll, deadline=deadline)
    return execution


def _poll(execution_id: str, *, wait: float) -> Request:
    """Answered as soon as the execution ended, or after `wait` seconds."""
    seconds = max(SHORTEST_POLL_SECONDS, wait)
    request = read(EXECUTIONS.at(execution_id), about=EXECUTIONS.about(execution_id), wait=seconds)
    return replace(request, wait_seconds=seconds)


async def _outlasting(hub: Hub, request: Request, *, deadline: float | None) -> JsonObject:
    """The answer of a hub that restarts meanwhile, unless that takes too long."""
    attempt = 0
    while True:
        attempt += 1
        try:
            answer: JsonObject = await hub.call(request)
        except (MaxRetriesExceededError, CircuitOpenError) as error:
            pause = _pause(error)
            late = deadline is not None and hub.now() + pause >= deadline
            if late or attempt == OUTAGE_ATTEMPTS:
                raise
            await hub.sleep(pause)
        else:
            return answer


def _pause(error: MaxRetriesExceededError | CircuitOpenError) -> float:
    """Seconds until a hub that is down is asked again; a breaker says when it lets a call try."""
    if isinstance(error, CircuitOpenError):
        return max(OUTAGE_PAUSE_SECONDS, error.retry_after or 0.0)
    return OUTAGE_PAUSE_SECONDS


def _out_of_time(execution: JsonObject) -> WorkflowExecutionError:
    error = failure_of(execution)
    error.code = "wait_timeout"
    return error


async def get_workflow_execution_status(hub: Hub, execution_id: str) -> JsonObject:
    """An execution: its status, output, errors, steps. Raises: ResourceNotFoundError."""
    return await EXECUTIONS.get(hub, execution_id)


async def get_workflow_executions(
    hub: Hub,
    workflow_id: str,
    status: str | None = None,
    *,
    created_after: str | None = None,
    created_before: str | None = None,
    ordering: str | None = None,
    page: int | None = None,
    per_page: int | None = None,
    cursor: str | None = None,
) -> JsonObject:
    """One page of a workflow's executions; `cursor` as in `get_executions`.

    The two times are ISO 8601. Raises: ResourceNotFoundError, ValidationError.
    """
    return await WORKFLOWS.get(
        hub,
        workflow_id,
        "executions",
        status=status,
        created_after=created_after,
        created_before=created_before,
        ordering=ordering,
        page=page,
        per_page=per_page,
        cursor=cursor,
    )


async def get_execution_steps(
    hub: Hub,
    execution_id: str,
    *,
    page: int | None = None,
    per_page: int | None = 50,
    cursor: str | None = None,
) -> JsonObject:
    """A page of the attempts at steps of an execution; `cursor` as in `get_executions`.

    Raises: ResourceNotFoundError.
    """
    return await EXECUTIONS.get(
        hub, execution_id, "steps", page=page, per_page=per_page, cursor=cursor
    )


async def cancel_execution(hub: Hub, execution_id: str, *, reason: str | None = None) -> JsonObject:
    """Cancel an execution. Raises: ConflictError when it already ended."""
    return await EXECUTIONS.order(hub, execution_id, "cancel", reason=reason)


async def retry_execution(hub: Hub, execution_id: str) -> JsonObject:
    """Let a failed execution go on from the step that failed. Raises: ConflictError."""
    return await EXECUTIONS.order(hub, execution_id, "retry")


async def rerun_execution(
    hub: Hub,
    execution_id: str,
    *,
    from_step: str | None = None,
    input_data: JsonObject | None = None,
    step_input: JsonObject | None = None,
    version: int | Literal["newest"] | None = None,
    wait: bool = True,
    timeout: float | None = None,
    raise_on_failure: bool = True,
) -> WorkflowResult:
    """Run an execution that ended again, as a new one, from one of its steps.

    What came before `from_step` (the first step unless given) is kept, and not called again.
    `input_data` replaces the execution's input, `step_input` what `from_step` is given. It runs in
    the same version, in the one with that number, or in the ``"newest"``. All else as
    `execute_workflow`. Raises: ConflictError, ValidationError, WorkflowExecutionError.
    """
    first_wait = _first_wait(timeout) if wait else 0
    body: JsonObject = {
        "from_step": from_step,
        "input_data": input_data,
        "step_input": step_input,
        "version": version,
        "wait": first_wait,
    }
    path, about = EXECUTIONS.at(execution_id, "rerun"), EXECUTIONS.about(execution_id)
    request = create(path, body=body, about=about)
    return await _run(
        hub,
        replace(request, wait_seconds=first_wait),
        wait=wait,
        timeout=timeout,
        raise_on_failure=raise_on_failure,
    )


async def evaluate_expression(
    hub: Hub, execution_id: str, expression: str, *, step: str | None = None
) -> Any:
    """What an expression comes to over what an execution knew after a step, or at its end.

    Raises: ValidationError when it cannot be read or fails, ResourceNotFoundError.
    """
    answer = await EXECUTIONS.order(hub, execution_id, "evaluate", expression=expression, step=step)
    return answer["value"]
