"""Silences: nobody is told of what they match."""

from __future__ import annotations

from datetime import datetime

from service_integration_client.hub import Hub
from service_integration_client.operations.collection import Collection
from service_integration_client.requests import JsonObject

SILENCES = Collection("/monitoring/silences", "silence")


async def create_silence(
    hub: Hub,
    name: str,
    ends_at: datetime,
    *,
    starts_at: datetime | None = None,
    subjects: list[str] | None = None,
    services: list[str] | None = None,
    tags: list[str] | None = None,
    about: list[str] | None = None,
    description: str | None = None,
) -> JsonObject:
    """Silence the incidents that pass all that is given, of which there has to be something.

    It holds from `starts_at`, or from now on, until `ends_at`, a year at most. `tags` are those of
    services: one of them is enough. Raises: ValidationError, ConflictError.
    """
    return await SILENCES.call(hub, "POST", locals())


async def update_silence(
    hub: Hub,
    silence_id: str,
    name: str | None = None,
    *,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    subjects: list[str] | None = None,
    services: list[str] | None = None,
    tags: list[str] | None = None,
    about: list[str] | None = None,
    description: str | None = None,
) -> JsonObject:
    """Change what is given of a silence, and leave the rest.

    One that is over holds again with an `ends_at` that is to come.
    Raises: ResourceNotFoundError, ValidationError, ConflictError when the name is taken.
    """
    return await SILENCES.call(hub, "PATCH /{silence_id}", locals())


async def expire_silence(hub: Hub, silence_id: str) -> JsonObject:
    """End a silence now. Raises: ResourceNotFoundError, ConflictError when it is over."""
    return await SILENCES.call(hub, "POST /{silence_id}/expire", locals())


async def delete_silence(hub: Hub, silence_id: str) -> JsonObject:
    """Remove a silence. Answers ``{"id", "deleted"}``. Raises: ResourceNotFoundError."""
    return await SILENCES.delete(hub, "/{silence_id}", locals())


async def preview_silence(
    hub: Hub,
    *,
    subjects: list[str] | None = None,
    services: list[str] | None = None,
    tags: list[str] | None = None,
    about: list[str] | None = None,
) -> JsonObject:
    """Which open incidents would be silenced; nothing is stored. Raises: ValidationError."""
    return await SILENCES.call(hub, "POST /preview", locals(), is_question=True)


async def get_silence(hub: Hub, silence_id: str) -> JsonObject:
    """A silence by its id or name. Raises: ResourceNotFoundError."""
    return await SILENCES.call(hub, "GET /{silence_id}", locals())


async def get_silenced_incidents(hub: Hub, silence_id: str) -> JsonObject:
    """The open incidents that a silence matches. Raises: ResourceNotFoundError."""
    return await SILENCES.call(hub, "GET /{silence_id}/incidents", locals())


async def get_silences(
    hub: Hub,
    active: bool | None = None,
    *,
    search: str | None = None,
    ordering: str | None = None,
    page: int | None = None,
    per_page: int | None = None,
) -> JsonObject:
    """One page of the silences, by name. Raises: ValidationError."""
    return await SILENCES.call(hub, "GET", locals())
