"""A stream of events is read message by message, and taken up where it broke."""

from __future__ import annotations

import httpx2
import pytest

from service_integration_client import AsyncServiceIntegrationClient, AuthenticationError
from tests.client.fake_hub import FakeHub, answer

FIRST = (
    'retry: 2000\n: all is well\nid: 1\n\nid: 2\nevent: services\ndata: {"topic": "services",'
    ' "name": "stock"}\n\n: all is well\nid: 3\n\nid: 4\nevent: services\ndata: {"half'
)
THEN = 'id: 5\nevent: reset\ndata: {"topics": ["services"]}\n\n'


def stream(text: str) -> httpx2.Response:
    return httpx2.Response(200, text=text, headers={"Content-Type": "text/event-stream"})


def test_stream_that_ends_is_taken_up_behind_what_was_whole():
    hub = FakeHub(stream(FIRST), httpx2.ConnectError("gone"), stream(THEN), answer(401, {}))
    events = hub.client().events(["services", "incidents"], last_event_id="0")
    assert next(events) == {
        "event_id": "2", "type": "services", "topic": "services", "name": "stock",
    }  # fmt: skip
    assert next(events) == {"event_id": "5", "type": "reset", "topics": ["services"]}
    with pytest.raises(AuthenticationError):
        next(events)
    assert [each.headers["last-event-id"] for each in hub.requests] == ["0", "3", "3", "5"]
    assert {each.headers["accept"] for each in hub.requests} == {"text/event-stream"}
    assert {each.url.params["topics"] for each in hub.requests} == {"services,incidents"}
    assert len(hub.slept) == 3


def test_hub_that_stays_away_is_given_up():
    hub = FakeHub(httpx2.ConnectError("gone"))
    with pytest.raises(Exception, match="cannot be reached"):
        next(hub.client().events())
    assert len(hub.requests) == 11


async def test_stream_is_awaited_where_reads_are():
    hub = FakeHub(stream(FIRST))
    events = hub.client(AsyncServiceIntegrationClient).events()
    assert (await events.__anext__())["event_id"] == "2"
    await events.aclose()


def test_stream_that_is_left_is_closed():
    hub = FakeHub(stream(FIRST))
    for event in hub.client().events():
        assert event["event_id"] == "2"
        break
    assert len(hub.requests) == 1
