"""What is configured as files: applied together, and written."""

from __future__ import annotations

from collections.abc import Sequence

from service_integration_client.hub import Hub
from service_integration_client.operations.collection import Collection
from service_integration_client.requests import JsonObject

MANIFESTS = Collection("/manifests", "manifest")


async def apply_manifests(
    hub: Hub,
    files: Sequence[JsonObject],
    *,
    owner: str | None = None,
    prune: bool | None = None,
    dry_run: bool | None = None,
    take_over: bool | None = None,
    secrets: dict[str, str] | None = None,
) -> JsonObject:
    """Make the hub what files say: all of it, or nothing where something is refused.

    `files` are ``{"name", "text"}``, a text is YAML. `owner` names them; with `prune` goes what an
    earlier application of them made, and with `take_over` they have what others manage. `secrets`
    are the values of what they name as ``{env: NAME}``. With `dry_run` nothing is done.
    Raises: ValidationError.
    """
    return await MANIFESTS.call(hub, "POST /apply", locals())


async def export_manifests(
    hub: Hub, kind: list[str] | None = None, *, name: list[str] | None = None
) -> JsonObject:
    """Write what there is as files: ``{"files": [{"name", "text"}]}``, without secrets.

    Raises: ValidationError.
    """
    return await MANIFESTS.call(hub, "GET /export", locals())
