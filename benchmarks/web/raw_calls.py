"""Calls of which thousands wait at once: a connection each, and the moment of the answer."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

from benchmarks.web.wrk import Request

# Callers come from as many addresses as a fleet has, so that no limit of one of them is met.
ADDRESSES = itertools.cycle([f"127.0.1.{number}" for number in range(1, 101)])
AT_ONCE = 100


@dataclass
class Answer:
    """What came back. `began_at` is by the machine's clock; `status` is 0 without an answer."""

    status: int
    body: bytes
    began_at: float
    seconds: float


class RawCall(asyncio.Protocol):
    """Sends one request and collects what comes until the other side closes."""

    def __init__(self, text: bytes) -> None:
        self.text, self.received, self.began_at = text, b"", 0.0
        self.sent_at = time.time()
        self.ended: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.WriteTransport", transport).write(self.text)

    def data_received(self, data: bytes) -> None:
        self.began_at = self.began_at or time.time()
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:
        head, _, body = self.received.partition(b"\r\n\r\n")
        words = head.split(maxsplit=2)
        status = int(words[1]) if len(words) > 1 else 0
        if not self.ended.done():
            seconds = (self.began_at or time.time()) - self.sent_at
            self.ended.set_result(Answer(status, body, self.began_at, seconds))


def text_of(request: Request) -> bytes:
    lines = [f"{request.method} {request.path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close"]
    if request.key:
        lines.append(f"Authorization: Bearer {request.key}")
    if request.body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(request.body)}"]
    return "\r\n".join([*lines, "", request.body]).encode()


async def start_call(url: str, request: Request, address: str | None = None) -> RawCall:
    """Send a request over a connection of its own. Raises OSError where none can be made."""
    parts, loop = urlsplit(url), asyncio.get_running_loop()
    _, call = await loop.create_connection(
        lambda: RawCall(text_of(request)),
        parts.hostname or "",
        parts.port or 80,
        local_addr=(address, 0) if address else None,
    )
    return call


async def start_calls(url: str, requests: Sequence[Request]) -> list[RawCall]:
    """Send them all, some at a time, from many addresses."""
    calls: list[RawCall] = []
    for first in range(0, len(requests), AT_ONCE):
        some = requests[first : first + AT_ONCE]
        calls += await asyncio.gather(*(start_call(url, one, next(ADDRESSES)) for one in some))
    return calls


async def call_once(url: str, request: Request, *, seconds: float) -> Answer:
    """Return the answer; one of status 0 that took all the time where there is none."""
    try:
        async with asyncio.timeout(seconds):
            return await (await start_call(url, request)).ended
    except (OSError, TimeoutError):
        return Answer(0, b"", 0.0, seconds)


def member(answer: Answer, name: str) -> object:
    """Return a member of a good JSON answer; None where it has none."""
    if answer.status // 100 != 2:
        return None
    found = json.loads(answer.body)
    return found.get(name) if isinstance(found, dict) else None
