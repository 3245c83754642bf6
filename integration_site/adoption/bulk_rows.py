"""Stores many rows of a model at once, past the ORM: by COPY on PostgreSQL.

A million executions with their steps and events are some six million rows, of which the ORM would
make objects. Rows are mappings of columns; what they lack is the column's default.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db import connection, models

NewRow = Mapping[str, Any]


@lru_cache(maxsize=32)
def _columns_of(model: type[models.Model]) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    fields = [f for f in model._meta.concrete_fields if not isinstance(f, models.AutoField)]
    defaults = [None if f.primary_key else _default_of(f) for f in fields]
    return tuple(str(f.column) for f in fields), tuple(defaults)


def _default_of(field: Any) -> Any:
    default = field.get_default()
    is_json = isinstance(field, models.JSONField) and default is not None
    return json.dumps(default) if is_json else default


def insert_bulk(model: type[models.Model], rows: Iterable[NewRow]) -> None:
    """Insert rows; JSON columns are given as the text of their JSON, and ids as such or in hex."""
    alike: dict[tuple[str, ...], list[NewRow]] = {}
    for row in rows:
        alike.setdefault(tuple(row), []).append(row)
    insert = _copy if connection.vendor == "postgresql" else _insert
    for given, same in alike.items():
        columns, defaults = _columns_of(model)
        rest = {n: d for n, d in zip(columns, defaults, strict=True) if n not in given}
        insert(model._meta.db_table, (*given, *rest), [row.values() for row in same], rest.values())


def _copy(
    table: str, columns: Sequence[str], rows: Sequence[Iterable[Any]], rest: Iterable[Any]
) -> None:
    names = ", ".join(f'"{name}"' for name in columns)
    # What they do not name is the same in each line.
    end = "".join(f"\t{_copied(value)}" for value in rest) + "\n"
    text = "".join(["\t".join(map(_copied, row)) + end for row in rows])
    with (
        connection.cursor() as cursor,
        cursor.copy(f'COPY "{table}" ({names}) FROM STDIN') as copy,
    ):
        copy.write(text)


def _copied(value: Any) -> str:
    """Return a value as COPY reads it."""
    if type(value) is str:
        if "\\" in value:
            value = value.replace("\\", "\\\\")
        if "\n" in value or "\t" in value or "\r" in value:
            value = value.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
        return value
    if value is None:
        return "\\N"
    if value is True or value is False:
        return "t" if value else "f"
    return _moment_text(value) if type(value) is datetime else str(value)


# A time stands in several columns, and in rows that follow each other.
_moment_text = lru_cache(maxsize=4096)(str)


def _insert(
    table: str, columns: Sequence[str], rows: Sequence[Iterable[Any]], rest: Iterable[Any]
) -> None:
    names = ", ".join(f'"{name}"' for name in columns)
    marks = ", ".join(["%s"] * len(columns))
    same = [_bound(value) for value in rest]
    with connection.cursor() as cursor:
        cursor.executemany(
            f'INSERT INTO "{table}" ({names}) VALUES ({marks})',
            [[*map(_bound, row), *same] for row in rows],
        )


def _bound(value: Any) -> Any:
    if isinstance(value, UUID):
        return value.hex
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    return str(value) if isinstance(value, str) else value


def existing_ids(model: Any, ids: Iterable[UUID]) -> set[UUID]:
    """Return which of these ids the table has."""
    wanted = list(ids)
    if connection.vendor == "postgresql":
        statement = f'SELECT id FROM "{model._meta.db_table}" WHERE id = ANY(%s)'
        with connection.cursor() as cursor:
            cursor.execute(statement, [wanted])
            return {row[0] for row in cursor}
    found: set[UUID] = set()
    for place in range(0, len(wanted), 500):
        rows = model.objects.filter(pk__in=wanted[place : place + 500])
        found.update(rows.values_list("pk", flat=True))
    return found
