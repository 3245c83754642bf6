"""Incidents: what is wrong, and what a person decides about it."""

from __future__ import annotations

from service_integration_client.hub import Hub
from service_integration_client.operations.collection import Collection
from service_integration_client.requests import JsonObject

INCIDENTS = Collection("/monitoring/incidents", "incident")


async def get_incidents(
    hub: Hub,
    status: str | None = None,
    *,
    subject: str | None = None,
    severity: str | None = None,
    service: str | None = None,
    assigned_to: str | None = None,
    public: bool | None = None,
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


async def get_incident_updates(
    hub: Hub,
    incident_id: str,
    *,
    page: int | None = None,
    per_page: int | None = None,
    cursor: str | None = None,
) -> JsonObject:
    """One page of the timeline of an incident, the latest first. Raises: ResourceNotFoundError."""
    return await INCIDENTS.call(hub, "GET /{incident_id}/updates", locals())


async def open_incident(
    hub: Hub,
    title: str,
    *,
    text: str | None = None,
    service: str | None = None,
    severity: str | None = None,
    impact: str | None = None,
    public: bool | None = None,
    page_status: str | None = None,
) -> JsonObject:
    """Open an incident by hand, which ends by a person's word. Answers the incident.

    Raises: ResourceNotFoundError when there is no such service, ValidationError.
    """
    return await INCIDENTS.call(hub, "POST", locals())


async def acknowledge_incident(
    hub: Hub, incident_id: str, *, until: str | None = None
) -> JsonObject:
    """Say that somebody sees to it. Raises: ResourceNotFoundError, ConflictError if not open."""
    return await INCIDENTS.call(hub, "POST /{incident_id}/acknowledge", locals())


async def unacknowledge_incident(hub: Hub, incident_id: str) -> JsonObject:
    """Take that back: others are called again. Raises: ResourceNotFoundError, ConflictError."""
    return await INCIDENTS.call(hub, "POST /{incident_id}/unacknowledge", locals())


async def assign_incident(hub: Hub, incident_id: str, to: str) -> JsonObject:
    """Say whose it is; an empty name takes that back.

    Raises: ResourceNotFoundError, ConflictError when it is resolved.
    """
    return await INCIDENTS.call(hub, "POST /{incident_id}/assign", locals())


async def describe_incident(
    hub: Hub,
    incident_id: str,
    *,
    severity: str | None = None,
    impact: str | None = None,
    title: str | None = None,
    public: bool | None = None,
) -> JsonObject:
    """Change its severity or impact, and how status pages show it.

    Raises: ResourceNotFoundError, ValidationError.
    """
    return await INCIDENTS.call(hub, "POST /{incident_id}/describe", locals())


async def add_incident_update(
    hub: Hub,
    incident_id: str,
    text: str,
    *,
    page_status: str | None = None,
    public: bool | None = None,
) -> JsonObject:
    """Add a note to its timeline, or how far it is. Answers the entry.

    `page_status` is INVESTIGATING, IDENTIFIED, MONITORING, RESOLVED, which ends it, or POSTMORTEM.
    Raises: ResourceNotFoundError, ValidationError.
    """
    return await INCIDENTS.call(hub, "POST /{incident_id}/updates", locals())


async def merge_incident(hub: Hub, incident_id: str, into: str) -> JsonObject:
    """Make it a part of another: nobody is told of it alone while that is open.

    Raises: ResourceNotFoundError, ConflictError when one of them is resolved.
    """
    return await INCIDENTS.call(hub, "POST /{incident_id}/merge", locals())


async def resolve_incident(hub: Hub, incident_id: str, resolution: str | None = None) -> JsonObject:
    """End it; what is still wrong opens another. Raises: ResourceNotFoundError, ConflictError."""
    return await INCIDENTS.call(hub, "POST /{incident_id}/resolve", locals())


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


async def silence_incident(
    hub: Hub, incident_id: str, minutes: int, *, comment: str | None = None
) -> JsonObject:
    """Have nobody told of its kind about the same for some minutes. Answers the silence.

    Raises: ResourceNotFoundError, ConflictError when it is resolved.
    """
    return await INCIDENTS.call(hub, "POST /{incident_id}/silence", locals())
