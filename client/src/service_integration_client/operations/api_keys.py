"""API keys: issued, seen without their text, revoked."""

from __future__ import annotations

from typing import Any

from service_integration_client.hub import Hub
from service_integration_client.operations.collection import Collection
from service_integration_client.requests import JsonObject, with_removals

API_KEYS = Collection("/keys", "API key")


async def create_api_key(
    hub: Hub,
    name: str,
    role: str | None = None,
    *,
    scopes: list[str] | None = None,
    networks: list[str] | None = None,
    service_names: list[str] | None = None,
    service_types: list[str] | None = None,
    requests_per_minute: int | None = None,
    expires_at: str | None = None,
) -> JsonObject:
    """Issue an API key. `key` of the answer is its text, which no other answer has.

    `role`, or `scopes` instead of those of a role, say what it may do, at most what the caller
    may; `networks` are those that it is taken from, all unless given; `service_names` and
    `service_types` are patterns of what it may register, such as "billing-*";
    `requests_per_minute` is its limit, that of the hub unless given, and 0 for none.
    Raises: ValidationError, ConflictError.
    """
    return await API_KEYS.call(hub, "POST", locals())


async def update_api_key(hub: Hub, /, key_id: str, **changes: Any) -> JsonObject:
    """Change these fields of an API key; `changes` are fields by name. Its text stays.

    None takes a field away, such as the end of a key by `expires_at=None`.
    Raises: ResourceNotFoundError, ValidationError.
    """
    return await API_KEYS.call(hub, "PATCH /{key_id}", {**with_removals(changes), "key_id": key_id})


async def revoke_api_key(hub: Hub, key_id: str) -> JsonObject:
    """Have an API key refused from now on, for good. Raises: ResourceNotFoundError."""
    return await API_KEYS.call(hub, "POST /{key_id}/revoke", locals())


async def delete_api_key(hub: Hub, key_id: str) -> JsonObject:
    """Forget an API key. Answers ``{"id", "deleted"}``. Raises: ResourceNotFoundError."""
    return await API_KEYS.delete(hub, "/{key_id}", locals())


async def get_api_key(hub: Hub, key_id: str) -> JsonObject:
    """An API key without its text, by its id or name. Raises: ResourceNotFoundError."""
    return await API_KEYS.call(hub, "GET /{key_id}", locals())


async def get_api_keys(
    hub: Hub,
    role: str | None = None,
    *,
    state: str | None = None,
    search: str | None = None,
    ordering: str | None = None,
    page: int | None = None,
    per_page: int | None = None,
) -> JsonObject:
    """One page of the API keys without their texts, such as those of a `role`.

    `state` is USABLE, EXPIRED or REVOKED.

    Raises: ValidationError.
    """
    return await API_KEYS.call(hub, "GET", locals())
