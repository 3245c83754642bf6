"""A front in a thread of the tests, on the protocol and the loop that it has in production."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import uvloop
from uvicorn.config import Config
from uvicorn.server import Server

from integration_site.front.application import Front, StreamingShortcut
from integration_site.front.connections import Connections
from integration_site.front.django_pool import DjangoPool
from integration_site.front.protocol import protocol_for
from integration_site.front.worker import FrontWorker
from tests.support.waiting import PATIENCE

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], list[bytes]]


class RunningFront:
    """A front that listens; `exchange` sends bytes and returns all that comes until the end."""

    def __init__(self, server: Server, port: int, connections: Connections) -> None:
        self.server = server
        self.port = port
        self.connections = connections

    def connect(self, data: bytes = b"", *, receive_buffer: int = 0) -> socket.socket:
        peer = socket.socket()
        if receive_buffer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        peer.settimeout(PATIENCE)
        peer.connect(("127.0.0.1", self.port))
        peer.sendall(data)
        return peer

    def exchange(self, *pieces: bytes) -> bytes:
        with self.connect() as peer:
            for piece in pieces:
                with contextlib.suppress(ConnectionError):  # refused before it was all said
                    peer.sendall(piece)
            return read_to_end(peer)

    def get(self, path: str = "/", *fields: str, method: str = "GET") -> bytes:
        return self.exchange(head(path, *fields, "Connection: close", method=method))


def read_to_end(peer: socket.socket) -> bytes:
    parts = []
    while part := peer.recv(65536):
        parts.append(part)
    return b"".join(parts)


def head(path: str = "/", *fields: str, method: str = "GET") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@contextlib.contextmanager
def running_front(
    application: Wsgi,
    shortcuts: Mapping[str, StreamingShortcut] | None = None,
    *,
    threads: int = 4,
    most: int = 1000,
    per_address: int = 1000,
    trusted: tuple[str, ...] = (),
    server_class: type[Server] = Server,
) -> Iterator[RunningFront]:
    """Serve a WSGI application by the front until the block ends.

    `FrontServer` tells all of this process that it stops.
    """
    connections = Connections(most=most, per_address=per_address, trusted=trusted)
    pools = [DjangoPool(application, threads=count, share=count - 1) for count in (threads, 2)]
    config = Config(
        Front(pools[0], shortcuts or {}, vital=pools[1]),
        log_config=None,
        http=protocol_for(connections),  # type: ignore[arg-type]
        **{**FrontWorker.CONFIG_KWARGS, "timeout_graceful_shutdown": 1},
    )
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    server = server_class(config)
    is_up = threading.Event()

    async def serve() -> None:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started and not serving.done():
            await asyncio.sleep(0.005)
        is_up.set()
        await serving

    thread = threading.Thread(target=lambda: uvloop.run(serve()))
    thread.start()
    assert is_up.wait(PATIENCE)
    try:
        yield RunningFront(server, listener.getsockname()[1], connections)
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
    assert not thread.is_alive()
