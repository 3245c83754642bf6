"""Callers of a model over kept connections, so lean that what they measure is not themselves."""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from dataclasses import dataclass, field

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_COST = re.compile(rb"x-cost-usd: *([0-9.]+)", re.IGNORECASE)
_CONTENT = re.compile(rb'"content": ?"(\d+)"')
DONE = b"data: [DONE]"


@dataclass(frozen=True)
class Door:
    """Where a model is asked: a port of this machine, with a key."""

    port: int
    key: str = ""
    path: str = "/v1/chat/completions"

    def request(self, body: bytes) -> bytes:
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Authorization: Bearer {self.key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


class Line:
    """A kept connection on which one request after the other is sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def to(cls, port: int) -> Line:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, request: bytes) -> tuple[int, bytes, bytes]:
        """Return the status, the head and the body of a whole answer."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await self._reader.readexactly(int(length[1]) if length else 0)
        return int(head[9:12]), head, body

    async def stream(self, request: bytes) -> Streamed:
        """Read a stream to its end."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        if head[9:12] != b"200":
            return Streamed(int(head[9:12]))
        streamed = Streamed(200)
        while True:
            piece = await self._reader.read(65536)
            now = time.monotonic_ns()
            streamed.waits_ms += [(now - int(sent)) / 1e6 for sent in _CONTENT.findall(piece)]
            if DONE in piece:
                streamed.is_whole = True
            if not piece or piece.endswith(b"0\r\n\r\n"):
                return streamed

    def close(self) -> None:
        self._writer.close()


@dataclass
class Streamed:
    """What came of a stream: after how many ms each piece was here, once it was sent."""

    status: int
    waits_ms: list[float] = field(default_factory=list)
    is_whole: bool = False


def cost_in(head: bytes) -> str:
    """Return what an answer says that it cost; empty if nothing."""
    told = _COST.search(head)
    return told[1].decode() if told else ""


async def paced(door: Door, body: bytes, *, rate: float, seconds: float) -> list[float]:
    """Return the milliseconds of requests that begin so often, whatever the others do.

    Raises:
        RuntimeError: one was not answered 200.
    """
    idle: deque[Line] = deque()
    request = door.request(body)
    took: list[float] = []

    async def ask() -> None:
        line = idle.popleft() if idle else await Line.to(door.port)
        before = time.perf_counter()
        status, _, answer = await line.ask(request)
        took.append((time.perf_counter() - before) * 1000)
        if status != 200:
            raise RuntimeError(f"{status}: {answer[:300]!r}")
        idle.append(line)

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(begin + number / rate - time.perf_counter(), 0))
            tasks.create_task(ask())
    for line in idle:
        line.close()
    return took


async def streams(door: Door, body: bytes, *, count: int) -> list[Streamed]:
    """Return what came of so many streams at once."""

    async def one() -> Streamed:
        line = await Line.to(door.port)
        try:
            return await line.stream(door.request(body))
        finally:
            line.close()

    return list(await asyncio.gather(*(one() for _ in range(count))))
