"""Dialects of the engine's SQL: one class for PostgreSQL, one for SQLite.

Every statement takes a whole batch as one JSON parameter: PostgreSQL reads it with
`jsonb_to_recordset`, SQLite with `json_each`. Parameters have names.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.db import connection

from workflows.engine.store import claim_sql, due_query

if TYPE_CHECKING:
    from workflows.engine.store.transaction import Transaction

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
    "kind": "text",
}


class Dialect:
    """Builds the parts of statements in which the databases differ."""

    has_fast_path = False
    """Whether one statement may write to several tables, and is its own transaction."""

    def rows(self, columns: tuple[str, ...], name: str = "rows") -> str:
        """Return a table expression `v` with these columns, of the JSON parameter `name`."""
        raise NotImplementedError

    def encode_rows(self, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
        """Return the parameter of such an expression; a value that is not given is NULL.

        Raises:
            ValueError: a value is not JSON, such as NaN.
        """
        plain = [
            {c: self._plain(c, v) for c in columns if (v := row.get(c)) is not None} for row in rows
        ]
        return json.dumps(plain, allow_nan=False)

    def _plain(self, column: str, value: Any) -> Any:
        raise NotImplementedError

    def among(self, column: str, name: str = "ids") -> str:
        """Return a condition: the column is one of the ids in the parameter `name`."""
        raise NotImplementedError

    def only(self, column: str, name: str = "ids") -> str:
        """Return the same, to go after a condition, for rows that `rows` names already."""
        raise NotImplementedError

    def ids(self, values: Iterable[Any]) -> str:
        """Return the parameter of `among` and `only`."""
        raise NotImplementedError

    def id(self, value: Any) -> Any:
        """Return an id as the driver hands it out."""
        raise NotImplementedError

    def time(self, value: datetime) -> Any:
        """Return a time as the driver takes it."""
        raise NotImplementedError

    def lock(self, text: str) -> str:
        """Return a locking clause, where the database locks rows."""
        raise NotImplementedError

    def due(self) -> str:
        """Return the table expression `due` of the most urgent rows: at most `room` of them."""
        raise NotImplementedError

    def take(self, transaction: Transaction, due: str, **params: Any) -> list[Any]:
        """Claim the rows of `due`, begin their executions; return `claim_sql.COLUMNS` of each."""
        raise NotImplementedError


class PostgresDialect(Dialect):
    """PostgreSQL: locks rows, writes several tables by one statement, has types of its own."""

    has_fast_path = True

    def rows(self, columns: tuple[str, ...], name: str = "rows") -> str:
        return f"jsonb_to_recordset(%({name})s::jsonb) AS v({_typed(columns)})"

    def _plain(self, column: str, value: Any) -> Any:
        kind = COLUMNS[column]
        if kind == "uuid":
            return key_of(value)
        return value.isoformat() if kind == "timestamptz" else value

    def among(self, column: str, name: str = "ids") -> str:
        return f"{column} = ANY(%({name})s::uuid[])"

    def only(self, column: str, name: str = "ids") -> str:
        # It guesses that a source has a hundred rows, and reads a whole table for one; ids it can
        # count.
        return f" AND {self.among(column, name)}"

    def ids(self, values: Iterable[Any]) -> str:
        # As text: a driver takes longer over a list of them than PostgreSQL over the query.
        return "{" + ",".join(map(str, values)) + "}"

    def id(self, value: Any) -> Any:
        return value if isinstance(value, uuid.UUID) else uuid.UUID(str(value))

    def time(self, value: datetime) -> Any:
        return value

    def lock(self, text: str) -> str:
        return text

    def due(self) -> str:
        return due_query.due_by_levels(self.lock(due_query.LOCK))

    def take(self, transaction: Transaction, due: str, **params: Any) -> list[Any]:
        rows: list[Any] = transaction.execute(claim_sql.take_and_begin(due), **params).fetchall()
        return rows


class SqliteDialect(Dialect):
    """SQLite: one writer at a time, ids as 32 digits, times as text in UTC."""

    def rows(self, columns: tuple[str, ...], name: str = "rows") -> str:
        return f"(SELECT {_extracted(columns)} FROM json_each(%({name})s)) AS v"

    def _plain(self, column: str, value: Any) -> Any:
        kind = COLUMNS[column]
        if kind == "uuid":
            return self.id(value)
        return self.time(value) if kind == "timestamptz" else value

    def among(self, column: str, name: str = "ids") -> str:
        return f"{column} IN (SELECT value FROM json_each(%({name})s))"

    def only(self, column: str, name: str = "ids") -> str:
        return ""

    def ids(self, values: Iterable[Any]) -> str:
        return json.dumps([self.id(value) for value in values])

    def id(self, value: Any) -> Any:
        return uuid.UUID(str(value)).hex

    def time(self, value: datetime) -> Any:
        return connection.ops.adapt_datetimefield_value(value)

    def lock(self, text: str) -> str:
        return ""

    def due(self) -> str:
        return due_query.due_at_once()

    def take(self, transaction: Transaction, due: str, **params: Any) -> list[Any]:
        rows = transaction.execute(claim_sql.take(due), **params).fetchall()
        executions = claim_sql.execution_ids(rows)
        outside = claim_sql.execution_ids(rows, outside_branches=True)
        params = {"ids": self.ids(executions), "outside": self.ids(outside)}
        transaction.execute(claim_sql.begin(self.among("id")), **params)
        told = claim_sql.tell_of_executions(self.among("id"), self.among("id", "outside"))
        return claim_sql.join(rows, transaction.execute(told, **params).fetchall())


def own_dialect() -> Dialect:
    """Return the dialect of the database that this hub uses."""
    return PostgresDialect() if connection.vendor == "postgresql" else SqliteDialect()


@lru_cache(maxsize=64)
def _typed(columns: tuple[str, ...]) -> str:
    return ", ".join(f"{column} {COLUMNS[column]}" for column in columns)


@lru_cache(maxsize=64)
def _extracted(columns: tuple[str, ...]) -> str:
    return ", ".join(f"json_extract(value, '$.{column}') AS {column}" for column in columns)


def key_of(value: Any) -> str:
    """Return an id as the engine keeps it, whatever the driver hands out."""
    if isinstance(value, str) and len(value) == LENGTH_OF_KEY:
        return value
    return str(value) if isinstance(value, uuid.UUID) else str(uuid.UUID(str(value)))


def is_key(value: Any) -> bool:
    """Return whether a value, from wherever it came, can be the id of a row."""
    try:
        return isinstance(value, str) and bool(uuid.UUID(value))
    except ValueError:
        return False


def read_json(value: Any) -> Any:
    """Return the value of a JSON column, which drivers hand out as text."""
    return json.loads(value) if isinstance(value, str | bytes) else value


def size_of(value: Any) -> int:
    """Return how many characters a JSON column has, as drivers hand it out."""
    return len(value) if isinstance(value, str | bytes) else 0


def read_time(value: Any) -> datetime | None:
    """Return the value of a time column; SQLite hands out UTC without saying so."""
    if value is None:
        return None
    read = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return read if read.tzinfo else read.replace(tzinfo=UTC)
