"""Control over executions: looked up, watched, stopped, told what people decided."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from service_integration_client.hub import Hub
from service_integration_client.requests import JsonObject, create, path_below, read, segment

path_of = path_below("/executions")


async def post_to(
    hub: Hub, execution_id: str, *rest: str, body: JsonObject | None = None
) -> JsonObject:
    """Have something done to an execution; `rest` is the path below it."""
    about = ("execution", execution_id)
    answer: JsonObject = await hub.call(
        create(path_of(execution_id, *rest), body=body or {}, about=about)
    )
    return answer


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
) -> Any:
    """One page of the executions of all workflows, newest first.

    ``cursor=""`` asks for the first page of a list that can be read on for ever at the same cost;
    `cursor` of the answer asks for the page after it.
    """
    request = read(
        "/executions",
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
    return await hub.call(request)


async def wait_for_execution(hub: Hub, execution_id: str, *, seconds: float = 20) -> Any:
    """The execution as soon as it has ended, or as it is after so many seconds, at most 60.

    Raises: ResourceNotFoundError.
    """
    about = ("execution", execution_id)
    request = read(path_of(execution_id), about=about, wait=seconds)
    return await hub.call(replace(request, wait_seconds=seconds))


async def get_execution_events(
    hub: Hub,
    execution_id: str,
    *,
    page: int | None = None,
    per_page: int | None = 50,
    cursor: str | None = None,
) -> Any:
    """A page of what happened to an execution, in order; `cursor` as in `get_executions`.

    Raises: ResourceNotFoundError.
    """
    path, about = path_of(execution_id, "events"), ("execution", execution_id)
    return await hub.call(read(path, about=about, page=page, per_page=per_page, cursor=cursor))


async def pause_execution(hub: Hub, execution_id: str) -> Any:
    """Let an execution begin nothing more; calls under way finish. Raises: ConflictError."""
    return await post_to(hub, execution_id, "pause")


async def resume_execution(hub: Hub, execution_id: str) -> Any:
    """Let a paused execution go on. Raises: ConflictError."""
    return await post_to(hub, execution_id, "resume")


async def signal_execution(
    hub: Hub, execution_id: str, name: str, payload: JsonObject | None = None
) -> Any:
    """Give an execution a signal; one that nothing waits for yet is kept. Raises: ConflictError."""
    return await post_to(hub, execution_id, "signal", body={"name": name, "payload": payload or {}})


async def _decide(hub: Hub, execution_id: str, step: str, decision: str, **body: Any) -> Any:
    return await post_to(hub, execution_id, "steps", segment(step), decision, body=body)


async def approve_step(
    hub: Hub,
    execution_id: str,
    step: str,
    *,
    comment: str = "",
    form: JsonObject | None = None,
) -> Any:
    """Approve what an APPROVAL step asks; `form` is what its form asks for.

    Raises: ConflictError, PermissionDeniedError, ValidationError.
    """
    return await _decide(hub, execution_id, step, "approve", comment=comment, form=form or {})


async def reject_step(
    hub: Hub,
    execution_id: str,
    step: str,
    *,
    comment: str = "",
    form: JsonObject | None = None,
) -> Any:
    """Reject what an APPROVAL step asks. Raises: ConflictError, PermissionDeniedError."""
    return await _decide(hub, execution_id, step, "reject", comment=comment, form=form or {})


async def complete_step(
    hub: Hub, execution_id: str, step: str, output: JsonObject | None = None
) -> Any:
    """Say that a step which NEEDS_REVIEW did complete, and with what output.

    Raises: ConflictError.
    """
    return await _decide(hub, execution_id, step, "complete", output=output or {})


async def fail_step(hub: Hub, execution_id: str, step: str, reason: str) -> Any:
    """Say that a step which NEEDS_REVIEW failed, and why. Raises: ConflictError."""
    return await _decide(hub, execution_id, step, "fail", reason=reason)
