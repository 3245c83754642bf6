"""Reads answers that are streams of events (Server-Sent Events, WHATWG HTML, section 9.2)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

import aiohttp

from core.media_types import media_type_of
from registry.calls.body_reader import TooLarge, inflater_of

STREAM_TYPE = "text/event-stream"
MAX_EVENT_BYTES = 8 * 1024 * 1024
_PIECE = 65536
_END_OF_EVENT = re.compile(rb"\r\n\r\n|\n\n|\r\r")


class StreamEvent(NamedTuple):
    """An event of a stream: its name, where it has one, and its data."""

    name: str
    data: str


# What is given each event as it comes; the next is read once it returns.
TakeEvent = Callable[[StreamEvent], Awaitable[None]]


def is_stream(response: aiohttp.ClientResponse) -> bool:
    return media_type_of(response.headers.get("Content-Type") or "") == STREAM_TYPE


async def read_events(response: aiohttp.ClientResponse) -> AsyncIterator[StreamEvent]:
    """Yield the events of an answer as they come, each of at most 8 MiB.

    Raises:
        TooLarge: an event is larger.
        WrongEncoding: the answer cannot be inflated.
    """
    splitter = EventSplitter()
    inflate = inflater_of(response)
    async for piece in response.content.iter_any():
        for part in inflate.feed(piece, _PIECE):
            for event in splitter.feed(part):
                yield event


class EventSplitter:
    """Splits bytes into events, however the network cut them."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, part: bytes) -> list[StreamEvent]:
        """Return the events that are complete by now.

        Raises:
            TooLarge: one has more bytes than may be, and is still not complete.
        """
        # An end may have begun in the last bytes of before.
        looked = max(len(self._pending) - 3, 0)
        self._pending += part
        events: list[StreamEvent] = []
        begin = 0
        while (end := _END_OF_EVENT.search(self._pending, looked)) is not None:
            if event := _event_in(bytes(self._pending[begin : end.start()])):
                events.append(event)
            begin = looked = end.end()
        del self._pending[:begin]
        if len(self._pending) > MAX_EVENT_BYTES:
            raise TooLarge
        return events


def _event_in(block: bytes) -> StreamEvent | None:
    """Return the event of a block of lines; None where it is a comment."""
    name, data = "", []
    for line in block.decode("utf-8", "replace").splitlines():
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            name = value
    return StreamEvent(name, "\n".join(data)) if data else None
