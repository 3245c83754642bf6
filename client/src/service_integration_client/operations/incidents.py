"""Incidents: what is wrong, and what a person decides about it."""

from __future__ import annotations

from service_integration_client.hub import Hub
from service_integration_client.operations.collection import Collection
from service_integration_client.requests import JsonObject

INCIDENTS = Collection("/health/incidents", "incident")


async def get_incidents(
    hub: Hub,
    status: str | None = None,
    *,
    subject: str | None = None,
    severity: str | None = None,
    service: str | None = None,
    page: int | None = None,
    per_page: int | None = None,
    cursor: str | None = None,
) -> JsonObject:
    """One page of the incidents, the latest first.

    `status` is OPEN, ACKNOWLEDGED or RESOLVED. Raises: ValidationError.
    """
    return await INCIDENTS.call(hub, "GET", locals())


async def get_incident(hub: Hub, incident_id: str) -> JsonObject:
    """An incident. Raises: ResourceNotFoundError."""
    return await INCIDENTS.call(hub, "GET /{incident_id}", locals())


async def acknowledge_incident(hub: Hub, incident_id: str) -> JsonObject:
    """Say that somebody sees to it. Raises: ResourceNotFoundError, ConflictError if not open."""
    return await INCIDENTS.call(hub, "POST /{incident_id}/acknowledge", locals())


async def expire_suspects(hub: Hub, incident_id: str) -> JsonObject:
    """Take the suspects of a mass expiry offline now.

    Raises: ResourceNotFoundError, ConflictError when it is not about any.
    """
    return await INCIDENTS.call(hub, "POST /{incident_id}/expire", locals())


async def keep_suspects(hub: Hub, incident_id: str) -> JsonObject:
    """Take the suspects of a mass expiry to be alive for another hour.

    Raises: ResourceNotFoundError, ConflictError when it is not about any.
    """
    return await INCIDENTS.call(hub, "POST /{incident_id}/keep", locals())
