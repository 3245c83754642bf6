"""Checks brokers of AMQP 0-9-1, as RabbitMQ speaks it."""

from __future__ import annotations

import socket
import uuid
from typing import Any

import amqp
from amqp.transport import AMQP_PROTOCOL_HEADER, TCPTransport

from registry.connections.drivers.error_mapping import CheckFailure
from registry.connections.drivers.server_session import ServerSession


def check_amqp(session: ServerSession) -> str:
    """Connect and look for the queue; without one, send a message through a queue of its own."""
    address = session.address
    connection = _Connection(
        session,
        host=f"{address.host}:{address.port}",
        userid=address.username or "guest",
        password=address.password_text or "guest",
        # With a certificate the broker takes the user from that.
        login_method="EXTERNAL" if address.certificate else None,
        virtual_host=address.vhost,
        connect_timeout=address.seconds,
        read_timeout=address.seconds,
        write_timeout=address.seconds,
    )
    try:
        connection.connect()
        answer = _ask(connection.channel(), address.queue)
        connection.close()
        return f"{_name(connection)}, virtual host '{address.vhost}': {answer}"
    finally:
        connection.collect()


def _ask(channel: Any, name: str) -> str:
    if name:
        declared = channel.queue_declare(name, passive=True)
        return f"queue '{name}' with {declared.message_count} messages."
    queue = channel.queue_declare("", exclusive=True, auto_delete=True).queue
    text = uuid.uuid4().hex
    channel.basic_publish(amqp.Message(text), routing_key=queue)
    message = None
    while message is None:
        message = channel.basic_get(queue, no_ack=True)
    body = message.body.decode() if isinstance(message.body, bytes) else str(message.body)
    if body != text:
        raise CheckFailure("protocol", "Another message came back than was sent.")
    channel.queue_delete(queue)
    return "a message was sent and came back."


def _name(connection: amqp.Connection) -> str:
    properties = getattr(connection, "server_properties", None) or {}
    words = (str(properties.get(key, "")) for key in ("product", "version"))
    return " ".join(words).strip() or "AMQP"


class _Connection(amqp.Connection):
    """Over a socket of the session's, dialled to an address that was judged."""

    def __init__(self, session: ServerSession, **options: Any) -> None:
        self._session = session
        super().__init__(**options)

    def Transport(  # noqa: N802 (as the library names it)
        self, host: str, connect_timeout: Any, *_: Any, **__: Any
    ) -> TCPTransport:
        seconds = self._session.address.seconds
        return _Transport(
            self._session, host, connect_timeout, read_timeout=seconds, write_timeout=seconds
        )


class _Transport(TCPTransport):
    __slots__ = ("_session",)

    def __init__(self, session: ServerSession, *args: Any, **options: Any) -> None:
        self._session = session
        super().__init__(*args, **options)

    def _connect(self, host: str, port: int, timeout: float) -> None:
        self.sock: socket.socket = self._session.secure(self._session.dial())

    def _init_socket(self, *_: object) -> None:
        # The library would write back options as it reads them, which systems refuse for a socket
        # that is in use: on loopback the size of its segments is larger than one may set.
        self._setup_transport()  # type: ignore[attr-defined]
        self._write(AMQP_PROTOCOL_HEADER)  # type: ignore[attr-defined]


def explain_amqp(error: Exception, of_socket: CheckFailure) -> CheckFailure:
    """Return what an error of the library means, by its class."""
    text = str(getattr(error, "reply_text", "") or error)[:500]
    if isinstance(error, amqp.AccessRefused):
        refused = "ACCESS_REFUSED - Login" in text
        return CheckFailure("authentication" if refused else "permission", text)
    if isinstance(error, amqp.NotFound):
        return CheckFailure("queue", text)
    if isinstance(error, amqp.NotAllowed | amqp.InvalidPath):
        return CheckFailure("vhost", text)
    if of_socket.kind == "protocol" and isinstance(error, amqp.AMQPError):
        return CheckFailure("protocol", text)
    if of_socket.kind == "protocol" and isinstance(error, OSError):
        # The library says so of a connection that was closed, in an error without a number.
        return CheckFailure("broken", str(of_socket))
    return of_socket
