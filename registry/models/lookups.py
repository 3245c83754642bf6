"""Conditions on JSON columns that PostgreSQL and SQLite both answer."""

from __future__ import annotations

import json
from typing import Any

from django.db.models import BooleanField, F, Func, Value


class _JSONContains(Func):
    """Whether a JSON column contains a JSON value, by PostgreSQL's `@>`."""

    output_field = BooleanField()
    arity = 2

    def __init__(self, *expressions: Any, wanted: Any = None, **extra: Any) -> None:
        super().__init__(*expressions, **extra)
        self.wanted = wanted

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return super().as_sql(
            compiler, connection, template="%(expressions)s::jsonb", arg_joiner=" @> "
        )


class _HasItem(_JSONContains):
    """Whether a JSON list has a string."""

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        column, params = compiler.compile(self.source_expressions[0])
        sql = f"EXISTS (SELECT 1 FROM json_each({column}) WHERE value = %s)"  # noqa: S608
        return sql, (*params, self.wanted)


class _HasEntry(_JSONContains):
    """Whether a JSON object has a key with a value."""

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        column, params = compiler.compile(self.source_expressions[0])
        key, value = self.wanted
        sql = (
            f"EXISTS (SELECT 1 FROM json_each({column}) WHERE key = %s AND {_sqlite_value(value)})"  # noqa: S608
        )
        return sql, (*params, key, _sqlite_param(value))


def _sqlite_value(value: Any) -> str:
    if isinstance(value, bool):
        return "type = %s"
    return "json(value) = json(%s)" if isinstance(value, dict | list) else "value IS %s"


def _sqlite_param(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) >= 2**63:
        return float(value)  # as SQLite itself reads an integer of that size in JSON
    return json.dumps(value) if isinstance(value, dict | list) else value


def has_item(column: str, item: str) -> Func:
    """A condition: the JSON list in `column` has this string."""
    return _HasItem(F(column), Value(json.dumps([item])), wanted=item)


def has_entry(column: str, key: str, value: Any) -> Func:
    """A condition: the JSON object in `column` has this key with this value."""
    return _HasEntry(F(column), Value(json.dumps({key: value})), wanted=(key, value))
