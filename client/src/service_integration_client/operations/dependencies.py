"""Dependencies: which service needs which."""

from __future__ import annotations

from service_integration_client.hub import Hub
from service_integration_client.operations.collection import Collection
from service_integration_client.requests import JsonObject

DEPENDENCIES = Collection("/monitoring/dependencies", "dependency")


async def create_dependency(
    hub: Hub, service: str, depends_on: str, *, kind: str | None = None
) -> JsonObject:
    """Say that a service needs another: HARD does not work without it, SOFT does.

    Raises: ValidationError for one that would close a circle, ConflictError.
    """
    return await DEPENDENCIES.call(hub, "POST", locals())


async def delete_dependency(hub: Hub, dependency_id: str) -> JsonObject:
    """Take back that a service needs another. Answers ``{"id", "deleted"}``.

    Raises: ResourceNotFoundError.
    """
    return await DEPENDENCIES.delete(hub, "/{dependency_id}", locals())


async def get_dependency(hub: Hub, dependency_id: str) -> JsonObject:
    """A dependency by its id. Raises: ResourceNotFoundError."""
    return await DEPENDENCIES.call(hub, "GET /{dependency_id}", locals())


async def get_learned_dependencies(hub: Hub) -> JsonObject:
    """The `items` are who called whom by an integration within a week, and was not said to need it.

    No alert goes by them: `create_dependency` makes one declared.
    """
    return await DEPENDENCIES.call(hub, "GET /learned", locals())


async def get_dependencies(
    hub: Hub,
    service: str | None = None,
    *,
    depends_on: str | None = None,
    kind: str | None = None,
    ordering: str | None = None,
    page: int | None = None,
    per_page: int | None = None,
) -> JsonObject:
    """One page of the dependencies, by the names of the services. Raises: ValidationError."""
    return await DEPENDENCIES.call(hub, "GET", locals())
