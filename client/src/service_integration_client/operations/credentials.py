"""Credentials: set, change, rotate and delete them; their secrets are never answered."""

from __future__ import annotations

from service_integration_client.hub import Hub
from service_integration_client.operations.collection import Collection
from service_integration_client.requests import REMOVE, JsonObject

CREDENTIALS = Collection("/registry/credentials", "credential")


async def create_credential(
    hub: Hub,
    name: str,
    type: str,
    *,
    secret: dict[str, str] | None = None,
    attributes: JsonObject | None = None,
    allowed_origins: list[str] | None = None,
    description: str | None = None,
    expires_at: str | None = None,
    draft: bool | None = None,
) -> JsonObject:
    """Make a credential that is sent to `allowed_origins` only. Answers it without its secret.

    With `draft` it may have no secret yet. Raises: ValidationError, ServiceIntegrationError.
    """
    return await CREDENTIALS.call(hub, "POST", locals())


async def update_credential(
    hub: Hub,
    credential_id: str,
    name: str | None = None,
    *,
    secret: dict[str, str] | None = None,
    attributes: JsonObject | None = None,
    allowed_origins: list[str] | None = None,
    description: str | None = None,
    expires_at: str | None = None,
) -> JsonObject:
    """Change what is given of a credential, and leave the rest. Answers it without its secret.

    A new origin takes the secret again. Raises: ResourceNotFoundError, ValidationError.
    """
    return await CREDENTIALS.call(hub, "PATCH /{credential_id}", locals())


async def rotate_credential(
    hub: Hub,
    credential_id: str,
    secret: dict[str, str],
    *,
    attributes: JsonObject | None = None,
    expires_at: str | None = None,
    never_expires: bool = False,
) -> JsonObject:
    """Replace the secret of a credential. Answers it without its secret.

    `expires_at` or `never_expires` is needed where the old secret had an end.
    Raises: ResourceNotFoundError, ValidationError.
    """
    fields = {**locals(), "never_expires": None}
    if never_expires:
        fields["expires_at"] = REMOVE
    return await CREDENTIALS.call(hub, "POST /{credential_id}/rotate", fields)


async def delete_credential(hub: Hub, credential_id: str) -> JsonObject:
    """Remove a credential that no service uses. Answers ``{"id", "deleted"}``.

    Raises: ResourceNotFoundError, ServiceIntegrationError.
    """
    return await CREDENTIALS.delete(hub, "/{credential_id}", locals())


async def get_credential(hub: Hub, credential_id: str) -> JsonObject:
    """A credential by its id or name, without its secret. Raises: ResourceNotFoundError."""
    return await CREDENTIALS.call(hub, "GET /{credential_id}", locals())


async def get_credentials(
    hub: Hub,
    type: str | None = None,
    *,
    expiring: float | None = None,
    search: str | None = None,
    ordering: str | None = None,
    page: int | None = None,
    per_page: int | None = None,
) -> JsonObject:
    """One page of the credentials; `expiring` is in how many days they end at the latest.

    Raises: ValidationError.
    """
    return await CREDENTIALS.call(hub, "GET", locals())
