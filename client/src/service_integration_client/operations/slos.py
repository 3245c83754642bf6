"""Objectives: how much of what a service is asked should be answered well, and what was."""

from __future__ import annotations

from service_integration_client.hub import Hub
from service_integration_client.operations.collection import Collection
from service_integration_client.requests import JsonObject

SLOS = Collection("/monitoring/slos", "objective")


async def create_slo(
    hub: Hub,
    name: str,
    service: str,
    *,
    kind: str | None = None,
    source: str | None = None,
    action: str | None = None,
    target: float | None = None,
    window_days: int | None = None,
    threshold_ms: int | None = None,
    min_events: int | None = None,
    enabled: bool | None = None,
    description: str | None = None,
) -> JsonObject:
    """Make an objective, such as 99.9 percent of the looks at a service in 30 days.

    `kind` is AVAILABILITY or LATENCY; `source` is LOOKS, CALLS or BOTH, and with an `action` only
    calls of that count. Raises: ValidationError, ConflictError.
    """
    return await SLOS.call(hub, "POST", locals())


async def update_slo(
    hub: Hub,
    slo_id: str,
    name: str | None = None,
    *,
    service: str | None = None,
    kind: str | None = None,
    source: str | None = None,
    action: str | None = None,
    target: float | None = None,
    window_days: int | None = None,
    threshold_ms: int | None = None,
    min_events: int | None = None,
    enabled: bool | None = None,
    description: str | None = None,
) -> JsonObject:
    """Change what is given of an objective, and leave the rest.

    Raises: ResourceNotFoundError, ValidationError.
    """
    return await SLOS.call(hub, "PATCH /{slo_id}", locals())


async def delete_slo(hub: Hub, slo_id: str) -> JsonObject:
    """Remove an objective with what was counted. Answers ``{"id", "deleted"}``.

    Raises: ResourceNotFoundError.
    """
    return await SLOS.delete(hub, "/{slo_id}", locals())


async def get_slo(hub: Hub, slo_id: str) -> JsonObject:
    """An objective by its id or name. Raises: ResourceNotFoundError."""
    return await SLOS.call(hub, "GET /{slo_id}", locals())


async def get_slo_status(hub: Hub, slo_id: str) -> JsonObject:
    """How an objective is met: its budget, and how fast that burns.

    Raises: ResourceNotFoundError.
    """
    return await SLOS.call(hub, "GET /{slo_id}/status", locals())


async def get_slos(
    hub: Hub,
    kind: str | None = None,
    *,
    service: str | None = None,
    enabled: bool | None = None,
    search: str | None = None,
    ordering: str | None = None,
    page: int | None = None,
    per_page: int | None = None,
) -> JsonObject:
    """One page of the objectives, by name. Raises: ValidationError."""
    return await SLOS.call(hub, "GET", locals())
