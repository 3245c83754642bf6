"""One test of a server that is reached by host and port: its address, its sockets, its end."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from core.vault import Secret
from registry.calls.auth.client_tls import tls_context
from registry.calls.auth.loaded_credential import LoadedCredential
from registry.calls.targets.connection_targets import trusting_context
from registry.network.dialer import checked_addresses


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where a server is, and who asks."""

    host: str
    port: int
    database: str = ""
    username: str = ""
    password: Secret | None = field(default=None, repr=False)
    tls: bool = False
    ca_bundle: str = ""
    certificate: LoadedCredential | None = field(default=None, repr=False)
    vhost: str = "/"
    queue: str = ""
    connect_seconds: float = 5.0
    seconds: float = 10.0

    @property
    def secret(self) -> str:
        return self.password.reveal() if self.password else ""

    @property
    def authorities(self) -> str:
        """PEM of who may sign the server's certificate; empty for those of the system."""
        own = self.certificate.attributes.get("ca") if self.certificate else ""
        return self.ca_bundle or own or ""

    @property
    def context(self) -> ssl.SSLContext | None:
        """TLS that checks the server's certificate and name; None without TLS.

        Raises:
            CredentialError: the client's own certificate or key is not accepted.
        """
        if not self.tls:
            return None
        if self.certificate is not None:
            return tls_context(self.certificate, self.ca_bundle)
        return trusting_context(self.ca_bundle) if self.ca_bundle else ssl.create_default_context()


class ServerSession:
    """A test within its time: when that is over, its sockets are shut, so that no driver hangs.

    A driver's own timeouts are for each piece that comes; a server that drips would outlast them.
    """

    def __init__(
        self, place: ServerAddress, *, resolve: Callable[[str, int], list[str]] = checked_addresses
    ) -> None:
        self.place = place
        self._resolve = resolve
        self._sockets: list[socket.socket] = []
        self._until = time.monotonic() + place.seconds
        self._timer = threading.Timer(place.seconds, self._expire)
        self._timer.daemon = True
        self.expired = False

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        for sock in self._sockets:
            _shut(sock)

    @property
    def remaining_seconds(self) -> float:
        return max(self._until - time.monotonic(), 0.01)

    def addresses(self) -> list[str]:
        """The addresses of the server, all judged by the address policy."""
        return self._resolve(self.place.host, self.place.port)

    def dial(self) -> socket.socket:
        """A connection to the first of its addresses that takes one.

        Raises:
            OSError: none does, or one must not be called.
        """
        problem: OSError | None = None
        for address in self.addresses():
            try:
                seconds = min(self.place.connect_seconds, self.remaining_seconds)
                sock = socket.create_connection((address, self.place.port), timeout=seconds)
            except OSError as error:
                problem = error
                continue
            sock.settimeout(self.remaining_seconds)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets.append(sock)
            return sock
        raise problem or OSError("The name has no address.")

    def secure(self, sock: socket.socket) -> socket.socket:
        """The same connection in TLS, where the place says so."""
        context = self.place.context
        if context is None:
            return sock
        secured = context.wrap_socket(sock, server_hostname=self.place.host)
        self._sockets.append(secured)
        return secured

    def _expire(self) -> None:
        self.expired = True
        for sock in list(self._sockets):
            _shut(sock)


def _shut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError, ValueError):
        # Of the plain socket also where TLS is around it: TLS would wait to say goodbye.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
