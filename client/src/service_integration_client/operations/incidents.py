"""Incidents: what is wrong, and what a person decides about it."""

from __future__ import annotations

from typing import Any

from service_integration_client.hub import Hub
from service_integration_client.requests import create, read, segment

INCIDENTS = "/health/incidents"


async def get_incidents(
    hub: Hub,
    status: str | None = None,
    *,
    subject: str | None = None,
    page: int | None = None,
    per_page: int | None = None,
    cursor: str | None = None,
) -> Any:
    """One page of the incidents, the latest first; `status` is OPEN, ACKNOWLEDGED or RESOLVED."""
    return await hub.call(
        read(
            INCIDENTS,
            status=status,
            subject=subject,
            page=page,
            per_page=per_page,
            cursor=cursor,
        )
    )


async def get_incident(hub: Hub, incident_id: str) -> Any:
    """An incident. Raises: ResourceNotFoundError."""
    path = f"{INCIDENTS}/{segment(incident_id)}"
    return await hub.call(read(path, about=("incident", incident_id)))


async def _decide(hub: Hub, incident_id: str, decision: str) -> Any:
    path = f"{INCIDENTS}/{segment(incident_id)}/{decision}"
    return await hub.call(create(path, body={}, about=("incident", incident_id)))


async def acknowledge_incident(hub: Hub, incident_id: str) -> Any:
    """Say that somebody sees to it. Raises: ConflictError when it is not open."""
    return await _decide(hub, incident_id, "acknowledge")


async def expire_suspects(hub: Hub, incident_id: str) -> Any:
    """Take the suspects of a mass expiry offline now. Raises: ConflictError."""
    return await _decide(hub, incident_id, "expire")


async def keep_suspects(hub: Hub, incident_id: str) -> Any:
    """Take the suspects of a mass expiry to be alive for another hour. Raises: ConflictError."""
    return await _decide(hub, incident_id, "keep")
