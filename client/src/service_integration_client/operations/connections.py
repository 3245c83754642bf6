"""Connections: made, changed, tested, switched off and on."""

from __future__ import annotations

from service_integration_client.hub import Hub
from service_integration_client.operations.collection import Collection
from service_integration_client.requests import JsonObject

CONNECTIONS = Collection("/registry/connections", "connection")
# The longest that a connection lets its own test take.
LONGEST_TEST_SECONDS = 60.0


async def create_connection(
    hub: Hub,
    name: str,
    type: str,
    base_url: str | None = None,
    *,
    driver: str | None = None,
    host: str | None = None,
    port: int | None = None,
    database: str | None = None,
    username: str | None = None,
    credential: str | None = None,
    config: JsonObject | None = None,
    limits: JsonObject | None = None,
    breaker: JsonObject | None = None,
    criticality: str | None = None,
    check_interval_seconds: int | None = None,
    description: str | None = None,
) -> JsonObject:
    """Make a connection: by `base_url`, or by `host` for a database, a broker or a cache.

    `credential` is the id or name of one. Raises: ValidationError, ServiceIntegrationError.
    """
    return await CONNECTIONS.call(hub, "POST", locals())


async def update_connection(
    hub: Hub,
    connection_id: str,
    name: str | None = None,
    base_url: str | None = None,
    *,
    host: str | None = None,
    port: int | None = None,
    database: str | None = None,
    username: str | None = None,
    credential: str | None = None,
    config: JsonObject | None = None,
    limits: JsonObject | None = None,
    breaker: JsonObject | None = None,
    criticality: str | None = None,
    check_interval_seconds: int | None = None,
    description: str | None = None,
) -> JsonObject:
    """Change what is given of a connection, and leave the rest.

    `config` is merged: None in it takes a setting away. An empty `credential` takes away the one it
    has. Raises: ResourceNotFoundError, ValidationError.
    """
    return await CONNECTIONS.call(hub, "PATCH /{connection_id}", locals())


async def delete_connection(hub: Hub, connection_id: str, *, force: bool = False) -> JsonObject:
    """Remove a connection that nothing uses. Answers ``{"id", "deleted"}``.

    With `force` also one that something uses, which then fails.
    Raises: ResourceNotFoundError; ConflictError, saying what uses it.
    """
    return await CONNECTIONS.delete(hub, "/{connection_id}", locals())


async def get_connection(hub: Hub, connection_id: str) -> JsonObject:
    """A connection by its id or name. Raises: ResourceNotFoundError."""
    return await CONNECTIONS.call(hub, "GET /{connection_id}", locals())


async def get_connections(
    hub: Hub,
    type: str | None = None,
    status: str | None = None,
    *,
    driver: str | None = None,
    name: str | None = None,
    credential: str | None = None,
    search: str | None = None,
    ordering: str | None = None,
    page: int | None = None,
    per_page: int | None = None,
) -> JsonObject:
    """One page of the connections. Raises: ValidationError."""
    return await CONNECTIONS.call(hub, "GET", locals())


async def test_connection(hub: Hub, connection_id: str) -> JsonObject:
    """Ask what a connection leads to, now: what was tried, its answer, what to do, and `success`.

    A failed test raises nothing. Raises: ResourceNotFoundError, ConflictError when it is switched
    off.
    """
    options = {"is_question": True, "wait_seconds": LONGEST_TEST_SECONDS}
    arguments = {"connection_id": connection_id}
    return await CONNECTIONS.call(hub, "POST /{connection_id}/test", arguments, **options)


async def disable_connection(hub: Hub, connection_id: str, reason: str) -> JsonObject:
    """Switch a connection off: calls through it are refused. Raises: ResourceNotFoundError."""
    return await CONNECTIONS.call(hub, "POST /{connection_id}/disable", locals())


async def enable_connection(hub: Hub, connection_id: str) -> JsonObject:
    """Switch a connection on again. Raises: ResourceNotFoundError."""
    return await CONNECTIONS.call(hub, "POST /{connection_id}/enable", locals())
