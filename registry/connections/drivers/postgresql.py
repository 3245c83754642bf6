"""PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator
from typing import Any

import psycopg

from registry.calls.auth.client_tls import certificate_file, passphrase_of
from registry.calls.auth.loaded_credential import LoadedCredential
from registry.connections.drivers.error_mapping import CheckFailure, to_check_failure
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


def check_postgresql(attempt: ServerSession) -> str:
    """Connect, ask for the version in a transaction that may only read, and disconnect.

    Raises:
        Failure: with the reason.
    """
    try:
        addresses = attempt.addresses()
        with _tls_of(attempt.place) as tls:
            return asyncio.run(_ask(attempt, addresses, tls))
    except psycopg.Error as error:
        raise _failure(error) from None
    except (OSError, TimeoutError) as error:
        raise to_check_failure(error) from None


async def _ask(attempt: ServerSession, addresses: list[str], tls: dict[str, str]) -> str:
    place = attempt.place
    options: dict[str, Any] = {
        "host": ",".join([place.host] * len(addresses)),
        "hostaddr": ",".join(addresses),
        "port": place.port,
        "dbname": place.database or "postgres",
        # Said also where it is empty, or libpq would send what the hub's own environment says.
        "user": place.username or "postgres",
        "password": place.secret,
        "passfile": NO_FILE,
        "application_name": "service-integration",
        "options": "-c default_transaction_read_only=on",
        "gssencmode": "disable",
        **tls,
    }
    async with asyncio.timeout(attempt.remaining_seconds):
        async with asyncio.timeout(place.connect_seconds):
            made = await psycopg.AsyncConnection.connect(**options)
        async with made:
            cursor = await made.execute(
                "SELECT split_part(version(), ' ', 2), current_database(), current_user,"
                " pg_is_in_recovery()"
            )
            found = await cursor.fetchone()
    version, database, user, is_replica = found or ("", "", "", False)
    kind = ", a replica" if is_replica else ""
    return f"PostgreSQL {version}{kind}: database '{database}' as '{user}'."


@contextlib.contextmanager
def _tls_of(place: ServerAddress) -> Iterator[dict[str, str]]:
    """How libpq is told of TLS."""
    if not place.tls:
        # A password must not go over the line as it is, whatever the server asks for.
        yield {"sslmode": "disable", "require_auth": "!password"}
        return
    with _authorities(place.authorities) as path, _certificate(place.certificate) as shown:
        yield {"sslmode": "verify-full", "sslrootcert": path, **shown}


@contextlib.contextmanager
def _authorities(bundle: str) -> Iterator[str]:
    """Where libpq finds who may sign: it reads authorities from a file only."""
    if not bundle:
        yield "system"
        return
    with tempfile.NamedTemporaryFile("w", prefix="authorities-", suffix=".pem") as file:
        file.write(bundle)
        file.flush()
        yield file.name


@contextlib.contextmanager
def _certificate(credential: LoadedCredential | None) -> Iterator[dict[str, str]]:
    """The client's certificate for libpq, which else would show one of the hub's own home."""
    if credential is None:
        yield {"sslcertmode": "disable"}
        return
    with certificate_file(credential) as path:
        yield {"sslcert": path, "sslkey": path, "sslpassword": passphrase_of(credential)}


def _failure(error: psycopg.Error) -> CheckFailure:
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
    return to_check_failure(error)
