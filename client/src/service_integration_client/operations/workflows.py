"""Workflow definitions."""

from __future__ import annotations

from service_integration_client.hub import Hub
from service_integration_client.operations.collection import Collection
from service_integration_client.operations.executions import WHOLE_EXECUTION
from service_integration_client.requests import JsonObject, with_removals

WORKFLOWS = Collection("/workflows", "workflow")


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
    fields = {"name": name, "description": description, "steps": steps, "metadata": metadata}
    fields = {**(definition or {}), **fields, "type": type, "status": status}
    return await WORKFLOWS.call(hub, "POST", fields)


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

    `definition` holds what the definition says besides its steps: `output`, `retry`, `timeout`;
    None in it takes a part away.

    Raises: ResourceNotFoundError, ValidationError, ConflictError.
    """
    fields = {"name": name, "description": description, "steps": steps, "metadata": metadata}
    fields = {**with_removals(definition), **fields, "type": type, "status": status}
    return await WORKFLOWS.call(hub, "PATCH /{workflow_id}", {**fields, "workflow_id": workflow_id})


async def delete_workflow(hub: Hub, workflow_id: str, *, force: bool = False) -> JsonObject:
    """Delete a workflow. Answers ``{"id", "deleted"}``.

    With `force` also one that something uses, which then fails.
    Raises: ResourceNotFoundError; ConflictError, saying what uses it.
    """
    return await WORKFLOWS.delete(hub, "/{workflow_id}", locals())


async def get_workflow(hub: Hub, workflow_id: str) -> JsonObject:
    """A workflow by its id or name. Raises: ResourceNotFoundError."""
    return await WORKFLOWS.call(hub, "GET /{workflow_id}", locals())


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
    """One page of the workflows: ``{"items", "total", "page", "per_page", "pages", ...}``.

    Raises: ValidationError.
    """
    return await WORKFLOWS.call(hub, "GET", locals())


async def validate_workflow(
    hub: Hub, steps: list[JsonObject], *, definition: JsonObject | None = None
) -> JsonObject:
    """Check a definition and store nothing: ``{"valid", "errors", "warnings"}``.

    Faults are in the answer. Raises: ValidationError for what is not JSON.
    """
    document = {**(definition or {}), "steps": steps}
    return await WORKFLOWS.call(hub, "POST /validate", document, is_question=True)


async def get_workflow_versions(
    hub: Hub, workflow_id: str, *, page: int | None = None, per_page: int | None = None
) -> JsonObject:
    """One page of a workflow's versions, newest first. Raises: ResourceNotFoundError."""
    return await WORKFLOWS.call(hub, "GET /{workflow_id}/versions", locals())


async def activate_workflow_version(hub: Hub, workflow_id: str, number: int) -> JsonObject:
    """Let new executions run this version. Answers the workflow. Raises: ResourceNotFoundError."""
    return await WORKFLOWS.call(hub, "POST /{workflow_id}/versions/{number}/activate", locals())


async def retire_workflow_version(
    hub: Hub, workflow_id: str, number: int, *, reason: str
) -> JsonObject:
    """Let nobody start this version any more; executions that began go on. Answers the version.

    Raises: ResourceNotFoundError, ValidationError.
    """
    return await WORKFLOWS.call(hub, "POST /{workflow_id}/versions/{number}/retire", locals())


async def reinstate_workflow_version(
    hub: Hub, workflow_id: str, number: int, *, reason: str
) -> JsonObject:
    """Let a retired version be started again. Answers the version.

    Raises: ResourceNotFoundError, ValidationError, ConflictError for one that is not retired.
    """
    return await WORKFLOWS.call(hub, "POST /{workflow_id}/versions/{number}/reinstate", locals())


async def get_version_grants(hub: Hub, workflow_id: str, number: int) -> JsonObject:
    """The credentials that a version reaches: ``{"complete", "grants": [...]}``.

    Each has the step as `subject`, the `call`, its `state`, and by whom it was granted.
    Raises: ResourceNotFoundError.
    """
    return await WORKFLOWS.call(hub, "GET /{workflow_id}/versions/{number}/grants", locals())


async def allow_version(
    hub: Hub, workflow_id: str, number: int, steps: list[str] | None = None
) -> JsonObject:
    """Let steps of a version use the credentials that they reach; all, unless told which.

    Answers as `get_version_grants`. Raises: ResourceNotFoundError, ValidationError,
    PermissionDeniedError without credentials:use.
    """
    return await WORKFLOWS.call(hub, "POST /{workflow_id}/versions/{number}/grants", locals())


async def withdraw_version_grants(
    hub: Hub, workflow_id: str, number: int, *, reason: str | None = None
) -> JsonObject:
    """Take back what a version may use. Answers as `get_version_grants`.

    Raises: ResourceNotFoundError, ValidationError, PermissionDeniedError without credentials:use.
    """
    return await WORKFLOWS.call(
        hub, "POST /{workflow_id}/versions/{number}/grants/withdraw", locals()
    )


async def compare_versions(hub: Hub, workflow_id: str, before: int, after: int) -> JsonObject:
    """The difference of two versions: ``{"added", "removed", "changed", "options", ...}``.

    Raises: ResourceNotFoundError.
    """
    numbers = {**locals(), "before": int(before), "after": int(after)}
    return await WORKFLOWS.call(
        hub, "GET /{workflow_id}/versions/{before}/compare/{after}", numbers
    )


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
    fields = {
        "workflow": workflow_id,
        "definition": definition,
        "version": version,
        "input_data": input_data or {},
        "context": context or {},
        "mocks": mocks or {},
    }
    return await WORKFLOWS.call(hub, "POST /dry-run", fields)


async def get_workflow_executions(
    hub: Hub,
    workflow_id: str,
    status: str | None = None,
    *,
    created_after: str | None = None,
    created_before: str | None = None,
    ordering: str | None = None,
    include: str | None = WHOLE_EXECUTION,
    page: int | None = None,
    per_page: int | None = None,
    cursor: str | None = None,
) -> JsonObject:
    """One page of a workflow's executions; `include` and `cursor` as in `get_executions`.

    The two times are ISO 8601. Raises: ResourceNotFoundError, ValidationError.
    """
    return await WORKFLOWS.call(hub, "GET /{workflow_id}/executions", locals())
