"""A connection to a server that a test can cut, or let hang, and mend again."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator


class Relay:
    """Passes bytes between a port of its own and that of a server, until told otherwise."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._state = "open"
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Close what is open, and every new connection at once."""
        self._become("cut")

    def hang(self) -> None:
        """Take connections and whatever they send, and never answer."""
        self._become("hanging")

    def mend(self) -> None:
        self._become("open")

    def close(self) -> None:
        self._become("cut")
        self._listener.close()

    def _become(self, state: str) -> None:
        with self._lock:
            self._state = state
            ended, self._sockets = self._sockets, []
        for one in ended:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                state = self._state
                if state != "cut":
                    self._sockets.append(caller)
            if state == "cut":
                caller.close()
            elif state == "open":
                threading.Thread(target=self._pass, args=(caller,), daemon=True).start()

    def _pass(self, caller: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            caller.close()
            return
        with self._lock:
            self._sockets.append(server)
        for one in (caller, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with caller, server, contextlib.suppress(OSError):
            for source, goal in _ready(caller, server):
                data = source.recv(65536)
                if not data:
                    return
                goal.sendall(data)


def _ready(one: socket.socket, other: socket.socket) -> Iterator[tuple[socket.socket, ...]]:
    with selectors.DefaultSelector() as waiting:
        waiting.register(one, selectors.EVENT_READ, other)
        waiting.register(other, selectors.EVENT_READ, one)
        while True:
            for key, _ in waiting.select():
                assert isinstance(key.fileobj, socket.socket)
                yield key.fileobj, key.data
