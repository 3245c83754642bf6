"""Windows of maintenance: services are worked on, and nobody is called."""

from __future__ import annotations

from datetime import datetime

from service_integration_client.hub import Hub
from service_integration_client.operations.collection import Collection
from service_integration_client.requests import JsonObject

WINDOWS = Collection("/monitoring/maintenance", "maintenance window")


async def plan_maintenance(
    hub: Hub,
    name: str,
    *,
    services: list[str] | None = None,
    tags: list[str] | None = None,
    types: list[str] | None = None,
    everything: bool | None = None,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    cron: str | None = None,
    duration_minutes: int | None = None,
    timezone: str | None = None,
    suppress_alerts: bool | None = None,
    public: bool | None = None,
    description: str | None = None,
) -> JsonObject:
    """Plan a window: once from `starts_at` to `ends_at`, or by `cron` for `duration_minutes`.

    `cron` has five fields; `timezone` is an IANA name, else UTC. It begins and ends by
    itself. Raises: ValidationError, ConflictError.
    """
    return await WINDOWS.call(hub, "POST", locals())


async def update_maintenance_window(
    hub: Hub,
    window_id: str,
    name: str | None = None,
    *,
    services: list[str] | None = None,
    tags: list[str] | None = None,
    types: list[str] | None = None,
    everything: bool | None = None,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    cron: str | None = None,
    duration_minutes: int | None = None,
    timezone: str | None = None,
    suppress_alerts: bool | None = None,
    public: bool | None = None,
    description: str | None = None,
) -> JsonObject:
    """Change what is given of a window, and leave the rest.

    `cron` is read in the zone of `timezone`. Raises: ResourceNotFoundError,
    ValidationError, ConflictError when it is over.
    """
    return await WINDOWS.call(hub, "PATCH /{window_id}", locals())


async def delete_maintenance_window(hub: Hub, window_id: str) -> JsonObject:
    """Remove a window with its times. Answers ``{"id", "deleted"}``.

    Raises: ResourceNotFoundError, ConflictError while it is under way.
    """
    return await WINDOWS.delete(hub, "/{window_id}", locals())


async def extend_maintenance(hub: Hub, window_id: str, minutes: int) -> JsonObject:
    """Let what is under way end later. Raises: ResourceNotFoundError, ConflictError."""
    return await WINDOWS.call(hub, "POST /{window_id}/extend", locals())


async def cancel_maintenance(hub: Hub, window_id: str, *, reason: str | None = None) -> JsonObject:
    """Call a window off for good. Raises: ResourceNotFoundError, ConflictError."""
    return await WINDOWS.call(hub, "POST /{window_id}/cancel", locals())


async def begin_maintenance(
    hub: Hub,
    services: list[str],
    minutes: int,
    *,
    reason: str | None = None,
    public: bool | None = None,
) -> JsonObject:
    """Put services under maintenance at once: they are checked on, and nobody is called.

    Answers the window. Raises: ResourceNotFoundError where there is no such service,
    ValidationError.
    """
    return await WINDOWS.call(hub, "POST /now", locals())


async def finish_maintenance(hub: Hub, window_id: str) -> JsonObject:
    """End what is under way. Raises: ResourceNotFoundError, ConflictError when it is not."""
    return await WINDOWS.call(hub, "POST /{window_id}/finish", locals())


async def get_maintenance_window(hub: Hub, window_id: str) -> JsonObject:
    """A window by its id or name. Raises: ResourceNotFoundError."""
    return await WINDOWS.call(hub, "GET /{window_id}", locals())


async def get_maintenance_windows(
    hub: Hub,
    status: str | None = None,
    *,
    search: str | None = None,
    ordering: str | None = None,
    page: int | None = None,
    per_page: int | None = None,
) -> JsonObject:
    """One page of the windows. Raises: ValidationError."""
    return await WINDOWS.call(hub, "GET", locals())
