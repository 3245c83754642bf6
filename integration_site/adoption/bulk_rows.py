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


def insert_bulk(model: type[models.Model], rows: Sequence[NewRow]) -> None:
    """Insert rows; JSON columns are given as the text of their JSON."""
    if not rows:
        return
    if connection.vendor == "postgresql":
        _copy(model, rows)
    else:
        _insert(model, rows)


def _copy(model: type[models.Model], rows: Sequence[NewRow]) -> None:
    names, defaults = _columns_of(model)
    quoted = ", ".join(f'"{name}"' for name in names)
    statement = f'COPY "{model._meta.db_table}" ({quoted}) FROM STDIN'
    # Rows of one kind name the same columns: what they do not name is written once.
    templates: dict[tuple[str, ...], str] = {}
    lines = []
    for row in rows:
        given = tuple(row)
        template = templates.get(given)
        if template is None:
            template = templates[given] = _template(names, defaults, given)
        lines.append(template.format_map({name: _copied(row[name]) for name in given}))
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write("".join(lines))


def _template(names: tuple[str, ...], defaults: tuple[Any, ...], given: tuple[str, ...]) -> str:
    """Return a line of COPY with a place for each column that is given."""
    cells = [
        f"{{{name}}}" if name in given else _copied(default).replace("{", "{{").replace("}", "}}")
        for name, default in zip(names, defaults, strict=True)
    ]
    return "\t".join(cells) + "\n"


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
    return str(value)


def _insert(model: type[models.Model], rows: Iterable[NewRow]) -> None:
    names, defaults = _columns_of(model)
    quoted = ", ".join(f'"{name}"' for name in names)
    marks = ", ".join(["%s"] * len(names))
    statement = f'INSERT INTO "{model._meta.db_table}" ({quoted}) VALUES ({marks})'
    pairs = list(zip(names, defaults, strict=True))
    with connection.cursor() as cursor:
        cursor.executemany(
            statement, [[_bound(row.get(name, default)) for name, default in pairs] for row in rows]
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
    found: set[UUID] = set()
    for place in range(0, len(wanted), 500):
        rows = model.objects.filter(pk__in=wanted[place : place + 500])
        found.update(rows.values_list("pk", flat=True))
    return found
