"""Asking databases, brokers and caches whether they answer, each by the driver made for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from registry.calls.drivers.amqp import ask_amqp
from registry.calls.drivers.attempt import Attempt, Place
from registry.calls.drivers.failures import Failure
from registry.calls.drivers.mysql import ask_mysql
from registry.calls.drivers.postgresql import ask_postgresql
from registry.calls.drivers.redis import ask_cache, ask_redis_broker
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
