"""Measures the client beside the bare HTTP library, its import, and thousands of calls at once.

`python -m benchmarks.client` prints medians; the two kinds of call take turns, on one connection
each, against a small server in a process of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection

import httpx2

from service_integration_client import AsyncServiceIntegrationClient, SyncServiceIntegrationClient

CALLS, IMPORTS = 2000, 9
AT_ONCE, ROUNDS = 5000, 5
LONGEST_ROUND_SECONDS = 300
BODY = b'{"id": "w", "name": "document-processing", "steps": []}'
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
    % (len(BODY), BODY)
)  # fmt: skip


class Answering(asyncio.Protocol):
    """Answers every GET the same, and keeps the connection."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(ANSWER * data.count(b"\r\n\r\n"))


def serve(parent: Connection) -> None:
    """Answer for as long as the process lives."""

    async def listen() -> None:
        server = await asyncio.get_running_loop().create_server(
            Answering, "127.0.0.1", 0, backlog=1000
        )
        parent.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(listen())


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """Run a server in a process of its own; yield its URL."""
    parent, child = Pipe()
    process = Process(target=serve, args=(child,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{parent.recv()}/api"
    finally:
        process.terminate()
        process.join()
        parent.close()
        child.close()


@dataclass(frozen=True)
class Footprint:
    """The open descriptors, resident memory and allocated blocks of this process."""

    descriptors: int
    kilobytes: int
    blocks: int


def measure_footprint() -> Footprint:
    gc.collect()
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    kilobytes = pages * os.sysconf("SC_PAGE_SIZE") // 1024
    return Footprint(len(os.listdir("/proc/self/fd")), kilobytes, sys.getallocatedblocks())


async def call_at_once(url: str, *, rounds: Sequence[int]) -> list[Footprint]:
    """Return the footprint before, after each round of calls on one client, and at the end."""
    footprints = [measure_footprint()]
    async with AsyncServiceIntegrationClient(url, LONGEST_ROUND_SECONDS) as client:
        for calls in rounds:
            answers = await asyncio.gather(*(client.get_workflow("w") for _ in range(calls)))
            assert [each["id"] for each in answers] == ["w"] * calls
            del answers
            await asyncio.sleep(0.05)  # callbacks of the loop run, sockets are put back
            footprints.append(measure_footprint())
    await asyncio.sleep(0.05)
    return [*footprints, measure_footprint()]


def timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000


def compare(url: str) -> tuple[float, float]:
    """Return the median milliseconds of a bare read and of one through the client."""
    bare = httpx2.Client(trust_env=False)
    client = SyncServiceIntegrationClient(url, api_key="si_benchmark")
    headers = {"Authorization": "Bearer si_benchmark"}

    def plain() -> object:
        return bare.get(f"{url}/workflows/w", headers=headers).json()

    def through() -> object:
        return client.get_workflow("w")

    for _ in range(200):
        plain(), through()
    pairs = [(timed(plain), timed(through)) for _ in range(CALLS)]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def import_milliseconds(statement: str) -> float:
    """Return the median start of an interpreter that runs the statement."""
    command = [sys.executable, "-c", statement]
    return statistics.median(
        timed(lambda: subprocess.run(command, check=True)) for _ in range(IMPORTS)
    )


def print_rounds(footprints: list[Footprint]) -> None:
    before, *rounds, after = footprints
    print(f"{AT_ONCE} awaited calls at once, {len(rounds)} times on one client:")
    for name, each in (("before", before), *enumerate(rounds, 1), ("closed", after)):
        size = f"{each.descriptors:>4} descriptors  {each.kilobytes / 1024:6.1f} MB resident"
        print(f"  {name:<8}{size}  {each.blocks:>8} blocks")


def main() -> None:
    with serving() as url:
        bare, through = compare(url)
        rounds = asyncio.run(call_at_once(url, rounds=[AT_ONCE] * ROUNDS))
    print(f"read, bare httpx2     {bare:.3f} ms")
    print(f"read, the client      {through:.3f} ms   {through - bare:+.3f} ms")
    empty = import_milliseconds("pass")
    full = import_milliseconds("import service_integration_client")
    print(
        f"import of the client  {full - empty:.0f} ms   beyond an empty interpreter's {empty:.0f}"
    )
    print_rounds(rounds)


if __name__ == "__main__":
    main()
