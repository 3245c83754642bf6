"""Integrations: made, changed, executed, and what became of that."""

from __future__ import annotations

from typing import Any

from service_integration_client.hub import Hub
from service_integration_client.requests import (
    JsonObject,
    create,
    delete,
    path_below,
    read,
    update,
)

INTEGRATIONS = "/registry/integrations"


_path = path_below(INTEGRATIONS)


def _about(integration_id: str) -> tuple[str, str]:
    return ("integration", integration_id)


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
) -> JsonObject:
    """Make an integration; `target` is ``{"service", "action"}``, ``{"service_type", "action"}``
    or ``{"connection", "method", "path"}``. It is ACTIVE unless `status` says otherwise.

    Raises: ValidationError, ServiceIntegrationError.
    """
    body = {
        "name": name,
        "target": target,
        "request_mapping": request_mapping,
        "response_mapping": response_mapping,
        "source": source,
        "type": type,
        "status": status,
        "unknown_fields": unknown_fields,
        "config": config,
        "description": description,
    }
    return _object(await hub.call(create(INTEGRATIONS, body=body)))


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
) -> JsonObject:
    """Change what is given of an integration, and leave the rest.

    Raises: ResourceNotFoundError, ValidationError.
    """
    body = {
        "name": name,
        "target": target,
        "request_mapping": request_mapping,
        "response_mapping": response_mapping,
        "source": source,
        "type": type,
        "status": status,
        "unknown_fields": unknown_fields,
        "config": config,
        "description": description,
    }
    request = update(_path(integration_id), body=body, about=_about(integration_id))
    return _object(await hub.call(request))


async def delete_integration(hub: Hub, integration_id: str) -> JsonObject:
    """Remove an integration with its history. Answers ``{"id", "deleted"}``.

    Raises: ResourceNotFoundError.
    """
    answer = await hub.call(delete(_path(integration_id), about=_about(integration_id)))
    return answer or {"id": integration_id, "deleted": True}


async def get_integration(hub: Hub, integration_id: str) -> JsonObject:
    """An integration by its id or name. Raises: ResourceNotFoundError."""
    return _object(await hub.call(read(_path(integration_id), about=_about(integration_id))))


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
    """One page of the integrations."""
    request = read(
        INTEGRATIONS,
        type=type,
        status=status,
        source=source,
        target=target,
        search=search,
        ordering=ordering,
        page=page,
        per_page=per_page,
    )
    return _object(await hub.call(request))


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
    body = {"payload": payload or {}, "context": context or {}}
    request = create(_path(integration_id, "execute"), body=body, about=_about(integration_id))
    return _object(await hub.call(request))


async def get_integration_executions(
    hub: Hub,
    integration_id: str,
    status: str | None = None,
    *,
    page: int | None = None,
    per_page: int | None = None,
    cursor: str | None = None,
) -> JsonObject:
    """One page of what became of its executions, the latest first."""
    request = read(
        _path(integration_id, "executions"),
        about=_about(integration_id),
        status=status,
        page=page,
        per_page=per_page,
        cursor=cursor,
    )
    return _object(await hub.call(request))


def _object(answer: Any) -> JsonObject:
    result: JsonObject = answer
    return result
