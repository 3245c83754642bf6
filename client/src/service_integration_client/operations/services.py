"""Services: register, change, find, call."""

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

SERVICES = "/registry/services"


def _path(service_id: str, *rest: str) -> str:
    return "/".join((SERVICES, segment(service_id), *rest))


async def register_service(
    hub: Hub,
    name: str,
    description: str | None = None,
    endpoint: str | None = None,
    actions: list[JsonObject] | None = None,
    metadata: JsonObject | None = None,
    *,
    type: str | None = None,
    url: str | None = None,
    health_url: str | None = None,
    version: str | None = None,
    tags: list[str] | None = None,
    ttl_seconds: int | None = None,
    weight: int | None = None,
    zone: str | None = None,
) -> JsonObject:
    """Register a service, or refresh it when the hub knows it by this name and URL.

    `endpoint` and `url` are two names of the same thing: where the service answers. An action is
    ``{"name", "description", "method", "path", "input_schema", "output_schema"}``. A service that
    sends no heartbeat for `ttl_seconds` becomes OFFLINE. Answers the service.
    Raises: ValidationError, ServiceIntegrationError.
    """
    body = {
        "name": name,
        "description": description,
        "url": url or endpoint,
        "actions": actions,
        "metadata": metadata,
        "type": type,
        "health_url": health_url,
        "version": version,
        "tags": tags,
        "ttl_seconds": ttl_seconds,
        "weight": weight,
        "zone": zone,
    }
    return _object(await hub.call(create(SERVICES, body=body)))


async def update_service(
    hub: Hub,
    service_id: str,
    name: str | None = None,
    description: str | None = None,
    endpoint: str | None = None,
    status: str | None = None,
    actions: list[JsonObject] | None = None,
    metadata: JsonObject | None = None,
    *,
    type: str | None = None,
    url: str | None = None,
    health_url: str | None = None,
    version: str | None = None,
    tags: list[str] | None = None,
) -> JsonObject:
    """Change what is given of a service, and leave the rest. Answers the service.

    Raises: ResourceNotFoundError, ValidationError, ServiceIntegrationError.
    """
    body = {
        "name": name,
        "description": description,
        "url": url or endpoint,
        "status": status,
        "actions": actions,
        "metadata": metadata,
        "type": type,
        "health_url": health_url,
        "version": version,
        "tags": tags,
    }
    about = ("service", service_id)
    return _object(await hub.call(update(_path(service_id), body=body, about=about)))


async def deregister_service(hub: Hub, service_id: str) -> JsonObject:
    """Remove a service. Answers ``{"id", "deleted"}``. Raises: ResourceNotFoundError."""
    answer = await hub.call(delete(_path(service_id), about=("service", service_id)))
    return answer or {"id": service_id, "deleted": True}


async def heartbeat(
    hub: Hub,
    service_id: str,
    *,
    status: str | None = None,
    instance_id: str | None = None,
    url: str | None = None,
    metadata: JsonObject | None = None,
) -> JsonObject:
    """Say that a service's instance, named by id or URL, is alive. Answers the service.

    Raises: ResourceNotFoundError when the hub does not know it: register again.
    """
    body = {"status": status, "instance_id": instance_id, "url": url, "metadata": metadata}
    request = update(
        _path(service_id, "heartbeat"), body=body, about=("service", service_id), method="POST"
    )
    return _object(await hub.call(request))


async def get_service(hub: Hub, service_id: str) -> JsonObject:
    """A service by its id or name. Raises: ResourceNotFoundError."""
    return _object(await hub.call(read(_path(service_id), about=("service", service_id))))


async def get_services(
    hub: Hub,
    status: str | None = None,
    *,
    type: str | None = None,
    name: str | None = None,
    tag: str | None = None,
    action: str | None = None,
    zone: str | None = None,
    search: str | None = None,
    ordering: str | None = None,
    page: int | None = None,
    per_page: int | None = None,
) -> JsonObject:
    """One page of the services: ``{"items", "total", "page", "per_page", "pages", ...}``."""
    request = read(
        SERVICES,
        status=status,
        type=type,
        name=name,
        tag=tag,
        action=action,
        zone=zone,
        search=search,
        ordering=ordering,
        page=page,
        per_page=per_page,
    )
    return _object(await hub.call(request))


async def get_service_health(hub: Hub, service_id: str) -> JsonObject:
    """Status, instances, last heartbeat, last probe. Raises: ResourceNotFoundError."""
    return _object(await hub.call(read(_path(service_id, "health"), about=("service", service_id))))


async def execute_service_action(
    hub: Hub,
    service_id: str,
    action: str,
    input_data: JsonObject | None = None,
    context: JsonObject | None = None,
) -> Any:
    """Call one action of a service through the hub. Answers the action's output.

    Raises: ValidationError when the input does not fit the action's schema, ResourceNotFoundError,
    ServiceCallError, ServiceUnavailableError, RequestTimeoutError.
    """
    body = {"input_data": input_data or {}, "context": context or {}}
    path = _path(service_id, "actions", segment(action), "execute")
    return await hub.call(create(path, body=body, about=("service", service_id)))


async def discover(
    hub: Hub,
    type: str | None = None,
    *,
    name: str | None = None,
    tag: str | None = None,
    action: str | None = None,
    zone: str | None = None,
    metadata: dict[str, str] | None = None,
    include_offline: bool | None = None,
    page: int | None = None,
    per_page: int | None = None,
) -> JsonObject:
    """One page of the healthy services that fit."""
    filters: dict[str, Any] = {f"metadata.{key}": each for key, each in (metadata or {}).items()}
    if include_offline is not None:
        filters["include_offline"] = "true" if include_offline else "false"
    request = read(
        "/discovery/services",
        type=type,
        name=name,
        tag=tag,
        action=action,
        zone=zone,
        page=page,
        per_page=per_page,
        **filters,
    )
    return _object(await hub.call(request))


async def find_service(hub: Hub, type: str) -> JsonObject:
    """The service of a type that the hub would call now. Raises: ResourceNotFoundError."""
    path = f"/discovery/services/type/{segment(type)}"
    return _object(await hub.call(read(path, about=("service", type))))


async def get_integration_health(hub: Hub) -> JsonObject:
    """How the hub and all it knows are: ``{"status", "service_statuses", ...}``."""
    return _object(await hub.call(read("/health/system")))


def _object(answer: Any) -> JsonObject:
    result: JsonObject = answer
    return result
