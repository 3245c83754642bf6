"""Settings under which PostgreSQL plans the engine's statements, and that nobody else may meet.

A plan made while the tables are all but empty would read them whole, and be kept while they grow.
Left to itself PostgreSQL plans statements about a list of ids anew each time, since it takes each
list to be longer than it is; that takes as long as running them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
from django.db import connection

from core.db.pipeline import (
    has_own_session,
    one_statement,
    pipelined_transaction,
    prepared_cursor,
)

# Without the second, what has to be read whole would be compiled first.
_SETTINGS = {"enable_seqscan": "off", "jit": "off", "plan_cache_mode": "force_generic_plan"}
SET = "; ".join(f"SET {name} = {value}" for name, value in _SETTINGS.items())
_RESET = "; ".join([*(f"RESET {name}" for name in _SETTINGS), "DISCARD PLANS"])
_SET_LOCAL = "SELECT " + ", ".join(
    f"set_config('{name}', '{value}', true)" for name, value in _SETTINGS.items()
)


class PlannerSettings:
    """Keeps the settings on the connection of one thread: set once, and taken back at its end.

    Where a pooler lends its sessions to others between transactions, each transaction sets them for
    itself alone instead, which costs a statement each.
    """

    def __init__(self) -> None:
        # The connection that was looked at, and whether its session is ours alone.
        self._connection: Any = None
        self._owns_session = True

    def apply(self) -> None:
        """Set them on a connection that is new to this thread."""
        if connection.vendor != "postgresql" or connection.in_atomic_block:
            return
        connection.ensure_connection()
        if connection.connection is self._connection:
            return
        self._connection = connection.connection
        self._owns_session = has_own_session(self._connection)
        if self._owns_session:
            self._connection.execute(SET, prepare=False)

    @contextlib.contextmanager
    def transaction(self, *, several: bool) -> Iterator[None]:
        """Open a transaction under the settings; none around one statement in a session of ours."""
        local = connection.vendor == "postgresql" and not self._owns_session
        with pipelined_transaction() if several or local else one_statement():
            if local:
                with prepared_cursor() as cursor:
                    cursor.execute(_SET_LOCAL)
            yield

    def release(self) -> None:
        """Take them back, so that whoever has the connection next plans as usual."""
        tuned, self._connection = self._connection, None
        if tuned is None or tuned is not connection.connection or not self._owns_session:
            return
        try:
            tuned.execute(_RESET, prepare=False)
        except psycopg.Error:
            tuned.close()
