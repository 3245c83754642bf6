"""Checks that databases, brokers and caches answer, each by the driver made for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from registry.connections.drivers.amqp import check_amqp, explain_amqp
from registry.connections.drivers.error_mapping import CheckFailure, Explain, to_check_failure
from registry.connections.drivers.mysql import check_mysql, explain_mysql
from registry.connections.drivers.postgresql import check_postgresql, explain_postgresql
from registry.connections.drivers.redis import check_cache, check_redis_broker, explain_redis
from registry.connections.drivers.server_session import ServerAddress, ServerSession
from registry.models import ConnectionDriver, ConnectionType

__all__ = ["CheckFailure", "ServerAddress", "ServerSession", "check_server"]

_CHECKS: Mapping[str, tuple[Callable[[ServerSession], str], Explain]] = {
    ConnectionDriver.POSTGRESQL: (check_postgresql, explain_postgresql),
    ConnectionDriver.MYSQL: (check_mysql, explain_mysql),
    ConnectionDriver.AMQP: (check_amqp, explain_amqp),
    ConnectionDriver.REDIS: (check_redis_broker, explain_redis),
}


def check_server(session: ServerSession, *, type: str, driver: str) -> str:
    """Ask a server whether it answers, and return a sentence on what it answered.

    Raises:
        CheckFailure: with the reason.
    """
    check, explain = _CHECKS[driver]
    if type == ConnectionType.CACHE:
        check = check_cache
    try:
        return check(session)
    except Exception as error:
        raise to_check_failure(error, expired=session.expired, explain=explain) from None
