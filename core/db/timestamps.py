"""Reads timestamps of PostgreSQL by the standard library's own parser, which is written in C.

Django has them read by a loader in Python, which took most of the time that reading a row took.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db.backends.postgresql.psycopg_any import BaseTzLoader
from psycopg.postgres import types
from psycopg.pq import Format

_Loader: Any = BaseTzLoader  # its types are those of another driver


class InstantLoader(_Loader):
    """Loads what Django's loader does, for sessions in UTC."""

    timezone = UTC

    def load(self, data: Any) -> datetime:
        """Return the instant; what is not written plainly is left to Django's loader."""
        try:
            instant = datetime.fromisoformat(str(data, "ascii"))
        except ValueError:
            instant = None
        if instant is None or instant.tzinfo is not UTC:
            read: datetime = super().load(data)
            return read
        return instant


def add_loader(connection: Any, **_: Any) -> None:
    """Have a new connection to PostgreSQL read timestamps so."""
    if connection.vendor != "postgresql" or connection.timezone is not UTC:
        return
    adapters = connection.connection.adapters
    oid = types["timestamptz"].oid
    if adapters.get_loader(oid, Format.TEXT) is not InstantLoader:  # it may come from a pool
        adapters.register_loader(oid, InstantLoader)
