"""A provider of one fixed model, as lean as Python allows.

`python -m benchmarks.models.provider PORT`. It speaks OpenAI's API on kept connections. A stream
has `max_tokens` pieces, `seed` milliseconds apart; each piece is the monotonic time in nanoseconds
at which it was sent, which is the same clock for all processes of a machine.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from typing import Any

import uvloop

USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
ANSWER = json.dumps({
    "id": "chatcmpl-fixed", "object": "chat.completion", "created": 1, "model": "fixed",
    "choices": [{
        "index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": "A fixed answer of five tokens."},
    }],
    "usage": USAGE,
}).encode()  # fmt: skip
WHOLE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER)
    + ANSWER
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
ASKED = b"GET /asked"
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_STREAM = re.compile(rb'"stream": ?true')
_PIECES, _PAUSE = re.compile(rb'"max_tokens": ?(\d+)'), re.compile(rb'"seed": ?(\d+)')


class Provider(asyncio.Protocol):
    """One connection."""

    asked = 0  # of all connections

    def __init__(self) -> None:
        self._pending = b""
        self._stream: asyncio.Task[None] | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def connection_lost(self, _: Exception | None) -> None:
        if self._stream is not None:
            self._stream.cancel()

    def data_received(self, data: bytes) -> None:
        self._pending += data
        while (end := self._pending.find(b"\r\n\r\n")) >= 0:
            head = self._pending[:end]
            length = _LENGTH.search(head)
            size = end + 4 + (int(length[1]) if length else 0)
            if len(self._pending) < size:
                return
            body, self._pending = self._pending[end + 4 : size], self._pending[size:]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(ASKED):
            told = b"%d" % Provider.asked
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(told) + told
            )
            return
        Provider.asked += 1
        if not _STREAM.search(body):
            self._transport.write(WHOLE)
            return
        pieces, pause = _PIECES.search(body), _PAUSE.search(body)
        count, milliseconds = int(pieces[1]) if pieces else 5, int(pause[1]) if pause else 0
        self._stream = asyncio.create_task(self._send(count, milliseconds / 1000))

    async def _send(self, count: int, pause: float) -> None:
        self._transport.write(HEAD)
        for _ in range(count):
            self._event({"choices": [{"index": 0, "delta": {"content": f"{time.monotonic_ns()}"}}]})
            await asyncio.sleep(pause)
        self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self._event({"choices": [], "usage": USAGE})
        self._chunk(b"data: [DONE]\n\n")
        self._transport.write(b"0\r\n\r\n")

    def _event(self, told: dict[str, object]) -> None:
        event = {"id": "fixed", "object": "chat.completion.chunk", "created": 1, "model": "fixed"}
        self._chunk(b"data: " + json.dumps({**event, **told}).encode() + b"\n\n")

    def _chunk(self, data: bytes) -> None:
        self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(
        Provider, "127.0.0.1", port, backlog=2048
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
