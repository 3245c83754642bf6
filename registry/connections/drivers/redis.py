"""Redis, as a broker and as a cache."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from registry.connections.drivers.error_mapping import CheckFailure, to_check_failure
from registry.connections.drivers.server_session import ServerSession

_LIFE_MS = 10_000


def check_cache(attempt: ServerSession) -> str:
    """Write a key that expires by itself, read it back and remove it.

    Raises:
        Failure: with the reason.
    """
    return _ask(attempt, _write_and_read)


def check_redis_broker(attempt: ServerSession) -> str:
    """Push a message to a list of its own and pop it again.

    Raises:
        Failure: with the reason.
    """
    return _ask(attempt, _push_and_pop)


def _ask(attempt: ServerSession, work: Callable[[Any, str], None]) -> str:
    place = attempt.place
    pool = redis.ConnectionPool(
        connection_class=_Dialled,
        attempt=attempt,
        db=_number_of(place.database),
        username=place.username or None,
        password=place.secret or None,
        socket_timeout=place.seconds,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
        max_connections=1,
    )
    try:
        with redis.Redis(connection_pool=pool) as client:
            version = client.info("server").get("redis_version", "")
            work(client, f"service-integration:test:{uuid.uuid4().hex}")
        return f"Redis {version}, database {_number_of(place.database)}: what was sent came back."
    except redis.RedisError as error:
        raise _failure(error, expired=attempt.expired) from None
    except OSError as error:
        raise to_check_failure(error, expired=attempt.expired) from None
    finally:
        pool.disconnect()


def _write_and_read(client: Any, key: str) -> None:
    value = uuid.uuid4().hex
    client.set(key, value, px=_LIFE_MS)
    came = client.get(key)
    client.delete(key)
    _compare(value, came)


def _push_and_pop(client: Any, key: str) -> None:
    value = uuid.uuid4().hex
    client.lpush(key, value)
    client.pexpire(key, _LIFE_MS)
    _compare(value, client.rpop(key))


def _compare(sent: str, came: str | None) -> None:
    if came != sent:
        raise CheckFailure("protocol", "What was written did not come back.")


def _number_of(database: str) -> int:
    text = database.strip() or "0"
    if not text.isdigit() or len(text) > 6:
        raise CheckFailure("database", f"'{text[:50]}' is no number of a database of Redis.")
    return int(text)


class _Dialled(redis.Connection):
    """Over a socket of the attempt's, dialled to an address that was judged."""

    def __init__(self, *, attempt: ServerSession, **options: Any) -> None:
        self._attempt = attempt
        super().__init__(host=attempt.place.host, port=attempt.place.port, **options)

    def _connect(self) -> socket.socket:
        return self._attempt.secure(self._attempt.dial())


def _failure(error: redis.RedisError, *, expired: bool) -> CheckFailure:
    if expired:
        return to_check_failure(error, expired=True)
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
    found = to_check_failure(error)
    is_broken = found.kind == "protocol" and isinstance(error, redis.ConnectionError)
    return CheckFailure("broken", text) if is_broken else found
