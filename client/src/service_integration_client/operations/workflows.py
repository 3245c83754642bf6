"""Workflow definitions."""

from __future__ import annotations

from typing import Any

from service_integration_client.hub import Hub
from service_integration_client.requests import (
    JsonObject,
    create,
    delete,
    read,
    segment,
    update,
)

WORKFLOWS = "/workflows"


def _path(workflow_id: str, *rest: str) -> str:
    return "/".join((WORKFLOWS, segment(workflow_id), *rest))


async def create_workflow(
    hub: Hub,
    name: str,
    description: str | None = None,
    steps: list[JsonObject] | None = None,
    metadata: JsonObject | None = None,
    *,
    type: str | None = None,
    status: str | None = None,
    definition: JsonObject | None = None,
) -> JsonObject:
    """Create a workflow; ACTIVE unless `status` says DRAFT. Answers the workflow.

    `definition` holds what the definition says besides its steps: `output`, `retry`, `timeout`.

    Raises: ValidationError (`validation_errors` has the path of each fault), ConflictError.
    """
    body = {
        **(definition or {}),
        "name": name,
        "description": description,
        "steps": steps,
        "metadata": metadata,
        "type": type,
        "status": status,
    }
    answer: JsonObject = await hub.call(create(WORKFLOWS, body=body))
    return answer


async def update_workflow(
    hub: Hub,
    workflow_id: str,
    name: str | None = None,
    description: str | None = None,
    steps: list[JsonObject] | None = None,
    status: str | None = None,
    metadata: JsonObject | None = None,
    *,
    type: str | None = None,
    definition: JsonObject | None = None,
) -> JsonObject:
    """Change what is given of a workflow; other steps make a new version. Answers the workflow.

    `definition` holds what the definition says besides its steps: `output`, `retry`, `timeout`.

    Raises: ResourceNotFoundError, ValidationError, ConflictError.
    """
    body = {
        **(definition or {}),
        "name": name,
        "description": description,
        "steps": steps,
        "metadata": metadata,
        "type": type,
        "status": status,
    }
    about = ("workflow", workflow_id)
    answer: JsonObject = await hub.call(update(_path(workflow_id), body=body, about=about))
    return answer


async def delete_workflow(hub: Hub, workflow_id: str) -> JsonObject:
    """Delete a workflow. Answers ``{"id", "deleted"}``. Raises: ResourceNotFoundError."""
    answer = await hub.call(delete(_path(workflow_id), about=("workflow", workflow_id)))
    return answer or {"id": workflow_id, "deleted": True}


async def get_workflow(hub: Hub, workflow_id: str) -> JsonObject:
    """A workflow by its id or name. Raises: ResourceNotFoundError."""
    answer: JsonObject = await hub.call(read(_path(workflow_id), about=("workflow", workflow_id)))
    return answer


async def get_workflows(
    hub: Hub,
    status: str | None = None,
    *,
    type: str | None = None,
    search: str | None = None,
    ordering: str | None = None,
    page: int | None = None,
    per_page: int | None = None,
) -> JsonObject:
    """One page of the workflows: ``{"items", "total", "page", "per_page", "pages", ...}``."""
    filters: dict[str, Any] = {"status": status, "type": type, "search": search}
    request = read(WORKFLOWS, **filters, ordering=ordering, page=page, per_page=per_page)
    answer: JsonObject = await hub.call(request)
    return answer
