"""AMQP 0-9-1, as RabbitMQ speaks it."""

from __future__ import annotations

import socket
import uuid
from typing import Any

import amqp
from amqp.transport import AMQP_PROTOCOL_HEADER, TCPTransport

from registry.connections.drivers.error_mapping import CheckFailure, to_check_failure
from registry.connections.drivers.server_session import ServerSession


def check_amqp(attempt: ServerSession) -> str:
    """Connect and look for the queue; without one, send a message through a queue of its own.

    Raises:
        Failure: with the reason.
    """
    place = attempt.place
    made = _Connection(
        attempt,
        host=f"{place.host}:{place.port}",
        userid=place.username or "guest",
        password=place.secret or "guest",
        # With a certificate the broker takes the user from that.
        login_method="EXTERNAL" if place.certificate else None,
        virtual_host=place.vhost,
        connect_timeout=place.seconds,
        read_timeout=place.seconds,
        write_timeout=place.seconds,
    )
    try:
        made.connect()
        answer = _ask(made.channel(), place.queue)
        made.close()
        return f"{_name(made)}, virtual host '{place.vhost}': {answer}"
    except amqp.AMQPError as error:
        raise _failure(error, expired=attempt.expired) from None
    except OSError as error:
        found = to_check_failure(error, expired=attempt.expired)
        # The library says so of a connection that was closed, in an error without a number.
        raise CheckFailure("broken", str(found)) if found.kind == "protocol" else found from None
    finally:
        made.collect()


def _ask(channel: Any, queue: str) -> str:
    if queue:
        found = channel.queue_declare(queue, passive=True)
        return f"queue '{queue}' with {found.message_count} messages."
    made = channel.queue_declare("", exclusive=True, auto_delete=True).queue
    text = uuid.uuid4().hex
    channel.basic_publish(amqp.Message(text), routing_key=made)
    came = None
    while came is None:
        came = channel.basic_get(made, no_ack=True)
    body = came.body.decode() if isinstance(came.body, bytes) else str(came.body)
    if body != text:
        raise CheckFailure("protocol", "Another message came back than was sent.")
    channel.queue_delete(made)
    return "a message was sent and came back."


def _name(made: amqp.Connection) -> str:
    said = getattr(made, "server_properties", None) or {}
    return " ".join(str(said.get(key, "")) for key in ("product", "version")).strip() or "AMQP"


class _Connection(amqp.Connection):
    """Over a socket of the attempt's, dialled to an address that was judged."""

    def __init__(self, attempt: ServerSession, **options: Any) -> None:
        self._attempt = attempt
        super().__init__(**options)

    def Transport(  # noqa: N802 (as the library names it)
        self, host: str, connect_timeout: Any, *_: Any, **__: Any
    ) -> TCPTransport:
        seconds = self._attempt.place.seconds
        return _Transport(
            self._attempt, host, connect_timeout, read_timeout=seconds, write_timeout=seconds
        )


class _Transport(TCPTransport):
    __slots__ = ("_attempt",)

    def __init__(self, attempt: ServerSession, *args: Any, **options: Any) -> None:
        self._attempt = attempt
        super().__init__(*args, **options)

    def _connect(self, host: str, port: int, timeout: float) -> None:
        self.sock: socket.socket = self._attempt.secure(self._attempt.dial())

    def _init_socket(self, *_: object) -> None:
        # The library would write back options as it reads them, which systems refuse for a socket
        # that is in use: on loopback the size of its segments is larger than one may set.
        self._setup_transport()  # type: ignore[attr-defined]
        self._write(AMQP_PROTOCOL_HEADER)  # type: ignore[attr-defined]


def _failure(error: amqp.AMQPError, *, expired: bool) -> CheckFailure:
    text = str(getattr(error, "reply_text", "") or error)[:500]
    if expired:
        return to_check_failure(error, expired=True)
    if isinstance(error, amqp.AccessRefused):
        refused = "ACCESS_REFUSED - Login" in text
        return CheckFailure("authentication" if refused else "permission", text)
    if isinstance(error, amqp.NotFound):
        return CheckFailure("queue", text)
    if isinstance(error, amqp.NotAllowed | amqp.InvalidPath):
        return CheckFailure("vhost", text)
    found = to_check_failure(error)
    return found if found.kind != "protocol" else CheckFailure("protocol", text)
