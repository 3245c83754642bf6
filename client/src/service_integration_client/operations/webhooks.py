"""Inbound webhooks: made, changed, and what came to them."""

from __future__ import annotations

from typing import Any

from service_integration_client.hub import Hub
from service_integration_client.operations.collection import Collection
from service_integration_client.requests import JsonObject

WEBHOOKS = Collection("/webhooks", "webhook")


async def create_webhook(
    hub: Hub,
    name: str,
    credential: str,
    workflow: str | None = None,
    mapping: Any = None,
    *,
    effect: str | None = None,
    signal: str | None = None,
    find: str | None = None,
    find_by: str | None = None,
    enabled: bool | None = None,
    old_credential: str | None = None,
    description: str | None = None,
) -> JsonObject:
    """Make a webhook that starts `workflow`, or with the effect SIGNAL signals what `find` finds.

    `credential` is an HMAC signature credential; what is signed with `old_credential` is taken
    too, while the secret is rotated. Raises: ValidationError, PermissionDeniedError.
    """
    return await WEBHOOKS.call(hub, "POST", locals())


async def update_webhook(
    hub: Hub,
    webhook_id: str,
    name: str | None = None,
    credential: str | None = None,
    workflow: str | None = None,
    mapping: Any = None,
    *,
    effect: str | None = None,
    signal: str | None = None,
    find: str | None = None,
    find_by: str | None = None,
    enabled: bool | None = None,
    old_credential: str | None = None,
    description: str | None = None,
) -> JsonObject:
    """Change what is given of a webhook, and leave the rest.

    While its secret is rotated, what is signed with `old_credential` is taken too; an empty text
    ends that.

    Raises: ResourceNotFoundError, ValidationError.
    """
    return await WEBHOOKS.call(hub, "PATCH /{webhook_id}", locals())


async def delete_webhook(hub: Hub, webhook_id: str) -> JsonObject:
    """Remove a webhook with its history. Answers ``{"id", "deleted"}``.

    Raises: ResourceNotFoundError.
    """
    return await WEBHOOKS.delete(hub, "/{webhook_id}", locals())


async def get_webhook(hub: Hub, webhook_id: str) -> JsonObject:
    """A webhook by its id or name; messages go to its `path`. Raises: ResourceNotFoundError."""
    return await WEBHOOKS.call(hub, "GET /{webhook_id}", locals())


async def get_webhooks(
    hub: Hub,
    effect: str | None = None,
    *,
    workflow: str | None = None,
    search: str | None = None,
    ordering: str | None = None,
    page: int | None = None,
    per_page: int | None = None,
) -> JsonObject:
    """One page of the webhooks. Raises: ValidationError."""
    return await WEBHOOKS.call(hub, "GET", locals())


async def get_webhook_deliveries(
    hub: Hub,
    webhook_id: str,
    outcome: str | None = None,
    *,
    page: int | None = None,
    per_page: int | None = None,
    cursor: str | None = None,
) -> JsonObject:
    """One page of what became of its messages, the latest first.

    Raises: ResourceNotFoundError, ValidationError.
    """
    return await WEBHOOKS.call(hub, "GET /{webhook_id}/deliveries", locals())
