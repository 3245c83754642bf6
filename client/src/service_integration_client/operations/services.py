"""Services: register, change, find, call."""

from __future__ import annotations

from dataclasses import replace
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

SERVICES = "/registry/services"


_path = path_below(SERVICES)


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


async def get_service_health(hub: Hub, service_id: str, *, probe: bool | None = None) -> JsonObject:
    """Status, instances, last heartbeat, last probe; `probe` asks the service now.

    Raises: ResourceNotFoundError.
    """
    about, asked = ("service", service_id), "true" if probe else None
    return _object(await hub.call(read(_path(service_id, "health"), about=about, probe=asked)))


async def set_service_status(hub: Hub, service_id: str, status: str) -> JsonObject:
    """Set a service's status: MAINTENANCE stays, any other yields to the next heartbeat.

    Answers the service. Raises: ResourceNotFoundError, ValidationError.
    """
    about = ("service", service_id)
    request = update(
        _path(service_id, "status"), body={"status": status}, about=about, method="PUT"
    )
    return _object(await hub.call(request))


async def get_service_instances(
    hub: Hub, service_id: str, *, page: int | None = None, per_page: int | None = None
) -> JsonObject:
    """One page of a service's instances, by URL. Raises: ResourceNotFoundError."""
    path, about = _path(service_id, "instances"), ("service", service_id)
    return _object(await hub.call(read(path, about=about, page=page, per_page=per_page)))


async def add_service_instance(hub: Hub, /, service_id: str, url: str, **fields: Any) -> JsonObject:
    """Add an instance, or refresh the one with this URL. Answers the service.

    `fields` are `health_url`, `version`, `weight`, `zone`, `metadata`, `ttl_seconds` (seconds).
    Raises: ResourceNotFoundError, ValidationError.
    """
    body, about = {**fields, "url": url}, ("service", service_id)
    return _object(await hub.call(create(_path(service_id, "instances"), body=body, about=about)))


async def remove_service_instance(hub: Hub, service_id: str, instance_id: str) -> JsonObject:
    """Forget one instance. Answers ``{"id", "deleted"}``. Raises: ResourceNotFoundError."""
    path = _path(service_id, "instances", segment(instance_id))
    answer = await hub.call(delete(path, about=("instance", instance_id)))
    return answer or {"id": instance_id, "deleted": True}


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


async def search_services(hub: Hub, /, **criteria: Any) -> JsonObject:
    """One page of the services that meet the criteria of ``POST /discovery/services/search``.

    Among them `types`, `statuses`, `tags` with ``all``, ``any`` and ``none``, `metadata`, `action`,
    `zone`, `minimum_version`. Raises: ValidationError.
    """
    return _object(await hub.call(ask("/discovery/services/search", body=criteria)))


async def watch_services(hub: Hub, index: int | None = None, *, wait: float = 30) -> JsonObject:
    """Wait until something changed after `index`, at most so many seconds.

    Answers ``{"index", "changed", "complete", "changes"}``; without an index the present one at
    once.
    """
    request = read("/discovery/watch", index=index, wait=None if index is None else int(wait))
    return _object(await hub.call(replace(request, wait_seconds=wait)))


async def get_integration_health(hub: Hub) -> JsonObject:
    """How the hub and all it knows are: ``{"status", "service_statuses", ...}``."""
    return _object(await hub.call(read("/health/system")))


def _object(answer: Any) -> JsonObject:
    result: JsonObject = answer
    return result
