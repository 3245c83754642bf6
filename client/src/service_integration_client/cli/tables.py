"""Draws values, resources and lists in a terminal (pure): a status is a colour and a word."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Union

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from service_integration_client.cli.timeline import read_time

# The cell of a column: a field of the row, or what a function makes of the row.
Columns = Mapping[str, Union[str, Callable[[dict[str, Any]], Any]]]
Render = Callable[[Any], RenderableType]

_COLOURS = {
    "green": (
        "ONLINE", "COMPLETED", "ACTIVE", "CLOSED", "OK", "HEALTHY", "CONNECTED", "USABLE",
        "ACCEPTED", "RESOLVED",
    ),
    "yellow": (
        "DEGRADED", "WAITING", "PAUSED", "HALF_OPEN", "MAINTENANCE", "NEEDS_REVIEW",
        "COMPENSATING", "DISABLED", "DRAFT", "EXPIRING", "ACKNOWLEDGED",
    ),
    "red": (
        "OFFLINE", "FAILED", "OPEN", "FORCED_OPEN", "ERROR", "UNHEALTHY", "EXPIRED", "UNREADABLE",
        "NO_SECRET", "REFUSED",
    ),
    "cyan": ("RUNNING", "PENDING"),
}  # fmt: skip
STYLES = {word: colour for colour, words in _COLOURS.items() for word in words}


def status(word: Any) -> Text:
    """Return a status, in its colour."""
    text = str(word or "UNKNOWN")
    return Text(text, style=STYLES.get(text.upper(), "dim"))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> RenderableType:
    """Return a plain table; texts are shown as they are."""
    drawn = Table(box=None, pad_edge=False, header_style="bold", show_header=any(columns))
    count = 0
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*(c if isinstance(c, Text) else escape(_plain(c)) for c in row))
        count += 1
    return drawn if count else Text("None.", style="dim")


def _plain(value: Any) -> str:
    if value is None:
        return "-"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def seconds(value: float | None) -> str:
    """Return a duration in words short enough for a column."""
    if value is None:
        return "-"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 120:
        return f"{value:.1f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def ago(text: str | None, *, now: datetime | None = None) -> str:
    """Return how long ago an ISO time was."""
    when = read_time(text)
    if when is None:
        return "-"
    past = ((now or datetime.now(timezone.utc)) - when).total_seconds()
    return f"{seconds(max(past, 0.0))} ago"


def status_of(field: str = "status") -> Callable[[dict[str, Any]], Any]:
    """Return a column with a status in its colour."""
    return lambda row: status(row.get(field))


def age_of(field: str) -> Callable[[dict[str, Any]], Any]:
    """Return a column with how long ago something was."""
    return lambda row: ago(row.get(field))


def rows_as(columns: Columns) -> Render:
    """Return what draws a list as a table of these columns."""

    def cell(row: dict[str, Any], column: Any) -> Any:
        return column(row) if callable(column) else row.get(column)

    return lambda rows: table(
        tuple(columns), ([cell(row, column) for column in columns.values()] for row in rows)
    )


def fields_of(resource: dict[str, Any]) -> RenderableType:
    """Return a resource, field by field; what is empty is left out."""
    rows = (
        (name, status(value) if name in ("status", "state") else _as_text(value))
        for name, value in resource.items()
        if value not in (None, "", [], {})
    )
    return table((str(resource.get("name") or resource.get("id") or ""), ""), rows)


def _as_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)
