"""Holds one check of a server that is reached by host and port: its sockets and its end."""

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
    """Where a server is and who logs in there, with the timeouts of a check."""

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
    def password_text(self) -> str:
        return self.password.reveal() if self.password else ""

    @property
    def authorities(self) -> str:
        """PEM of whoever may sign the server's certificate; empty for those of the system."""
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
    """A check within its time: when it is over, its sockets are shut, so that no driver hangs.

    A driver's own timeouts are for each piece that comes; a server that drips would outlast them.
    """

    def __init__(
        self,
        address: ServerAddress,
        *,
        resolve: Callable[[str, int], list[str]] = checked_addresses,
    ) -> None:
        self.address = address
        self._resolve = resolve
        self._sockets: list[socket.socket] = []
        self._until = time.monotonic() + address.seconds
        self._timer = threading.Timer(address.seconds, self._expire)
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
        """Return the IP addresses of the server, all judged by the address policy."""
        return self._resolve(self.address.host, self.address.port)

    def dial(self) -> socket.socket:
        """Return a connection to the first of its IP addresses that takes one.

        Raises:
            OSError: none does, or one must not be called.
        """
        problem: OSError | None = None
        for ip_address in self.addresses():
            try:
                seconds = min(self.address.connect_seconds, self.remaining_seconds)
                sock = socket.create_connection((ip_address, self.address.port), timeout=seconds)
            except OSError as error:
                problem = error
                continue
            sock.settimeout(self.remaining_seconds)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets.append(sock)
            return sock
        raise problem or OSError("The name has no address.")

    def secure(self, sock: socket.socket) -> socket.socket:
        """Return the same connection in TLS, where the address asks for it."""
        context = self.address.context
        if context is None:
            return sock
        secured = context.wrap_socket(sock, server_hostname=self.address.host)
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
