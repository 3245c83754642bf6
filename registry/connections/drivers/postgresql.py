"""Checks PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator
from typing import Any

import psycopg

from registry.calls.auth.client_tls import certificate_file, passphrase_of
from registry.calls.auth.loaded_credential import LoadedCredential
from registry.connections.drivers.error_mapping import CheckFailure
from registry.connections.drivers.server_session import ServerAddress, ServerSession

NO_FILE = "/nonexistent"
_KINDS = {
    "28P01": "authentication",
    "28000": "authentication",
    "3D000": "database",
    "42501": "permission",
    "53300": "busy",
    "57P03": "busy",
}


def check_postgresql(session: ServerSession) -> str:
    """Connect, ask for the version in a transaction that may only read, and disconnect."""
    addresses = session.addresses()
    with _tls_of(session.address) as tls:
        return asyncio.run(_ask(session, addresses, tls))


async def _ask(session: ServerSession, addresses: list[str], tls: dict[str, str]) -> str:
    address = session.address
    options: dict[str, Any] = {
        "host": ",".join([address.host] * len(addresses)),
        "hostaddr": ",".join(addresses),
        "port": address.port,
        "dbname": address.database or "postgres",
        # Given also where it is empty, or libpq would take it from the hub's own environment.
        "user": address.username or "postgres",
        "password": address.password_text,
        "passfile": NO_FILE,
        "application_name": "service-integration",
        "options": "-c default_transaction_read_only=on",
        "gssencmode": "disable",
        **tls,
    }
    async with asyncio.timeout(session.remaining_seconds):
        async with asyncio.timeout(address.connect_seconds):
            connection = await psycopg.AsyncConnection.connect(**options)
        async with connection:
            cursor = await connection.execute(
                "SELECT split_part(version(), ' ', 2), current_database(), current_user,"
                " pg_is_in_recovery()"
            )
            row = await cursor.fetchone()
    version, database, user, is_replica = row or ("", "", "", False)
    kind = ", a replica" if is_replica else ""
    return f"PostgreSQL {version}{kind}: database '{database}' as '{user}'."


@contextlib.contextmanager
def _tls_of(address: ServerAddress) -> Iterator[dict[str, str]]:
    """Yield the options of libpq about TLS."""
    if not address.tls:
        # A password must not go over the line as it is, whatever the server asks for.
        yield {"sslmode": "disable", "require_auth": "!password"}
        return
    with _authorities(address.authorities) as path, _certificate(address.certificate) as options:
        yield {"sslmode": "verify-full", "sslrootcert": path, **options}


@contextlib.contextmanager
def _authorities(bundle: str) -> Iterator[str]:
    """Yield the path of the authorities, which libpq reads from a file only."""
    if not bundle:
        yield "system"
        return
    with tempfile.NamedTemporaryFile("w", prefix="authorities-", suffix=".pem") as file:
        file.write(bundle)
        file.flush()
        yield file.name


@contextlib.contextmanager
def _certificate(credential: LoadedCredential | None) -> Iterator[dict[str, str]]:
    """Yield the client's certificate for libpq, which else would show one of the hub's home."""
    if credential is None:
        yield {"sslcertmode": "disable"}
        return
    with certificate_file(credential) as path:
        yield {"sslcert": path, "sslkey": path, "sslpassword": passphrase_of(credential)}


def explain_postgresql(error: Exception, of_socket: CheckFailure) -> CheckFailure:
    """Return what an error of libpq means, by its SQLSTATE or its words."""
    if not isinstance(error, psycopg.Error):
        return of_socket
    text = " ".join(str(error).split())[:500]
    code = error.sqlstate or ""
    if code in _KINDS:
        return CheckFailure(_KINDS[code], text)
    lowered = text.lower()
    for words, kind in (
        ("client certificate", "client_certificate"),
        ("certificate authentication failed", "client_certificate"),
        ("alert unknown ca", "client_certificate"),
        ("alert certificate", "client_certificate"),
        ("alert bad certificate", "client_certificate"),
        ("authentication failed", "authentication"),
        ("no password supplied", "authentication"),
        ("certificate", "certificate"),
        ("does not support ssl", "tls"),
        ("ssl", "tls"),
        ("does not exist", "database"),
        ("connection refused", "refused"),
        ("timeout", "timeout"),
        ("closed the connection", "broken"),
    ):
        if words in lowered:
            return CheckFailure(kind, text)
    return of_socket
