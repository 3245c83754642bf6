"""Sees that SQLite's file has changed: a matter of microseconds, where looking takes more."""

from __future__ import annotations

from django.db import connection


class FileChanges:
    """Whether another connection has written to the file, for the thread that asks."""

    def __init__(self) -> None:
        self._version: int | None = None

    def are_new(self) -> bool:
        """Return whether anybody else has written since this was asked before; at first True.

        Raises:
            DatabaseError: the file cannot be read now.
        """
        with connection.cursor() as cursor:
            (version,) = cursor.execute("PRAGMA data_version").fetchone()
        before, self._version = self._version, version
        return bool(version != before)
