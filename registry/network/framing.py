"""Finds where an answer ends (RFC 9112, 6.3), for peers that send more than their answer.

aiohttp parses what comes in one piece, and loses an answer that is followed by something else.
Here the head is parsed by itself. An answer to HEAD, a 204 and a 304 end with it, others with their
body; a connection on which more comes is dropped, so that nothing of it is taken for the next
answer.
"""

from __future__ import annotations

import asyncio
import re
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_LONGEST_END = 4
_WITHOUT_BODY = (204, 304)


class FramedResponses(ResponseHandler):
    """The protocol of one connection: gives the parser the head and the rest one by one."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._begin()

    def _begin(self) -> None:
        self._in_head, self._is_over, self._before = True, False, b""

    def set_response_params(self, *, skip_payload: bool = False, **options: Any) -> None:
        """Expect the answer to the next request."""
        self._begin()
        super().set_response_params(skip_payload=skip_payload, **options)

    def data_received(self, data: bytes) -> None:
        """Take what came, up to the end of the answer."""
        if not data:  # it only goes on with what it has
            super().data_received(data)
        while data:
            if self._has_ended():
                self._drop()
                return
            size = self._size_of_head(data) if self._in_head else len(data)
            part, data = data[:size], data[size:]
            super().data_received(part)
            self._fail_body()

    def _size_of_head(self, data: bytes) -> int:
        """Return how much of this belongs to the head, whose end may lie across two pieces."""
        recent = self._before + data
        end = _END_OF_HEAD.search(recent)
        self._before = b"" if end else recent[1 - _LONGEST_END :]
        return end.end() - (len(recent) - len(data)) if end else len(data)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Take a head that was parsed; after that of a 1xx comes another one."""
        if not self._in_head:  # behind a whole answer: the connection may be in the pool already
            self._drop()
            return
        message = data[0]
        if message.code >= 200 or message.code == 101:
            self._in_head = False
            self._is_over = self._skip_payload or message.code in _WITHOUT_BODY
        if message.code == 204 and _announces_body(message.headers):
            self.force_close()  # what it announces may still be on its way
        super().feed_data(data, size)

    def _has_ended(self) -> bool:
        if self._is_over:
            return True
        return not self._in_head and self._payload is not None and self._payload.is_eof()

    def _fail_body(self) -> None:
        """Tell who reads the body of what came behind its head and cannot be read."""
        body, error = self._payload, self._exception
        if error is not None and body is not None and not body.is_eof():
            body.set_exception(aiohttp.ClientPayloadError(f"The body cannot be read: {error}"))

    def _drop(self) -> None:
        self.force_close()
        if self.transport is not None:
            self.transport.close()


def _announces_body(headers: Any) -> bool:
    return "Transfer-Encoding" in headers or headers.get("Content-Length", "0").strip() != "0"


def framed(connector: aiohttp.TCPConnector) -> aiohttp.TCPConnector:
    """Return the same connector, whose connections know where answers end."""
    factory: Any = partial(FramedResponses, loop=connector._loop)
    connector._factory = factory
    return connector
