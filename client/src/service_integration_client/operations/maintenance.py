"""Windows of maintenance: services are worked on, and nobody is called."""

from __future__ import annotations

from service_integration_client.hub import Hub
from service_integration_client.operations.collection import Collection
from service_integration_client.requests import JsonObject

WINDOWS = Collection("/monitoring/maintenance", "maintenance window")


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
