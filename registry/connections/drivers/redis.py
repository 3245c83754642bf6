"""Checks Redis, as a broker and as a cache."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from registry.connections.drivers.error_mapping import CheckFailure
from registry.connections.drivers.server_session import ServerSession

_LIFE_MS = 10_000


def check_cache(session: ServerSession) -> str:
    """Write a key that expires by itself, read it back and remove it."""
    return _ask(session, _write_and_read)


def check_redis_broker(session: ServerSession) -> str:
    """Push a message to a list of its own and pop it again."""
    return _ask(session, _push_and_pop)


def _ask(session: ServerSession, exchange: Callable[[Any, str], None]) -> str:
    address, number = session.address, _number_of(session.address.database)
    pool = redis.ConnectionPool(
        connection_class=_SessionConnection,
        session=session,
        db=number,
        username=address.username or None,
        password=address.password_text or None,
        socket_timeout=address.seconds,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
        max_connections=1,
    )
    try:
        with redis.Redis(connection_pool=pool) as client:
            version = client.info("server").get("redis_version", "")
            exchange(client, f"service-integration:test:{uuid.uuid4().hex}")
        return f"Redis {version}, database {number}: what was sent came back."
    finally:
        pool.disconnect()


def _write_and_read(client: Any, key: str) -> None:
    value = uuid.uuid4().hex
    client.set(key, value, px=_LIFE_MS)
    received = client.get(key)
    client.delete(key)
    _compare(value, received)


def _push_and_pop(client: Any, key: str) -> None:
    value = uuid.uuid4().hex
    client.lpush(key, value)
    client.pexpire(key, _LIFE_MS)
    _compare(value, client.rpop(key))


def _compare(sent: str, received: str | None) -> None:
    if received != sent:
        raise CheckFailure("protocol", "What was written did not come back.")


def _number_of(database: str) -> int:
    text = database.strip() or "0"
    if not text.isdigit() or len(text) > 6:
        raise CheckFailure("database", f"'{text[:50]}' is no number of a database of Redis.")
    return int(text)


class _SessionConnection(redis.Connection):
    """Over a socket of the session's, dialled to an address that was judged."""

    def __init__(self, *, session: ServerSession, **options: Any) -> None:
        self._session = session
        super().__init__(host=session.address.host, port=session.address.port, **options)

    def _connect(self) -> socket.socket:
        return self._session.secure(self._session.dial())


def explain_redis(error: Exception, of_socket: CheckFailure) -> CheckFailure:
    """Return what an error of the client means, by its class and text."""
    text = str(error)[:500]
    if isinstance(error, redis.AuthenticationError) or text.startswith(("NOAUTH", "WRONGPASS")):
        return CheckFailure("authentication", text)
    if isinstance(error, redis.exceptions.NoPermissionError):
        return CheckFailure("permission", text)
    if "DB index is out of range" in text:
        return CheckFailure("database", text)
    if isinstance(error, redis.BusyLoadingError | redis.MaxConnectionsError):
        return CheckFailure("busy", text)
    if isinstance(error, redis.TimeoutError):
        return CheckFailure("timeout", "No answer in time.")
    is_broken = of_socket.kind == "protocol" and isinstance(error, redis.ConnectionError)
    return CheckFailure("broken", text) if is_broken else of_socket
