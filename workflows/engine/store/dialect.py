"""What differs between PostgreSQL and SQLite in the engine's SQL.

Every statement takes a whole batch as one JSON parameter: PostgreSQL reads it with
`jsonb_to_recordset`, SQLite with `json_each`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django.db import connection

from core.db.pipeline import prepared_cursor

# With its dashes, as against the 32 digits that SQLite keeps.
LENGTH_OF_KEY = 36
COLUMNS = {
    "id": "uuid",
    "execution_id": "uuid",
    "after": "uuid",
    "ends": "boolean",
    "fence": "bigint",
    "step_id": "text",
    "path": "text",
    "attempt": "integer",
    "name": "text",
    "status": "text",
    "service": "text",
    "instance": "text",
    "action": "text",
    "input": "jsonb",
    "output": "jsonb",
    "error": "jsonb",
    "errors": "jsonb",
    "warnings": "jsonb",
    "payload": "jsonb",
    "started_at": "timestamptz",
    "completed_at": "timestamptz",
    "wake_at": "timestamptz",
    "lease_until": "timestamptz",
    "lease_owner": "text",
    "retry_base": "integer",
    "priority": "integer",
    "retry_since": "timestamptz",
    "sequence": "integer",
    "scope": "text",
    "total": "integer",
    "begun": "integer",
    "done": "integer",
    "failed": "integer",
    "needed": "integer",
    "tolerated": "integer",
    "held_wake_at": "timestamptz",
    "prefix": "text",
    "kind": "text",
}


class Dialect:
    """Builds the parts of statements in which the databases differ."""

    def __init__(self) -> None:
        self.is_postgres = connection.vendor == "postgresql"

    def source(
        self, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]
    ) -> tuple[str, list[Any]]:
        """A table expression `v` with these rows, and its one parameter.

        Raises:
            ValueError: a value is not JSON, such as NaN.
        """
        # What is not said is NULL.
        plain = [
            {c: self._plain(c, v) for c in columns if (v := r.get(c)) is not None} for r in rows
        ]
        text = json.dumps(plain, allow_nan=False)
        return source_text(tuple(columns), postgres=self.is_postgres), [text]

    def insert(
        self,
        cursor: Any,
        table: str,
        columns: Sequence[str],
        rows: Sequence[Mapping[str, Any]],
        *,
        fixed: Mapping[str, Any],
    ) -> None:
        """Insert rows; `fixed` columns have one value for all."""
        source, params = self.source(columns, rows)
        names = ", ".join((*columns, *fixed))
        picked = ", ".join((*(f"v.{c}" for c in columns), *("%s" for _ in fixed)))
        cursor.execute(
            f"INSERT INTO {table} ({names}) SELECT {picked} FROM {source}",
            [*fixed.values(), *params],
        )

    def among(self, column: str, ids: Iterable[str]) -> tuple[str, list[Any]]:
        """A condition: the column is one of these ids."""
        if self.is_postgres:
            # As text: a driver takes longer over a list of them than PostgreSQL over the query.
            return f"{column} = ANY(%s::uuid[])", ["{" + ",".join(map(str, ids)) + "}"]
        keys = json.dumps([self.id(i) for i in ids])
        return f"{column} IN (SELECT value FROM json_each(%s))", [keys]

    def only(self, column: str, ids: Iterable[str]) -> tuple[str, list[Any]]:
        """The same for rows that a `source` names already, to go after a condition.

        PostgreSQL guesses that a source has a hundred rows and reads a whole table for one; the
        ids it can count.
        """
        if not self.is_postgres:
            return "", []
        where, params = self.among(column, ids)
        return f" AND {where}", params

    def lock(self, text: str) -> str:
        """A locking clause, where the database locks rows."""
        return text if self.is_postgres else ""

    def id(self, value: Any) -> Any:
        """An id as the driver hands it out."""
        made = value if isinstance(value, uuid.UUID) else uuid.UUID(str(value))
        return made if self.is_postgres else made.hex

    def time(self, value: datetime) -> Any:
        """A time as the driver takes it."""
        return value if self.is_postgres else str(value.astimezone(UTC).replace(tzinfo=None))

    def _plain(self, column: str, value: Any) -> Any:
        kind = COLUMNS[column]
        if kind == "uuid":
            return key_of(value) if self.is_postgres else uuid.UUID(str(value)).hex
        if kind == "timestamptz":
            return value.isoformat() if self.is_postgres else self.time(value)
        return value


@lru_cache(maxsize=64)
def source_text(columns: tuple[str, ...], *, postgres: bool = True) -> str:
    """The table expression of a `source`."""
    if postgres:
        types = ", ".join(f"{c} {COLUMNS[c]}" for c in columns)
        return f"jsonb_to_recordset(%s::jsonb) AS v({types})"
    picked = ", ".join(f"json_extract(value, '$.{c}') AS {c}" for c in columns)
    return f"(SELECT {picked} FROM json_each(%s)) AS v"


def send(sql: str, params: Sequence[Any]) -> Any:
    """A cursor of its own, whose answer waits to be read: what is sent after it need not wait."""
    cursor = prepared_cursor()
    cursor.execute(sql, params)
    return cursor


def key_of(value: Any) -> str:
    """An id as the engine keeps it, whatever the driver hands out."""
    if isinstance(value, str) and len(value) == LENGTH_OF_KEY:
        return value
    return str(value) if isinstance(value, uuid.UUID) else str(uuid.UUID(str(value)))


def is_key(value: Any) -> bool:
    """Whether a value, from wherever it came, can be the id of a row."""
    try:
        return isinstance(value, str) and bool(uuid.UUID(value))
    except ValueError:
        return False


def read_json(value: Any) -> Any:
    """A JSON column, which drivers hand out as text."""
    return json.loads(value) if isinstance(value, str | bytes) else value


def size_of(value: Any) -> int:
    """How many characters a JSON column has, as drivers hand it out."""
    return len(value) if isinstance(value, str | bytes) else 0


def read_time(value: Any) -> datetime | None:
    """A time column; SQLite hands out what it keeps, UTC without saying so."""
    if value is None:
        return None
    read = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return read if read.tzinfo else read.replace(tzinfo=UTC)
