"""Workflow definitions."""

from __future__ import annotations

from typing import Any

from service_integration_client.hub import Hub
from service_integration_client.requests import (
    JsonObject,
    ask,
    create,
    delete,
    path_below,
    read,
    segment,
    update,
)

WORKFLOWS = "/workflows"


_path = path_below(WORKFLOWS)


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


async def validate_workflow(
    hub: Hub, steps: list[JsonObject], *, definition: JsonObject | None = None
) -> JsonObject:
    """Check a definition and store nothing: ``{"valid", "errors", "warnings"}``."""
    request = ask(f"{WORKFLOWS}/validate", body={**(definition or {}), "steps": steps})
    answer: JsonObject = await hub.call(request)
    return answer


async def get_workflow_versions(
    hub: Hub, workflow_id: str, *, page: int | None = None, per_page: int | None = None
) -> JsonObject:
    """One page of a workflow's versions, newest first. Raises: ResourceNotFoundError."""
    path, about = _path(workflow_id, "versions"), ("workflow", workflow_id)
    answer: JsonObject = await hub.call(read(path, about=about, page=page, per_page=per_page))
    return answer


async def activate_workflow_version(hub: Hub, workflow_id: str, number: int) -> JsonObject:
    """Let new executions run this version. Answers the workflow. Raises: ResourceNotFoundError."""
    path = _path(workflow_id, "versions", segment(number), "activate")
    answer: JsonObject = await hub.call(create(path, body={}, about=("workflow", workflow_id)))
    return answer


async def compare_versions(hub: Hub, workflow_id: str, before: int, after: int) -> JsonObject:
    """How a version differs from another: ``{"added", "removed", "changed", "options", ...}``.

    Raises: ResourceNotFoundError.
    """
    path = _path(workflow_id, "versions", str(int(before)), "compare", str(int(after)))
    answer: JsonObject = await hub.call(read(path, about=("workflow", workflow_id)))
    return answer


async def dry_run_workflow(
    hub: Hub,
    workflow_id: str | None = None,
    input_data: JsonObject | None = None,
    mocks: JsonObject | None = None,
    *,
    context: JsonObject | None = None,
    version: int | None = None,
    definition: JsonObject | list[JsonObject] | None = None,
) -> JsonObject:
    """Run a workflow, or a `definition` that is not stored, in memory: nobody is called.

    `mocks` maps the id of a step to ``{"output"}``, ``{"error": {"code", "message"}}`` or a list of
    those. Answers ``{"status", "output", "errors", "warnings", "steps", ...}``.
    Raises: ValidationError, ResourceNotFoundError.
    """
    body: JsonObject = {
        "workflow": workflow_id,
        "definition": definition,
        "version": version,
        "input_data": input_data or {},
        "context": context or {},
        "mocks": mocks or {},
    }
    answer: JsonObject = await hub.call(create(f"{WORKFLOWS}/dry-run", body=body))
    return answer
