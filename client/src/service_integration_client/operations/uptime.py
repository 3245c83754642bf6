"""How services were: how much of the time they could be used, and what that is made of."""

from __future__ import annotations

from service_integration_client.hub import Hub
from service_integration_client.operations.collection import Collection
from service_integration_client.requests import JsonObject

REMEMBERED = Collection("/monitoring/services", "service")


async def get_service_uptime(
    hub: Hub, service_id: str, window: str | None = None, *, maintenance: str | None = None
) -> JsonObject:
    """The uptime of a service over a window with its parts, and that of each day.

    `window` is 24h (as without one), 7d, 30d, 90d or 365d.
    Raises: ResourceNotFoundError, ValidationError.
    """
    return await REMEMBERED.call(hub, "GET /{service_id}/uptime", locals())


async def get_service_response_times(
    hub: Hub, service_id: str, window: str | None = None
) -> JsonObject:
    """How fast a service answered its checks: `points` with percentiles, and `events` meanwhile.

    `window` is 1h, 24h (as without one), 7d, 30d or 90d.
    Raises: ResourceNotFoundError, ValidationError.
    """
    return await REMEMBERED.call(hub, "GET /{service_id}/response-times", locals())


async def get_service_spans(
    hub: Hub,
    service_id: str,
    status: str | None = None,
    *,
    page: int | None = None,
    per_page: int | None = None,
    cursor: str | None = None,
) -> JsonObject:
    """One page of the times in which a service had one status, the latest first.

    Raises: ResourceNotFoundError, ValidationError.
    """
    return await REMEMBERED.call(hub, "GET /{service_id}/spans", locals())
