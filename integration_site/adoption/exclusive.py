"""Lets one run at a time change what the hub has: the next one is told who is at work."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
from django.db import connection

from core.exceptions import IntegrationError
from integration_site.adoption.sources.connect import hub_conninfo

# The lock of a run that was killed is free as soon as the system has noticed that.
GRACE_SECONDS = 3.0
_PAUSE_SECONDS = 0.05
_NAME = "adoption"
# Held by a transaction, which a pooler between leaves to one connection, and that nothing ends.
_STAY = "SET LOCAL idle_in_transaction_session_timeout = 0"
_TAKE = "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))"
_HOLDER = """
    SELECT to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
    FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = %s AND pid <> pg_backend_pid()
    ORDER BY backend_start LIMIT 1
"""


class AtWork(IntegrationError):
    """Another run takes over, or gives back, in this database."""

    code = "adoption_at_work"
    status_code = 409


@contextmanager
def only_run() -> Iterator[None]:
    """Keep every other run out of the hub's database until this one has ended, however it ends.

    Raises:
        AtWork: there is one.
    """
    with ExitStack() as stack:
        take = _take_on_postgresql if connection.vendor == "postgresql" else _take_file
        deadline = time.monotonic() + GRACE_SECONDS
        while (holder := take(stack)) is not None:
            if time.monotonic() >= deadline:
                raise AtWork(
                    f"Another run of this command is at work on the hub's database{holder}. Wait"
                    " for its end, or stop it: the next run goes on where it was."
                )
            time.sleep(_PAUSE_SECONDS)
        yield


def _take_on_postgresql(stack: ExitStack) -> str | None:
    """Take a lock on a connection of its own; return who has it otherwise."""
    session = psycopg.connect(hub_conninfo(), application_name=_NAME)
    session.execute(_STAY)
    row = session.execute(_TAKE, [_NAME]).fetchone()
    if row and row[0]:
        stack.callback(session.close)
        return None
    holder = session.execute(_HOLDER, [_NAME]).fetchone()
    session.close()
    return f", since {holder[0]} UTC" if holder else ""


def _take_file(stack: ExitStack) -> str | None:
    """Lock a file beside the hub's database, which names who has it."""
    database = Path(connection.settings_dict["NAME"])
    note = os.open(f"{database}.{_NAME}", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(note, 20).decode().strip()
        os.close(note)
        return f", as process {holder}" if holder else ""
    stack.callback(os.close, note)
    os.truncate(note, 0)
    os.write(note, str(os.getpid()).encode())
    return None
