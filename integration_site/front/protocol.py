"""Speaks HTTP/1.1 with each peer, within limits that hold before a request is complete.

uvicorn parses and frames. This adds what it leaves open: how long a head may take, how large it may
be, what a head may say, how long an answer may lie untaken, and how many connections there are.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, cast
from urllib.parse import unquote

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from core.api.errors import CONTENT_TYPE, problem
from core.api.exchange import request_id_of
from integration_site.front.connections import Connections
from integration_site.front.sending import CONNECTION_KEY

logger = structlog.get_logger("request")

HEAD_SECONDS = 10.0
HEAD_BYTES = 32 * 1024
MOST_FIELDS = 100
# After a refusal what still comes is read for so long: a connection that is closed over unread
# bytes is reset, and the peer would not see why.
LINGER_SECONDS = 2.0
# A peer that takes nothing, or not even the next 64 KiB, for so long is too slow.
UNTAKEN_SECONDS = 10.0
STALLED_SECONDS = 1.0
ABSOLUTE_FORM = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)


class RefusedHead(Exception):
    """A request is refused for what its head says."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class _Told:
    """An event that at most one waits for; a tenth of the memory of asyncio's."""

    __slots__ = ("_is_set", "_waiting")

    def __init__(self) -> None:
        self._is_set = False
        self._waiting: asyncio.Future[None] | None = None

    def set(self) -> None:
        self._is_set = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def clear(self) -> None:
        self._is_set = False

    async def wait(self) -> None:
        if not self._is_set:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting


class _Exchange(RequestResponseCycle):
    """A request and its answer, whose headers are sound; one without a length is a stream.

    uvicorn looks at each header of each answer, and writes head and body apart.
    """

    _head = b""
    _is_chunked = False

    async def send(self, message: Any) -> None:
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if message["type"] == "http.response.start":
            self._begin(message["status"], message["headers"])
        else:
            self._go_on(message["body"], is_last=not message.get("more_body"))

    def _begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.response_started = True
        self.waiting_for_100_continue = False
        lines = [STATUS_LINE[status]]
        is_stream = status not in (204, 304)
        for name, value in (*self.default_headers, *headers):
            lines += (name, b": ", value, b"\r\n")
            is_stream = is_stream and name != b"content-length"
        if is_stream and self.scope["http_version"] != "1.0":  # else it lasts until the end
            self._is_chunked = self.scope["method"] != "HEAD"
            lines.append(b"transfer-encoding: chunked\r\n")
        lines.append(b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")
        self._head = b"".join(lines)
        if is_stream:
            self._write(b"")

    def _go_on(self, body: bytes, *, is_last: bool) -> None:
        if self._is_chunked:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body += b"0\r\n\r\n" if is_last else b""
        self._write(body if self.scope["method"] != "HEAD" else b"")
        if is_last:
            self.response_complete = True
            self.message_event.set()
            if not self.keep_alive:
                self.transport.close()
            self.on_response()

    def _write(self, body: bytes) -> None:
        self.transport.write(self._head + body)
        self._head = b""


class FrontProtocol(HttpToolsProtocol):
    """One connection."""

    # Of thousands of connections: more attributes than share their names cost two KB of each.
    __slots__ = (
        "_fields", "_has_completed_head", "_head_bytes", "_is_in_head", "_is_lost", "_is_refused",
        "_refusal", "_running", "_size", "_untaken_since", "deadline", "when_lost",
    )  # fmt: skip
    open_connections: ClassVar[Connections]

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        # When to close, in the loop's time; None while a request is under way.
        self.deadline: float | None = None
        self._is_lost = False
        # Of the request that is being answered, if it waits.
        self.when_lost: Callable[[], object] | None = None
        self._untaken_since: float | None = None
        self._is_in_head = True
        self._has_completed_head = False
        self._head_bytes = 0
        self._refusal: RefusedHead | None = None
        self._is_refused = False
        # The request that is being answered; others may follow in the pipeline.
        self._running: RequestResponseCycle | None = None

    @property
    def address(self) -> str:
        """Return the address of the peer."""
        return self.client[0] if self.client else ""

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        self.deadline = self.loop.time() + HEAD_SECONDS
        if sentence := self.open_connections.admit(self):
            self._refuse(RefusedHead(503, sentence))

    def connection_lost(self, exc: Exception | None) -> None:
        self.open_connections.forget(self)
        self.pipeline.clear()
        super().connection_lost(exc)
        self._is_lost = True
        if self.when_lost is not None:
            self.when_lost()
        # They refer to each other, and would lie here until the garbage is collected.
        self.scope = self.cycle = self._running = None  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        self._unset_keepalive_if_required()
        was_in_head, self._has_completed_head = self._is_in_head, False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Answered as the HTTP/1.1 request that it also is; what follows it is not HTTP.
            self.cycle.keep_alive = False
        except httptools.HttpParserError as error:
            self._refuse_once_answered(self._refusal or _malformed(error))
            return
        if was_in_head and self._is_in_head and not self._has_completed_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse_once_answered(_too_large())
                return
        if self.deadline is None and not self.has_request():
            self.deadline = self.loop.time() + HEAD_SECONDS

    def has_request(self) -> bool:
        """Return whether a request is still to be answered."""
        return self.cycle is not None and not self.cycle.response_complete

    # What the parser tells

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._size = self._fields = 0
        cast(dict[str, Any], self.scope)[CONNECTION_KEY] = self

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += 1
        self._count(len(name) + len(value) + 4)
        if self._is_in_head:  # fields behind a chunked body are none of the head's
            super().on_header(name, value)

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > HEAD_BYTES or self._fields > MOST_FIELDS:
            raise self._refused(_too_large())

    def on_headers_complete(self) -> None:
        version = self.parser.get_http_version()
        try:
            self.url = target_of(self.url, self.headers, version)
        except RefusedHead as refusal:
            raise self._refused(refusal) from None
        self._is_in_head, self._has_completed_head, self._head_bytes = False, True, 0
        self.deadline = None
        self.open_connections.note_busy(self)
        target = httptools.parse_url(self.url)
        path = target.path.decode("ascii")
        scope = cast(dict[str, Any], self.scope)
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["http_version"] = version
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = target.path
        scope["query_string"] = target.query or b""
        is_first = not self.has_request()
        self.cycle = _Exchange(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=cast(asyncio.Event, _Told()),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if is_first:
            self._running = self.cycle
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _refused(self, refusal: RefusedHead) -> RefusedHead:
        """Keep why: the parser wraps what its callbacks raise."""
        self._refusal = refusal
        return refusal

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_in_head = True
        if not self.has_request():  # it was answered before it was complete
            self.deadline = self.loop.time() + self.timeout_keep_alive

    def on_response_complete(self) -> None:
        self._running = self.pipeline[-1][0] if self.pipeline else None
        super().on_response_complete()
        if self._refusal is not None and not self.pipeline:
            self._refuse(self._refusal)
        elif self.transport.is_closing() or self.pipeline:
            return
        elif self._is_in_head:
            self.open_connections.note_idle(self)
        else:
            self._unset_keepalive_if_required()
            self.deadline = self.loop.time() + LINGER_SECONDS

    # Answers that are not taken

    def pause_writing(self) -> None:
        self._untaken_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._untaken_since = None
        super().resume_writing()

    def look_at(self, now: float) -> int:
        """End this connection if it is too slow; return how many bytes of answers lie untaken."""
        untaken = self.transport.get_write_buffer_size()
        if not untaken:
            self._untaken_since = None
        elif self._untaken_since is None:
            self._untaken_since = now
        elif now - self._untaken_since > UNTAKEN_SECONDS:
            self.give_up("The peer does not take the answer.")
            return 0
        if self.deadline is not None and now > self.deadline:
            self._end_slow()
        return untaken

    def is_lost(self) -> bool:
        return self._is_lost

    def is_stalled(self) -> bool:
        since = self._untaken_since
        return since is not None and self.loop.time() - since > STALLED_SECONDS

    def give_up(self, reason: str) -> None:
        """Drop the connection with what lies untaken, here and in the system."""
        logger.info("connection_dropped", address=self.address, reason=reason)
        if self._running is not None:
            self._running.disconnected = True  # what it still sends goes nowhere
        if (peer := self.transport.get_extra_info("socket")) is not None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _end_slow(self) -> None:
        self.deadline = None
        if self._is_refused or not self._is_in_head:
            self.transport.abort()
        elif self._head_bytes:
            self._refuse(RefusedHead(408, "The head of the request did not come in 10 seconds."))
        else:
            self.transport.close()  # it said nothing

    # Refusals

    def _refuse_once_answered(self, refusal: RefusedHead) -> None:
        """Refuse what follows a request that is still to be answered after its answer."""
        if self.has_request() and not self.cycle.more_body:
            self._refusal = refusal
            self._is_refused = True
            self.flow.pause_reading()
        else:
            self._refuse(refusal)

    def _refuse(self, refusal: RefusedHead) -> None:
        """Answer with a problem document, and read no further request from here."""
        self._is_refused, self._refusal = True, None
        self.deadline = self.loop.time() + LINGER_SECONDS
        self._unset_keepalive_if_required()
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.transport.is_closing():
            return
        self.transport.write(_answer_of(refusal, self.server_state.default_headers, self.address))
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()


def target_of(url: bytes, headers: list[tuple[bytes, bytes]], version: str) -> bytes:
    """Return path and query of a request's target; its host, where it names one, becomes `Host`.

    RFC 9112, sections 3.2 and 6.1. `headers` are in lower case, and are changed in place.

    Raises:
        RefusedHead: what the head says can be understood in more than one way, or not at all.
    """
    if version not in ("1.0", "1.1"):
        raise RefusedHead(505, "This server speaks HTTP/1.1.")
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (version == "1.1" and not hosts):
        raise RefusedHead(400, "A request needs one Host header.")
    codings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
    if codings and version == "1.0":
        raise RefusedHead(400, "A request in HTTP/1.0 has no Transfer-Encoding.")
    if codings not in ([], [b"chunked"]):
        raise RefusedHead(501, "The only Transfer-Encoding of this server is chunked.")
    if absolute := ABSOLUTE_FORM.match(url):
        headers[:] = [(n, v) for n, v in headers if n != b"host"] + [(b"host", absolute[1])]
        url = absolute[2] if absolute[2].startswith(b"/") else b"/" + absolute[2]
    if not url.startswith(b"/"):
        raise RefusedHead(400, "The target of a request is a path, such as /api/services.")
    if not url.isascii():
        raise RefusedHead(400, "The target of a request is ASCII; write others as %C3%A9.")
    return url


def _too_large() -> RefusedHead:
    kib = HEAD_BYTES // 1024
    return RefusedHead(431, f"The head of a request has at most {kib} KiB and 100 fields.")


def _malformed(error: Exception) -> RefusedHead:
    return RefusedHead(400, f"This is no HTTP request: {error or type(error).__name__}.")


def _answer_of(
    refusal: RefusedHead, default_headers: list[tuple[bytes, bytes]], address: str
) -> bytes:
    request_id = request_id_of(None)
    logger.info(
        "refused",
        address=address,
        status=refusal.status,
        reason=refusal.detail,
        request_id=request_id,
    )
    document = problem(refusal.status, refusal.detail) | {"request_id": request_id}
    body = json.dumps(document).encode()
    headers = [
        *default_headers,
        (b"content-type", CONTENT_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", request_id.encode()),
        (b"connection", b"close"),
    ]
    if refusal.status == 503:
        headers.append((b"retry-after", b"1"))
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    return STATUS_LINE[refusal.status] + lines + b"\r\n" + body


def protocol_for(connections: Connections) -> Callable[..., asyncio.Protocol]:
    """Return the class for the connections of one process."""
    return type("FrontProtocol", (FrontProtocol,), {"open_connections": connections})
