"""Executions: start and wait, look, cancel, retry."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from service_integration_client.exceptions import MaxRetriesExceededError
from service_integration_client.hub import Hub
from service_integration_client.requests import JsonObject, Request, create, read, segment
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
OUTAGE_POLLS = 15
OUTAGE_PAUSE_SECONDS = 2.0
SHORTEST_POLL_SECONDS = 1.0


def _path(execution_id: str, *rest: str) -> str:
    return "/".join(("/executions", segment(execution_id), *rest))


async def execute_workflow(
    hub: Hub,
    workflow_id: str,
    input_data: JsonObject | None = None,
    context: JsonObject | None = None,
    *,
    wait: bool = True,
    timeout: float | None = None,
    raise_on_failure: bool = True,
) -> WorkflowResult:
    """Run a workflow, by its id or name, and answer its output.

    The answer is a mapping of the output with `execution_id`, `status`, `steps` and `errors` as
    attributes. It waits until the execution ends, or for `timeout` seconds at most; outages of the
    hub are waited out for half a minute and more. With ``wait=False`` it answers at once, with the
    execution as the mapping.
    Raises: WorkflowExecutionError when the execution ended otherwise than COMPLETED or needs a
    person, unless `raise_on_failure` is false; and when `timeout` passed (code ``wait_timeout``).
    """
    first_wait = _first_wait(timeout) if wait else 0
    path = f"/workflows/{segment(workflow_id)}/execute"
    body = {"input_data": input_data or {}, "context": context or {}, "wait": first_wait}
    request = create(path, body=body, about=("workflow", workflow_id))
    return await _run(
        hub,
        replace(request, wait_seconds=first_wait),
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
) -> WorkflowResult:
    """Run the workflow of a type, such as PROJECT_PLANNING; all else as `execute_workflow`."""
    body: JsonObject = {
        "workflow_type": workflow_type,
        "data": input_data or {},
        "context": context or {},
    }
    request = create("/workflows/execute", body=body, about=("workflow", workflow_type))
    return await _run(
        hub,
        replace(request, wait_seconds=TYPE_WAIT_SECONDS),
        wait=wait,
        timeout=timeout,
        raise_on_failure=raise_on_failure,
    )


def _first_wait(timeout: float | None) -> float:
    return FIRST_WAIT_SECONDS if timeout is None else max(0.0, min(FIRST_WAIT_SECONDS, timeout))


async def _run(
    hub: Hub, request: Request, *, wait: bool, timeout: float | None, raise_on_failure: bool
) -> WorkflowResult:
    deadline = None if timeout is None else hub.now() + timeout
    execution: JsonObject = await hub.call(request)
    if not wait:
        return WorkflowResult(execution, content=execution)
    execution = await _ended(hub, execution, deadline=deadline)
    if raise_on_failure and execution.get("status") != "COMPLETED":
        raise failure_of(execution)
    return WorkflowResult(execution)


async def _ended(hub: Hub, execution: JsonObject, *, deadline: float | None) -> JsonObject:
    """The execution once it ended or needs a person."""
    while not has_ended(execution) and execution.get("status") != NEEDS_A_PERSON:
        seconds = POLL_WAIT_SECONDS if deadline is None else deadline - hub.now()
        if seconds <= 0:
            error = failure_of(execution)
            error.code = "wait_timeout"
            raise error
        execution = await _polled(hub, id_of(execution), wait=min(POLL_WAIT_SECONDS, seconds))
    return execution


async def _polled(hub: Hub, execution_id: str, *, wait: float) -> JsonObject:
    """The execution after it ended or `wait` seconds passed. A hub that restarts is waited for."""
    about = ("execution", execution_id)
    seconds = max(SHORTEST_POLL_SECONDS, wait)
    request = replace(read(_path(execution_id), about=about, wait=seconds), wait_seconds=seconds)
    for poll in range(1, OUTAGE_POLLS + 1):
        try:
            answer: JsonObject = await hub.call(request)
        except MaxRetriesExceededError:
            if poll == OUTAGE_POLLS:
                raise
            await hub.sleep(OUTAGE_PAUSE_SECONDS)
        else:
            return answer
    raise AssertionError("the last poll answers or raises")


async def get_workflow_execution_status(hub: Hub, execution_id: str) -> JsonObject:
    """An execution: its status, output, errors, steps. Raises: ResourceNotFoundError."""
    request = read(_path(execution_id), about=("execution", execution_id))
    answer: JsonObject = await hub.call(request)
    return answer


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
) -> JsonObject:
    """One page of a workflow's executions. Raises: ResourceNotFoundError."""
    request = read(
        f"/workflows/{segment(workflow_id)}/executions",
        about=("workflow", workflow_id),
        status=status,
        created_after=created_after,
        created_before=created_before,
        ordering=ordering,
        page=page,
        per_page=per_page,
    )
    answer: JsonObject = await hub.call(request)
    return answer


async def get_execution_steps(
    hub: Hub, execution_id: str, *, page: int = 1, per_page: int = 50
) -> Any:
    """A page of the attempts at steps of an execution. Raises: ResourceNotFoundError."""
    path, about = _path(execution_id, "steps"), ("execution", execution_id)
    return await hub.call(read(path, about=about, page=page, per_page=per_page))


async def cancel_execution(hub: Hub, execution_id: str, *, reason: str | None = None) -> JsonObject:
    """Cancel an execution. Raises: ConflictError when it already ended."""
    return await _control(hub, execution_id, "cancel", body={"reason": reason})


async def retry_execution(hub: Hub, execution_id: str) -> JsonObject:
    """Let a failed execution go on from the step that failed. Raises: ConflictError."""
    return await _control(hub, execution_id, "retry", body={})


async def _control(hub: Hub, execution_id: str, control: str, *, body: JsonObject) -> JsonObject:
    about = ("execution", execution_id)
    request = create(_path(execution_id, control), body=body, about=about)
    answer: JsonObject = await hub.call(request)
    return answer
