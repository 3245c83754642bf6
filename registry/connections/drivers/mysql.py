"""MySQL and MariaDB."""

from __future__ import annotations

from typing import Any

import pymysql

from registry.connections.drivers.error_mapping import CheckFailure, to_check_failure
from registry.connections.drivers.server_session import ServerSession

_KINDS = {
    1044: "permission",
    1045: "authentication",
    1049: "database",
    1040: "busy",
    1203: "busy",
    1698: "authentication",
    2026: "tls",
}


def check_mysql(attempt: ServerSession) -> str:
    """Connect, ask for the version in a session that may only read, and disconnect.

    Raises:
        Failure: with the reason.
    """
    place = attempt.place
    try:
        made = pymysql.Connection(
            host=place.host,
            port=place.port,
            user=place.username,
            password=place.secret,
            database=place.database or None,
            ssl=place.context,
            ssl_disabled=not place.tls,
            read_timeout=_whole(place.seconds),
            write_timeout=_whole(place.seconds),
            program_name="service-integration",
            defer_connect=True,
        )
        try:
            made.connect(attempt.dial())
            return _ask(made, tls=place.tls)
        finally:
            # Without the goodbye, for which a server that hangs would be waited for.
            made._force_close()  # type: ignore[attr-defined]
    except pymysql.err.MySQLError as error:
        raise _failure(error, expired=attempt.expired) from None
    except (OSError, ValueError, RuntimeError) as error:
        raise to_check_failure(error, expired=attempt.expired) from None


def _ask(made: Any, *, tls: bool) -> str:
    if tls and not made._secure:
        raise CheckFailure("tls", "The server does not speak TLS.")
    with made.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION READ ONLY")
        cursor.execute("SELECT version(), database(), current_user()")
        version, database, user = cursor.fetchone() or ("", None, "")
    name = "MariaDB" if "mariadb" in str(version).lower() else "MySQL"
    where = f"database '{database}'" if database else "no database"
    return f"{name} {version}: {where} as '{user}'."


def _whole(seconds: float) -> int:
    return max(1, round(seconds))


def _failure(error: pymysql.err.MySQLError, *, expired: bool) -> CheckFailure:
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    text = str(error.args[1] if len(error.args) > 1 else error)[:500]
    if code in _KINDS and not expired:
        return CheckFailure(_KINDS[code], text)
    found = to_check_failure(error, expired=expired)
    if found.kind != "protocol":
        return found
    return CheckFailure("broken", text) if code in (2006, 2013) else CheckFailure("protocol", text)
