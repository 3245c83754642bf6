"""Receives bodies within limits of size and time, before a thread is taken for them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from core.api.exchange import WebRequest

Receive = Callable[[], Awaitable[dict[str, Any]]]
# More than any endpoint takes: what is refused is refused by the one that knows its limit.
MOST_BYTES = 2 * 1024 * 1024 + 1
RECEIVE_SECONDS = 30.0


class BodyTooLarge(Exception):
    """The body is larger than anything here takes."""


class TooSlow(Exception):
    """The body did not come in time."""


class Disconnected(Exception):
    """The caller is gone."""


async def receive_body(request: WebRequest, receive: Receive) -> bytes:
    """Return the whole body of a request.

    Raises:
        BodyTooLarge, TooSlow, Disconnected: see there.
    """
    headers = request.headers
    if "content-length" not in headers and "transfer-encoding" not in headers:
        return b""
    if int(headers.get("content-length") or 0) > MOST_BYTES:
        raise BodyTooLarge
    try:
        async with asyncio.timeout(RECEIVE_SECONDS):
            return await _whole(receive)
    except TimeoutError:
        raise TooSlow from None


async def _whole(receive: Receive) -> bytes:
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        part = message.get("body", b"")
        parts.append(part)
        size += len(part)
        if size > MOST_BYTES:
            raise BodyTooLarge
        if not message.get("more_body"):
            return b"".join(parts)
