"""What may be in the shapes of the earlier system is not for shortcuts, which know only today's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from core.api.exchange import WebAnswer, WebRequest
from integration_site.front.shortcuts import PresentOnly, shortcuts_over

CLIENT = {"user-agent": "service-integration-client"}
PRESENT = {"x-api-dialect": "present"}


class Shortcut:
    async def answer(self, request: WebRequest) -> WebAnswer:
        return WebAnswer(204)


@pytest.mark.parametrize(
    ("method", "path", "headers", "is_short"),
    [
        ("POST", "/registry/services/x/heartbeat", {}, False),
        ("POST", "/api/services", {}, False),
        ("GET", "/services/x", {"user-agent": "python-httpx"}, False),
        ("GET", "/discovery/health/x", {}, False),
        ("POST", "/registry/services/x/heartbeat", CLIENT, True),
        ("GET", "/discovery/health/x", PRESENT, True),
        ("GET", "/services/x/instances", {}, True),
        ("GET", "/events", {}, False),
        ("GET", "/events", {"accept": "text/event-stream"}, True),
        ("GET", "/events", {"last-event-id": "7"}, True),
    ],
)
def test_shortcuts_are_for_the_shapes_of_today(
    method: str, path: str, headers: dict[str, str], is_short: bool
) -> None:
    sent = [(name.encode(), text.encode()) for name, text in headers.items()]
    request = WebRequest.of({"method": method, "path": path, "headers": sent})
    answer = asyncio.run(PresentOnly(Shortcut()).answer(request))
    assert (answer is not None) == is_short


def test_every_shortcut_is_so_where_the_old_shapes_are_understood(settings: Any) -> None:
    class Pool:
        def close_too(self, close: Any) -> None:
            closes.append(close)

    for on in (True, False):
        closes: list[Any] = []
        settings.LEGACY_API = on
        shortcuts = shortcuts_over(Pool())  # type: ignore[arg-type]
        for close in closes:
            close()
        assert {isinstance(each, PresentOnly) for each in shortcuts.values()} == {on}
