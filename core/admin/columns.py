"""Columns of lists and read-only fields of pages, each declared in a line.

    seen = moment_column("Seen", "seen_at", ordering="seen_at")

`field` is an attribute of the row, or a path of them such as `workflow.name`.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from unfold.decorators import display

from core.admin.formatting import NOTHING, duration, json_block, moment, status_badge

Column = Callable[[Any, Any], str]


def column(description: str, show: Callable[[Any], str], *, ordering: str | None = None) -> Column:
    """Return a column that shows of a row what `show` makes of it."""

    @display(description=description, ordering=ordering)
    def cell(admin: Any, row: Any) -> str:
        return show(row)

    return cell


def text_column(
    description: str, field: str, *, empty: str = NOTHING, ordering: str | None = None
) -> Column:
    """Return a column of a text, with other words where it is empty."""
    read = attrgetter(field)
    return column(description, lambda row: read(row) or empty, ordering=ordering)


def moment_column(
    description: str, field: str, *, empty: str = NOTHING, ordering: str | None = None
) -> Column:
    """Return a column of a time, with other words where it has not come."""
    read = attrgetter(field)
    return column(
        description, lambda row: moment(read(row)) if read(row) else empty, ordering=ordering
    )


def duration_column(description: str = "Took") -> Column:
    """Return a column of how long something took that has `started_at` and `completed_at`."""
    return column(description, lambda row: duration(row.started_at, row.completed_at))


def status_column(description: str, field: str, *, ordering: str | None = None) -> Column:
    """Return a column of a status, as a colour and a word."""
    read = attrgetter(field)
    return column(description, lambda row: status_badge(read(row)), ordering=ordering)


def json_column(description: str, field: str) -> Column:
    """Return a column of JSON, readable on the page of a row."""
    read = attrgetter(field)
    return column(description, lambda row: json_block(read(row)))
