"""A user's code as mypy sees it: `./dev check` proves each type, and nothing runs it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, assert_type

from service_integration_client import (
    AsyncServiceIntegrationClient,
    ServiceIntegrationClient,
    ServiceRegistration,
    SyncServiceIntegrationClient,
    WorkflowResult,
)

JsonObject = dict[str, Any]


def plain(client: SyncServiceIntegrationClient) -> None:
    assert_type(client.create_connection("c", "HTTP", limits={"per_second": 2}), JsonObject)
    assert_type(client.get_connections("HTTP", page=2), JsonObject)
    assert_type(client.execute_workflow("w", {"x": 1}, timeout=2.5), WorkflowResult)
    assert_type(client.iter_connections(type="HTTP"), Iterator[Any])
    client.create_connection("c", "HTTP", port="x")  # type: ignore[arg-type]
    client.create_connection("c", "HTTP", colour="x")  # type: ignore[call-arg]
    client.create_connection("c")  # type: ignore[call-arg]
    with client as same, ServiceRegistration("s", "http://s:1") as registration:
        assert_type(same, SyncServiceIntegrationClient)
        assert_type(registration, ServiceRegistration)


async def mixed(client: ServiceIntegrationClient) -> None:
    assert_type(await client.update_connection("c", host="h"), JsonObject)
    assert_type(client.get_connection("c"), JsonObject)
    assert_type(client.iter_connections(), Iterator[Any])
    with client as blocking:
        assert_type(blocking, ServiceIntegrationClient)
    async with client as awaiting:
        assert_type(awaiting, ServiceIntegrationClient)


async def awaited(client: AsyncServiceIntegrationClient) -> None:
    assert_type(await client.update_connection("c", host="h"), JsonObject)
    assert_type(await client.get_connection("c"), JsonObject)
    assert_type(await client.execute_workflow("w"), WorkflowResult)
    assert_type(client.iter_connections(), AsyncIterator[Any])
    async with ServiceRegistration("s", "http://s:1") as registration:
        assert_type(registration, ServiceRegistration)
