"""Holds a hub up as far as it lets: `./dev bench slow_peers http://127.0.0.1:8090 --key KEY`.

Connections that say nothing, halves of headers and of bodies, readers that take a byte a second,
and, with a key, waiting reads and probes of a service that hangs. Whoever is sent away comes again
after a second. Ends at Ctrl-C, and takes out of the hub what it put in.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import resource
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx2
import uvloop

NAME = "slow-peers"
# Answers anybody, and is larger than the buffers between here and there.
LARGE = "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"
RECEIVE_BUFFER = 2048
REPORT_SECONDS = 5
Address = tuple[str, int]


@dataclass
class Crowd:
    """So many peers that all do the same: send a text, and read so many bytes at a time."""

    name: str
    count: int
    text: str = ""
    bytes_at_once: int = 65_536
    pause: float = 0.0
    open: int = field(default=0, init=False)
    ended: int = field(default=0, init=False)

    async def run(self, address: Address) -> None:
        await asyncio.gather(*(self._come_again(address) for _ in range(self.count)))

    async def _come_again(self, address: Address) -> None:
        while True:
            with contextlib.suppress(OSError):
                await self._stay(address)
            self.ended += 1
            await asyncio.sleep(1)

    async def _stay(self, address: Address) -> None:
        """Stay connected until the hub ends it."""
        loop = asyncio.get_running_loop()
        with socket.socket() as peer:
            peer.setblocking(False)
            if self.pause:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            await loop.sock_connect(peer, address)
            self.open += 1
            try:
                await loop.sock_sendall(peer, self.text.encode())
                while await loop.sock_recv(peer, self.bytes_at_once):
                    await asyncio.sleep(self.pause)
            finally:
                self.open -= 1


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="./dev bench slow_peers", description=__doc__)
    parser.add_argument("url", help="such as http://127.0.0.1:8090")
    parser.add_argument(
        "--key",
        default=os.environ.get("SERVICE_INTEGRATION_API_KEY", ""),
        help="an operator's API key; without one there are no waiting reads and no probes",
    )
    parser.add_argument("--seconds", type=float, help="otherwise until Ctrl-C")
    parser.add_argument("--idle", type=int, default=1_000, help="connections that say nothing")
    parser.add_argument("--halves", type=int, default=200, help="of headers, and of bodies")
    parser.add_argument("--readers", type=int, default=200, help="who take one byte a second")
    parser.add_argument("--waits", type=int, default=60, help="waiting reads of the key")
    parser.add_argument("--probes", type=int, default=40, help="of a service that hangs")
    options = parser.parse_args(arguments)
    allow_many_connections()
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(hold_up(options))
    return 0


def allow_many_connections() -> None:
    """Raise the limit of this process's open files to the most that it may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def hold_up(options: argparse.Namespace) -> None:
    """Keep all of them at the hub until the time is up, and say how many there are."""
    parts = urlsplit(options.url)
    address = (parts.hostname or "127.0.0.1", parts.port or 80)
    host = f"Host: {address[0]}:{address[1]}\r\n"
    crowds = [
        Crowd("idle", options.idle),
        Crowd("half headers", options.halves, f"GET /health/alive HTTP/1.1\r\n{host}X-Slow: "),
        Crowd(
            "half bodies",
            options.halves,
            f"POST /api/registry/services/{NAME}/heartbeat HTTP/1.1\r\n{host}"
            'Content-Type: application/json\r\nContent-Length: 400\r\n\r\n{"metadata": ',
        ),
        Crowd("slow readers", options.readers, f"GET {LARGE} HTTP/1.1\r\n{host}\r\n", 1, 1.0),
    ]
    async with contextlib.AsyncExitStack() as ending:
        if options.key:
            execution = await ending.enter_async_context(prepared_hub(options))
            own = f"{host}Authorization: Bearer {options.key}\r\nConnection: close\r\n\r\n"
            paths = {
                "waiting reads": (options.waits, f"/api/executions/{execution}?wait=60"),
                "probes": (options.probes, f"/api/registry/services/{NAME}/health?probe=true"),
            }
            for name, (count, path) in paths.items():
                crowds.append(Crowd(name, count, f"GET {path} HTTP/1.1\r\n{own}"))
        running = [asyncio.ensure_future(crowd.run(address)) for crowd in crowds]
        try:
            async with asyncio.timeout(options.seconds):
                await report(crowds)
        except TimeoutError:
            pass
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


async def report(crowds: Sequence[Crowd]) -> None:
    """Say again and again how many are connected, and how often the hub ended a connection."""
    while True:
        await asyncio.sleep(REPORT_SECONDS)
        words = [f"{crowd.name} {crowd.open} (ended {crowd.ended:,})" for crowd in crowds]
        print("connected: " + ", ".join(words), flush=True)


@contextlib.asynccontextmanager
async def prepared_hub(options: argparse.Namespace) -> AsyncIterator[str]:
    """Put a service that hangs and an execution that waits into the hub; yield the execution."""
    server = await asyncio.start_server(_never_answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    headers = {"Authorization": f"Bearer {options.key}"}
    step = {"id": "wait", "type": "EVENT", "event": "go", "timeout": 86_400}
    async with (
        server,
        httpx2.AsyncClient(base_url=f"{options.url}/api", headers=headers, timeout=60) as hub,
    ):
        await _take_out(hub)  # what an earlier run left that was killed
        await _ask(hub, "POST", "/registry/services", {"name": NAME, "url": url})
        await _ask(hub, "POST", "/workflows", {"name": NAME, "steps": [step]})
        started = await _ask(hub, "POST", f"/workflows/{NAME}/execute", {"input_data": {}})
        try:
            yield str(started["id"])
        finally:
            await _take_out(hub)


async def _take_out(hub: httpx2.AsyncClient) -> None:
    """Cancel this program's executions, and delete its workflow and service, where they are."""
    answer = await hub.get(f"/executions?workflow={NAME}&status=PENDING,RUNNING,WAITING,PAUSED")
    for execution in answer.raise_for_status().json()["items"]:
        await _ask(hub, "POST", f"/executions/{execution['id']}/cancel", {})
    for path in (f"/workflows/{NAME}", f"/registry/services/{NAME}"):
        answer = await hub.delete(f"{path}?force=true")
        if answer.status_code != httpx2.codes.NOT_FOUND:
            answer.raise_for_status()


async def _ask(
    hub: httpx2.AsyncClient, method: str, path: str, body: object = None
) -> dict[str, object]:
    answer = await hub.request(method, path, json=body)
    answer.raise_for_status()
    told: dict[str, object] = answer.json() if answer.content else {}
    return told


async def _never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        await reader.read()
    writer.close()


if __name__ == "__main__":
    sys.exit(main())
