"""Executions: looked up, watched, stopped, and given what people decide."""

from __future__ import annotations

from typing import Any

from service_integration_client.hub import Hub
from service_integration_client.operations.collection import Collection, answered
from service_integration_client.requests import JsonObject, Request

EXECUTIONS = Collection("/executions", "execution")
# What a list of executions leaves out unless it is asked for.
WHOLE_EXECUTION = "input,output,result,context"


async def get_workflow_execution_status(hub: Hub, execution_id: str) -> JsonObject:
    """An execution: its status, output, errors, steps. Raises: ResourceNotFoundError."""
    return await EXECUTIONS.call(hub, "GET /{execution_id}", locals())


async def get_executions(
    hub: Hub,
    status: str | None = None,
    *,
    type: str | None = None,
    workflow: str | None = None,
    correlation_id: str | None = None,
    created_after: str | None = None,
    created_before: str | None = None,
    ordering: str | None = None,
    include: str | None = WHOLE_EXECUTION,
    page: int | None = None,
    per_page: int | None = None,
    cursor: str | None = None,
) -> JsonObject:
    """One page of the executions of all workflows, newest first.

    `include` names the members that a list has only if asked: ``input,output,result,context``.
    What does not fit into 2 MB is cut: the item's ``cut`` says what, and where it is whole.

    ``cursor=""`` asks for the first page of a list that can be read on for ever at the same cost;
    `cursor` of the answer asks for the page after it. Raises: ValidationError.
    """
    return await EXECUTIONS.call(hub, "GET", locals())


async def wait_for_execution(hub: Hub, execution_id: str, *, seconds: float = 20) -> JsonObject:
    """The execution as soon as it has ended, or as it is after so many seconds, at most 60.

    Raises: ResourceNotFoundError.
    """
    return await answered(hub, poll_request(execution_id, seconds=seconds))


def poll_request(execution_id: str, *, seconds: float) -> Request:
    """Return a read that is answered once the execution ended, or after so many seconds."""
    fields = {"execution_id": execution_id, "wait": seconds}
    return EXECUTIONS.request("GET /{execution_id}", fields, wait_seconds=seconds)


async def get_execution_steps(
    hub: Hub,
    execution_id: str,
    *,
    include: str | None = "input,output",
    page: int | None = None,
    per_page: int | None = 50,
    cursor: str | None = None,
) -> JsonObject:
    """A page of the attempts at steps of an execution.

    `include` and `cursor` are as in `get_executions`.

    Raises: ResourceNotFoundError.
    """
    return await EXECUTIONS.call(hub, "GET /{execution_id}/steps", locals())


async def get_execution_events(
    hub: Hub,
    execution_id: str,
    *,
    include: str | None = "payload",
    page: int | None = None,
    per_page: int | None = 50,
    cursor: str | None = None,
) -> JsonObject:
    """A page of what happened to an execution, in order.

    `include` and `cursor` are as in `get_executions`.

    Raises: ResourceNotFoundError.
    """
    return await EXECUTIONS.call(hub, "GET /{execution_id}/events", locals())


async def get_execution_step(hub: Hub, execution_id: str, step_id: str) -> JsonObject:
    """One attempt at a step, whole; `step_id` is the id of its item in the list.

    Raises: ResourceNotFoundError.
    """
    return await EXECUTIONS.call(hub, "GET /{execution_id}/steps/{step_id}", locals())


async def get_execution_event(hub: Hub, execution_id: str, number: int) -> JsonObject:
    """One event of an execution, whole; `number` is its sequence.

    Raises: ResourceNotFoundError.
    """
    return await EXECUTIONS.call(hub, "GET /{execution_id}/events/{number}", locals())


async def pause_execution(hub: Hub, execution_id: str) -> JsonObject:
    """Let an execution begin nothing more; calls under way finish. Raises: ConflictError."""
    return await EXECUTIONS.call(hub, "POST /{execution_id}/pause", locals())


async def resume_execution(hub: Hub, execution_id: str) -> JsonObject:
    """Let a paused execution go on. Raises: ConflictError."""
    return await EXECUTIONS.call(hub, "POST /{execution_id}/resume", locals())


async def cancel_execution(hub: Hub, execution_id: str, *, reason: str | None = None) -> JsonObject:
    """Cancel an execution. Raises: ConflictError when it already ended."""
    return await EXECUTIONS.call(hub, "POST /{execution_id}/cancel", locals())


async def retry_execution(hub: Hub, execution_id: str) -> JsonObject:
    """Let a failed execution go on from the step that failed. Raises: ConflictError."""
    return await EXECUTIONS.call(hub, "POST /{execution_id}/retry", locals())


async def signal_execution(
    hub: Hub, execution_id: str, name: str, payload: JsonObject | None = None
) -> JsonObject:
    """Give an execution a signal; one that nothing waits for yet is kept. Raises: ConflictError."""
    fields = {**locals(), "payload": payload or {}}
    return await EXECUTIONS.call(hub, "POST /{execution_id}/signal", fields)


async def approve_step(
    hub: Hub, execution_id: str, step: str, *, comment: str = "", form: JsonObject | None = None
) -> JsonObject:
    """Approve what an APPROVAL step asks; `form` is what its form asks for.

    Raises: ConflictError, PermissionDeniedError, ValidationError.
    """
    fields = {**locals(), "form": form or {}}
    return await EXECUTIONS.call(hub, "POST /{execution_id}/steps/{step}/approve", fields)


async def reject_step(
    hub: Hub, execution_id: str, step: str, *, comment: str = "", form: JsonObject | None = None
) -> JsonObject:
    """Reject what an APPROVAL step asks. Raises: ConflictError, PermissionDeniedError."""
    fields = {**locals(), "form": form or {}}
    return await EXECUTIONS.call(hub, "POST /{execution_id}/steps/{step}/reject", fields)


async def complete_step(
    hub: Hub, execution_id: str, step: str, output: JsonObject | None = None
) -> JsonObject:
    """Say that a step which NEEDS_REVIEW did complete, and with what output.

    Raises: ConflictError.
    """
    fields = {**locals(), "output": output or {}}
    return await EXECUTIONS.call(hub, "POST /{execution_id}/steps/{step}/complete", fields)


async def fail_step(hub: Hub, execution_id: str, step: str, reason: str) -> JsonObject:
    """Say that a step which NEEDS_REVIEW failed, and why. Raises: ConflictError."""
    return await EXECUTIONS.call(hub, "POST /{execution_id}/steps/{step}/fail", locals())


async def evaluate_expression(
    hub: Hub, execution_id: str, expression: str, *, step: str | None = None
) -> Any:
    """The value of an expression over what an execution knew after a step, or at its end.

    Raises: ValidationError when it cannot be read or fails, ResourceNotFoundError.
    """
    answer = await EXECUTIONS.call(hub, "POST /{execution_id}/evaluate", locals())
    return answer["value"]
