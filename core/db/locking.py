"""Optimistic concurrency: a change that insists on the row being as its caller read it.

The time of the last change is a row's version, so that what changes nothing must not move it.
"""

from __future__ import annotations

from typing import Any

from django.db import models

from core.exceptions import PreconditionFailed
from core.json.equality import json_equal

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


def refuse_if_changed(locked: Any, read: Any, *, only_as_read: bool) -> None:
    """Refuse a change of a row that somebody else changed after it was read.

    `locked` is the row as it is now, `read` as the caller saw it; without `only_as_read` the caller
    does not insist.

    Raises:
        PreconditionFailed: it was changed in between.
    """
    if only_as_read and locked.updated_at != read.updated_at:
        raise PreconditionFailed(
            f"The {locked._meta.verbose_name} '{read.name}' was changed since you read it."
            " Read it again first."
        )
