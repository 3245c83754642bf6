"""Services: register, change, find, call."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from service_integration_client.hub import Hub
from service_integration_client.operations.collection import Collection
from service_integration_client.requests import JsonObject

SERVICES = Collection("/registry/services", "service")
INSTANCES = Collection("/registry/services/{service_id}/instances", "instance")
DISCOVERY = Collection("/discovery", "service")
HEALTH = Collection("/health", "hub")


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
    liveness: str | None = None,
) -> JsonObject:
    """Register a service, or refresh it when the hub knows it by this name and URL.

    `endpoint` and `url` are two names of the same thing: where the service answers. An action is
    ``{"name", "description", "method", "path", "input_schema", "output_schema"}``. A service that
    sends no heartbeat for `ttl_seconds` becomes OFFLINE, unless its `health_url` keeps it alive:
    `liveness` is AUTO, HEARTBEAT, PROBE or EITHER. Answers the service.
    Raises: ValidationError, ServiceIntegrationError.
    """
    fields = {**locals(), "url": url or endpoint, "endpoint": None}
    return await SERVICES.call(hub, "POST", fields)


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
    liveness: str | None = None,
) -> JsonObject:
    """Change what is given of a service, and leave the rest. Answers the service.

    `liveness` is AUTO, HEARTBEAT, PROBE or EITHER.
    Raises: ResourceNotFoundError, ValidationError, ServiceIntegrationError.
    """
    fields = {**locals(), "url": url or endpoint, "endpoint": None}
    return await SERVICES.call(hub, "PATCH /{service_id}", fields)


async def deregister_service(hub: Hub, service_id: str, *, force: bool = False) -> JsonObject:
    """Remove a service. Answers ``{"id", "deleted"}``.

    With `force` also one that something uses, which then fails.
    Raises: ResourceNotFoundError; ConflictError, saying what uses it.
    """
    return await SERVICES.delete(hub, "/{service_id}", locals())


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
    return await SERVICES.call(hub, "POST /{service_id}/heartbeat", locals())


async def get_service(hub: Hub, service_id: str) -> JsonObject:
    """A service by its id or name. Raises: ResourceNotFoundError."""
    return await SERVICES.call(hub, "GET /{service_id}", locals())


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
    """One page of the services: ``{"items", "total", "page", "per_page", "pages", ...}``.

    Raises: ValidationError.
    """
    return await SERVICES.call(hub, "GET", locals())


async def get_service_health(hub: Hub, service_id: str, *, probe: bool | None = None) -> JsonObject:
    """Status, instances, last heartbeat, last probe; `probe` asks the service now.

    Raises: ResourceNotFoundError.
    """
    return await SERVICES.call(
        hub, "GET /{service_id}/health", {**locals(), "probe": True if probe else None}
    )


async def get_service_grants(hub: Hub, service_id: str) -> JsonObject:
    """The actions that may use the service's credential: ``{"complete", "grants": [...]}``.

    Each has its `state`, GRANTED, MISSING or CHANGED, and what it is called at.
    Raises: ResourceNotFoundError.
    """
    return await SERVICES.call(hub, "GET /{service_id}/grants", locals())


async def allow_service_actions(
    hub: Hub, service_id: str, actions: list[str] | None = None
) -> JsonObject:
    """Let actions use the service's credential as they are now; all, unless told which.

    Answers as `get_service_grants`. Raises: ResourceNotFoundError, ValidationError,
    PermissionDeniedError without credentials:use.
    """
    return await SERVICES.call(hub, "POST /{service_id}/grants", locals())


async def set_service_status(
    hub: Hub,
    service_id: str,
    status: str,
    *,
    reason: str | None = None,
    until: datetime | str | None = None,
) -> JsonObject:
    """Set a service's status: MAINTENANCE stays, any other yields to the next heartbeat.

    MAINTENANCE is the service's own, whichever instances join, and ends by itself at `until` (a
    time with its offset) if that is given. Answers the service.
    Raises: ResourceNotFoundError, ValidationError.
    """
    return await SERVICES.call(hub, "PUT /{service_id}/status", locals())


async def accept_service(hub: Hub, service_id: str, *, reason: str | None = None) -> JsonObject:
    """Let a service that waits, or was refused, be discovered and called. Answers the service.

    Raises: ResourceNotFoundError, ConflictError when it is accepted already.
    """
    return await SERVICES.call(hub, "POST /{service_id}/accept", locals())


async def refuse_service(hub: Hub, service_id: str, *, reason: str | None = None) -> JsonObject:
    """Refuse a service that waits: it is neither called nor heard. Answers the service.

    Raises: ResourceNotFoundError, ConflictError when it does not wait.
    """
    return await SERVICES.call(hub, "POST /{service_id}/refuse", locals())


async def set_instance_status(
    hub: Hub,
    service_id: str,
    instance_id: str,
    status: str,
    *,
    reason: str | None = None,
    until: datetime | str | None = None,
) -> JsonObject:
    """Set the status of one instance, as `set_service_status` does. Answers the service.

    Raises: ResourceNotFoundError, ValidationError.
    """
    return await SERVICES.call(hub, "PUT /{service_id}/instances/{instance_id}/status", locals())


async def get_service_instances(
    hub: Hub, service_id: str, *, page: int | None = None, per_page: int | None = None
) -> JsonObject:
    """One page of a service's instances, by URL. Raises: ResourceNotFoundError."""
    return await SERVICES.call(hub, "GET /{service_id}/instances", locals())


async def add_service_instance(hub: Hub, /, service_id: str, url: str, **fields: Any) -> JsonObject:
    """Add an instance, or refresh the one with this URL. Answers the service.

    `fields` are `health_url`, `version`, `weight`, `zone`, `metadata`, `ttl_seconds` (seconds).
    Raises: ResourceNotFoundError, ValidationError.
    """
    fields = {**fields, "service_id": service_id, "url": url}
    return await SERVICES.call(hub, "POST /{service_id}/instances", fields)


async def remove_service_instance(hub: Hub, service_id: str, instance_id: str) -> JsonObject:
    """Forget one instance. Answers ``{"id", "deleted"}``. Raises: ResourceNotFoundError."""
    return await INSTANCES.delete(hub, "/{instance_id}", locals())


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
    fields = {**locals(), "input_data": input_data or {}, "context": context or {}}
    return await SERVICES.call(hub, "POST /{service_id}/actions/{action}/execute", fields)


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
    """One page of the healthy services that fit; `metadata` is what theirs must have, as texts.

    Raises: ValidationError.
    """
    filters = {"type": type, "name": name, "tag": tag, "action": action, "zone": zone}
    required = {f"metadata.{key}": text for key, text in (metadata or {}).items()}
    rest = {"page": page, "per_page": per_page, **required, "include_offline": include_offline}
    return await DISCOVERY.call(hub, "GET /services", {**filters, **rest})


async def find_service(hub: Hub, type: str) -> JsonObject:
    """The service of a type that the hub would call now. Raises: ResourceNotFoundError."""
    return await DISCOVERY.call(hub, "GET /services/type/{type}", locals())


async def search_services(hub: Hub, /, **criteria: Any) -> JsonObject:
    """One page of the services that meet the criteria of ``POST /discovery/services/search``.

    `criteria` are `types`, `statuses`, `tags` with ``all``, ``any`` and ``none``, `metadata`,
    `action`, `zone`, `minimum_version`. Raises: ValidationError.
    """
    return await DISCOVERY.call(hub, "POST /services/search", criteria, is_question=True)


async def watch_services(hub: Hub, index: int | None = None, *, wait: float = 30) -> JsonObject:
    """Wait until something changed after `index`, at most so many seconds.

    Answers ``{"index", "changed", "complete", "changes"}``; without an index the present one at
    once. `wait` is in seconds, at most 60. Raises: ValidationError.
    """
    query = {"index": index, "wait": None if index is None else int(wait)}
    return await DISCOVERY.call(hub, "GET /watch", query, wait_seconds=wait)


async def get_integration_health(hub: Hub) -> JsonObject:
    """The health of the hub and of all it knows: ``{"status", "service_statuses", ...}``."""
    return await HEALTH.call(hub, "GET /system", {})
