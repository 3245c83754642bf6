"""Checks MySQL and MariaDB."""

from __future__ import annotations

from typing import Any

import pymysql

from registry.connections.drivers.error_mapping import CheckFailure
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


def check_mysql(session: ServerSession) -> str:
    """Connect, ask for the version in a session that may only read, and disconnect."""
    address = session.address
    connection = pymysql.Connection(
        host=address.host,
        port=address.port,
        user=address.username,
        password=address.password_text,
        database=address.database or None,
        ssl=address.context,
        ssl_disabled=not address.tls,
        read_timeout=_whole(address.seconds),
        write_timeout=_whole(address.seconds),
        program_name="service-integration",
        defer_connect=True,
    )
    try:
        line = session.dial()
        if not address.username:
            # PyMySQL would log in under the name of this process's own user.
            raise CheckFailure("authentication", "No user is named: give it a username.")
        connection.connect(line)
        if address.tls and not connection._secure:  # type: ignore[attr-defined]
            raise CheckFailure("tls", "The server does not speak TLS.")
        return _ask(connection)
    finally:
        connection.close()


def _ask(connection: Any) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION READ ONLY")
        cursor.execute("SELECT version(), database(), current_user()")
        version, database, user = cursor.fetchone() or ("", None, "")
    name = "MariaDB" if "mariadb" in str(version).lower() else "MySQL"
    shown = f"database '{database}'" if database else "no database"
    return f"{name} {version}: {shown} as '{user}'."


def _whole(seconds: float) -> int:
    return max(1, round(seconds))


def explain_mysql(error: Exception, of_socket: CheckFailure) -> CheckFailure:
    """Return what an error of PyMySQL means, by its number."""
    if not isinstance(error, pymysql.err.MySQLError):
        return of_socket
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    text = str(error.args[1] if len(error.args) > 1 else error)[:500]
    if code in _KINDS:
        return CheckFailure(_KINDS[code], text)
    if of_socket.kind != "protocol":
        return of_socket
    return CheckFailure("broken" if code in (2006, 2013) else "protocol", text)
