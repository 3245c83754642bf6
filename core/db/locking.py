"""Optimistic concurrency: a change that insists on the row being as its caller read it.

The time of the last change is a row's version, so that what changes nothing must not move it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from django.db import IntegrityError, connection, models
from django.db.models import QuerySet

from core.db.rows import fetch_all
from core.exceptions import Conflict, NotFound, PreconditionFailed
from core.json.equality import json_equal

Row = TypeVar("Row", bound=models.Model)

_TIMES = frozenset({"created_at", "updated_at"})


def columns_of(row: models.Model) -> dict[str, Any]:
    """Return the columns of a row as they are, for `save_if_changed`."""
    names = (column.attname for column in row._meta.concrete_fields)
    return {name: getattr(row, name) for name in names if name not in _TIMES}


def save_if_changed(row: models.Model, before: dict[str, Any] | None) -> None:
    """Save a row that is new (`before` is None) or differs from what its columns were.

    Else it stays untouched, and with it the tag that others hold.
    """
    if before is None or not json_equal(columns_of(row), before):
        row.save()


def lock_row(row: Row, *, if_unchanged: bool = False, rows: QuerySet[Row] | None = None) -> Row:
    """Return a named row as it is now, locked until the caller's transaction ends.

    `row` is as the caller read it; `rows` is where it is read from, if something is to come along.

    Raises:
        NotFound: it was removed meanwhile.
        PreconditionFailed: with `if_unchanged`, somebody changed it in between.
    """
    rows = type(row)._default_manager.all() if rows is None else rows
    locked = rows.select_for_update(of=("self",)).filter(pk=row.pk).first()
    title = f"The {row._meta.verbose_name} '{row.name}'"  # type: ignore[attr-defined]
    if locked is None:
        raise NotFound(f"{title} was removed meanwhile.")
    if if_unchanged and locked.updated_at != row.updated_at:  # type: ignore[attr-defined]
        raise PreconditionFailed(f"{title} was changed since you read it. Read it again first.")
    return locked


def hold_word(word: str) -> None:
    """Wait until nobody else holds this word, and hold it until the caller's transaction ends.

    On SQLite, whose transactions take turns, nobody does.
    """
    if connection.vendor == "postgresql":
        fetch_all("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [word])


@contextlib.contextmanager
def unique_name(row: models.Model, fields: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Turn the database's refusal of a name that another row has into a conflict.

    The name is that of `fields`, which the row is given meanwhile, or that of the row.

    Raises:
        Conflict: a row of this name exists already.
    """
    try:
        yield
    except IntegrityError:
        noun = str(row._meta.verbose_name)
        article = "An" if noun[0].lower() in "aeiou" else "A"
        name = (fields or {}).get("name") or row.name  # type: ignore[attr-defined]
        raise Conflict(f"{article} {noun} named '{name}' exists already.") from None
