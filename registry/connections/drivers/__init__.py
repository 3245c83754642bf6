"""Asking databases, brokers and caches whether they answer, each by the driver made for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from registry.connections.drivers.amqp import check_amqp
from registry.connections.drivers.error_mapping import CheckFailure
from registry.connections.drivers.mysql import check_mysql
from registry.connections.drivers.postgresql import check_postgresql
from registry.connections.drivers.redis import check_cache, check_redis_broker
from registry.connections.drivers.server_session import ServerAddress, ServerSession
from registry.models import ConnectionDriver, ConnectionType

__all__ = ["CheckFailure", "ServerAddress", "ServerSession", "checker_of"]

ServerCheck = Callable[[ServerSession], str]

_CHECKS: Mapping[str, ServerCheck] = {
    ConnectionDriver.POSTGRESQL: check_postgresql,
    ConnectionDriver.MYSQL: check_mysql,
    ConnectionDriver.AMQP: check_amqp,
    ConnectionDriver.REDIS: check_redis_broker,
}


def checker_of(type: str, driver: str) -> ServerCheck:
    """What asks a server of that kind, and returns a sentence on what it answered."""
    return check_cache if type == ConnectionType.CACHE else _CHECKS[driver]
