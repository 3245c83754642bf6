"""The client reads an answer as RFC 9112, 6.3 ends it, and nothing behind it as the next one."""

import time

import pytest

from registry.discovery.http_backend import BackendAPI
from service_integration_client import AsyncServiceIntegrationClient, SyncServiceIntegrationClient
from tests.support.raw_server import CUTS, ODD_ANSWERS, raw_server
from tests.support.waiting import PATIENCE

BODILESS = [name for name, (_, _, status, _) in ODD_ANSWERS.items() if status == 204]


def settle(server):
    """What follows an answer is there, before the connection is used again."""
    assert server.sent.wait(PATIENCE)
    time.sleep(0.02)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", BODILESS)
def test_a_204_succeeds_and_what_follows_is_nobodys_answer(name, cut):
    with (
        raw_server(ODD_ANSWERS[name][1], cut) as server,
        SyncServiceIntegrationClient(base_url=server.url) as client,
    ):
        assert client.delete_workflow("w")["deleted"] is True
        settle(server)
        assert client.get_workflow("w") == {"ok": True}
    assert (server.requests, server.connections) == (2, 2)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", BODILESS)
async def test_so_it_does_where_it_is_awaited(name, cut):
    with raw_server(ODD_ANSWERS[name][1], cut) as server:
        async with AsyncServiceIntegrationClient(base_url=server.url) as client:
            assert (await client.delete_workflow("w"))["deleted"] is True
            settle(server)
            assert await client.get_workflow("w") == {"ok": True}
    assert (server.requests, server.connections) == (2, 2)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", BODILESS)
def test_so_do_discovery_backends(name, cut):
    with raw_server(ODD_ANSWERS[name][1], cut) as server:
        api = BackendAPI(server.url)
        assert api.put("/a", {}) is True
        settle(server)
        assert api.get("/b") == {"ok": True}
        api.client.close()
    assert (server.requests, server.connections) == (2, 2)
