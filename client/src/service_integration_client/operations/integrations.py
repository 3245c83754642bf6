"""Integrations: made, changed, executed, and what became of that."""

from __future__ import annotations

from typing import Any

from service_integration_client.hub import Hub
from service_integration_client.operations.collection import Collection
from service_integration_client.requests import JsonObject

INTEGRATIONS = Collection("/registry/integrations", "integration")


async def create_integration(
    hub: Hub,
    name: str,
    target: JsonObject,
    request_mapping: Any = None,
    response_mapping: Any = None,
    *,
    source: str | None = None,
    type: str | None = None,
    status: str | None = None,
    unknown_fields: str | None = None,
    config: JsonObject | None = None,
    description: str | None = None,
    metadata: JsonObject | None = None,
) -> JsonObject:
    """Make an integration; `target` is ``{"service", "action"}``, ``{"service_type", "action"}``
    or ``{"connection", "method", "path"}``. It is ACTIVE unless `status` says otherwise.

    Raises: ValidationError, ServiceIntegrationError.
    """
    return await INTEGRATIONS.call(hub, "POST", locals())


async def update_integration(
    hub: Hub,
    integration_id: str,
    name: str | None = None,
    target: JsonObject | None = None,
    request_mapping: Any = None,
    response_mapping: Any = None,
    *,
    source: str | None = None,
    type: str | None = None,
    status: str | None = None,
    unknown_fields: str | None = None,
    config: JsonObject | None = None,
    description: str | None = None,
    metadata: JsonObject | None = None,
) -> JsonObject:
    """Change what is given of an integration, and leave the rest.

    Raises: ResourceNotFoundError, ValidationError.
    """
    return await INTEGRATIONS.call(hub, "PATCH /{integration_id}", locals())


async def delete_integration(hub: Hub, integration_id: str, *, force: bool = False) -> JsonObject:
    """Remove an integration with its history. Answers ``{"id", "deleted"}``.

    With `force` also one that something uses, which then fails.
    Raises: ResourceNotFoundError; ConflictError, saying what uses it.
    """
    return await INTEGRATIONS.delete(hub, "/{integration_id}", locals())


async def get_integration(hub: Hub, integration_id: str) -> JsonObject:
    """An integration by its id or name. Raises: ResourceNotFoundError."""
    return await INTEGRATIONS.call(hub, "GET /{integration_id}", locals())


async def get_integrations(
    hub: Hub,
    type: str | None = None,
    status: str | None = None,
    *,
    source: str | None = None,
    target: str | None = None,
    search: str | None = None,
    ordering: str | None = None,
    page: int | None = None,
    per_page: int | None = None,
) -> JsonObject:
    """One page of the integrations. Raises: ValidationError."""
    return await INTEGRATIONS.call(hub, "GET", locals())


async def execute_integration(
    hub: Hub,
    integration_id: str,
    payload: JsonObject | None = None,
    context: JsonObject | None = None,
) -> JsonObject:
    """Map the payload, call the target, and answer ``{"output", "warnings", "execution_id", ...}``.

    `warnings` name the fields that the target does not know and that were dropped.
    Raises: ValidationError when the payload does not fit or has unknown fields that are rejected,
    ResourceNotFoundError, ConflictError when it is not ACTIVE, ServiceCallError,
    ServiceUnavailableError, RequestTimeoutError.
    """
    fields = {**locals(), "payload": payload or {}, "context": context or {}}
    return await INTEGRATIONS.call(hub, "POST /{integration_id}/execute", fields)


async def get_integration_grants(hub: Hub, integration_id: str) -> JsonObject:
    """The credentials that an integration reaches: ``{"complete", "grants": [...]}``.

    Raises: ResourceNotFoundError.
    """
    return await INTEGRATIONS.call(hub, "GET /{integration_id}/grants", locals())


async def allow_integration(hub: Hub, integration_id: str) -> JsonObject:
    """Let an integration use the credentials that it reaches, for what it sends now.

    Answers as `get_integration_grants`. Raises: ResourceNotFoundError, PermissionDeniedError
    without credentials:use.
    """
    return await INTEGRATIONS.call(hub, "POST /{integration_id}/grants", locals())


async def get_integration_executions(
    hub: Hub,
    integration_id: str,
    status: str | None = None,
    *,
    page: int | None = None,
    per_page: int | None = None,
    cursor: str | None = None,
) -> JsonObject:
    """One page of what became of its executions, the latest first.

    Raises: ResourceNotFoundError, ValidationError.
    """
    return await INTEGRATIONS.call(hub, "GET /{integration_id}/executions", locals())
