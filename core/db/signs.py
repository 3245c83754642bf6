"""Asks many tables at once whether there is anything to do: mostly there is not."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import connection

from core.db.pipeline import prepared_cursor


class RowSigns:
    """Queries in SQL, each of which finds rows only where there may be something to do.

    They are one statement, which costs less than to have one of them written by the ORM. They may
    see too much, but nothing too little: who acts on a sign looks for itself.
    """

    def __init__(self, **queries: str) -> None:
        self._names = tuple(queries)
        self._statement = "SELECT " + ", ".join(f"EXISTS ({sql})" for sql in queries.values())

    def seen(self, **params: Any) -> set[str]:
        """Return the names of the queries that find a row, with these parameters."""
        if not self._names:
            return set()
        adapted = {
            name: connection.ops.adapt_datetimefield_value(value)
            if isinstance(value, datetime)
            else value
            for name, value in params.items()
        }
        with connection.wrap_database_errors, prepared_cursor() as cursor:
            cursor.execute(self._statement, adapted or None)
            found = cursor.fetchone()
        return {name for name, is_there in zip(self._names, found, strict=True) if is_there}
