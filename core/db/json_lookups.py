"""Conditions on JSON columns that PostgreSQL and SQLite both answer, and alike."""

from __future__ import annotations

import json
from typing import Any

from django.db.models import BooleanField, F, Func

from core.json.equality import json_equal


class _HasItem(Func):
    """Whether a JSON list has a string."""

    output_field = BooleanField()

    def __init__(self, column: F, item: str) -> None:
        super().__init__(column)
        self.item = item

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        column, params = compiler.compile(self.source_expressions[0])
        return f"{column}::jsonb @> %s::jsonb", (*params, json.dumps([self.item]))

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        column, params = compiler.compile(self.source_expressions[0])
        sql = f"EXISTS (SELECT 1 FROM json_each({column}) WHERE type = 'text' AND value = %s)"  # noqa: S608
        return sql, (*params, self.item)


class _HasEntry(Func):
    """Whether a JSON object has a key with a value."""

    output_field = BooleanField()

    def __init__(self, column: F, key: str, value: Any) -> None:
        super().__init__(column)
        self.key, self.value = key, value

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        column, params = compiler.compile(self.source_expressions[0])
        # The first part uses an index, and would be content with a part of the value.
        sql = f"({column}::jsonb @> %s::jsonb AND {column}::jsonb -> %s::text = %s::jsonb)"
        entry, value = json.dumps({self.key: self.value}), json.dumps(self.value)
        return sql, (*params, entry, *params, self.key, value)

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        column, params = compiler.compile(self.source_expressions[0])
        return f"hub_has_entry({column}, %s, %s)", (*params, self.key, json.dumps(self.value))


def add_functions(connection: Any, **_: Any) -> None:
    """Give a new connection to SQLite what the conditions above ask of it."""
    if connection.vendor == "sqlite":
        connection.connection.create_function("hub_has_entry", 3, _has_entry, deterministic=True)


def _has_entry(column: str, key: str, value: str) -> bool:
    document = json.loads(column)
    return (
        isinstance(document, dict)
        and key in document
        and json_equal(document[key], json.loads(value))
    )


def has_item(column: str, item: str) -> Func:
    """Return the condition that the JSON list in `column` has this string."""
    return _HasItem(F(column), item)


def has_entry(column: str, key: str, value: Any) -> Func:
    """Return the condition that the JSON object in `column` has this key with this value."""
    return _HasEntry(F(column), key, value)
