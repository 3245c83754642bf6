"""Asking databases, brokers and caches whether they answer, each by the driver made for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from registry.connections.drivers.amqp import ask_amqp
from registry.connections.drivers.error_mapping import Failure
from registry.connections.drivers.handshake import Attempt, Place
from registry.connections.drivers.mysql import ask_mysql
from registry.connections.drivers.postgresql import ask_postgresql
from registry.connections.drivers.redis import ask_cache, ask_redis_broker
from registry.models import ConnectionDriver, ConnectionType

__all__ = ["Attempt", "Failure", "Place", "asker_of"]

Ask = Callable[[Attempt], str]

_ASKERS: Mapping[str, Ask] = {
    ConnectionDriver.POSTGRESQL: ask_postgresql,
    ConnectionDriver.MYSQL: ask_mysql,
    ConnectionDriver.AMQP: ask_amqp,
    ConnectionDriver.REDIS: ask_redis_broker,
}


def asker_of(type: str, driver: str) -> Ask:
    """What asks a server of that kind, and returns a sentence on what it answered."""
    return ask_cache if type == ConnectionType.CACHE else _ASKERS[driver]
