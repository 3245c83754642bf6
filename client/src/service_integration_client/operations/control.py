"""Control over executions: looked up, watched, stopped, told what people decided."""

from __future__ import annotations

from dataclasses import replace

from service_integration_client.hub import Hub
from service_integration_client.operations.collection import Collection, answered
from service_integration_client.requests import JsonObject, read

EXECUTIONS = Collection("/executions", "execution")


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
    page: int | None = None,
    per_page: int | None = None,
    cursor: str | None = None,
) -> JsonObject:
    """One page of the executions of all workflows, newest first.

    ``cursor=""`` asks for the first page of a list that can be read on for ever at the same cost;
    `cursor` of the answer asks for the page after it. Raises: ValidationError.
    """
    return await EXECUTIONS.page(
        hub,
        status=status,
        type=type,
        workflow=workflow,
        correlation_id=correlation_id,
        created_after=created_after,
        created_before=created_before,
        ordering=ordering,
        page=page,
        per_page=per_page,
        cursor=cursor,
    )


async def wait_for_execution(hub: Hub, execution_id: str, *, seconds: float = 20) -> JsonObject:
    """The execution as soon as it has ended, or as it is after so many seconds, at most 60.

    Raises: ResourceNotFoundError.
    """
    path, about = EXECUTIONS.at(execution_id), EXECUTIONS.about(execution_id)
    request = read(path, about=about, wait=seconds)
    return await answered(hub, replace(request, wait_seconds=seconds))


async def get_execution_events(
    hub: Hub,
    execution_id: str,
    *,
    page: int | None = None,
    per_page: int | None = 50,
    cursor: str | None = None,
) -> JsonObject:
    """A page of what happened to an execution, in order; `cursor` as in `get_executions`.

    Raises: ResourceNotFoundError.
    """
    return await EXECUTIONS.get(
        hub, execution_id, "events", page=page, per_page=per_page, cursor=cursor
    )


async def pause_execution(hub: Hub, execution_id: str) -> JsonObject:
    """Let an execution begin nothing more; calls under way finish. Raises: ConflictError."""
    return await EXECUTIONS.order(hub, execution_id, "pause")


async def resume_execution(hub: Hub, execution_id: str) -> JsonObject:
    """Let a paused execution go on. Raises: ConflictError."""
    return await EXECUTIONS.order(hub, execution_id, "resume")


async def signal_execution(
    hub: Hub, execution_id: str, name: str, payload: JsonObject | None = None
) -> JsonObject:
    """Give an execution a signal; one that nothing waits for yet is kept. Raises: ConflictError."""
    return await EXECUTIONS.order(hub, execution_id, "signal", name=name, payload=payload or {})


async def approve_step(
    hub: Hub,
    execution_id: str,
    step: str,
    *,
    comment: str = "",
    form: JsonObject | None = None,
) -> JsonObject:
    """Approve what an APPROVAL step asks; `form` is what its form asks for.

    Raises: ConflictError, PermissionDeniedError, ValidationError.
    """
    return await EXECUTIONS.order(
        hub, execution_id, "steps", step, "approve", comment=comment, form=form or {}
    )


async def reject_step(
    hub: Hub,
    execution_id: str,
    step: str,
    *,
    comment: str = "",
    form: JsonObject | None = None,
) -> JsonObject:
    """Reject what an APPROVAL step asks. Raises: ConflictError, PermissionDeniedError."""
    return await EXECUTIONS.order(
        hub, execution_id, "steps", step, "reject", comment=comment, form=form or {}
    )


async def complete_step(
    hub: Hub, execution_id: str, step: str, output: JsonObject | None = None
) -> JsonObject:
    """Say that a step which NEEDS_REVIEW did complete, and with what output.

    Raises: ConflictError.
    """
    return await EXECUTIONS.order(hub, execution_id, "steps", step, "complete", output=output or {})


async def fail_step(hub: Hub, execution_id: str, step: str, reason: str) -> JsonObject:
    """Say that a step which NEEDS_REVIEW failed, and why. Raises: ConflictError."""
    return await EXECUTIONS.order(hub, execution_id, "steps", step, "fail", reason=reason)
