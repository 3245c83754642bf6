"""How things look in a terminal (pure): a status is a colour and a word, a history is a tree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from service_integration_client.cli.timeline import (
    BAR,
    CELLS,
    FOLD,
    Scale,
    Span,
    read_time,
    row_of,
    scale_of,
    span_of,
)

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
_STYLE = {word: colour for colour, words in _COLOURS.items() for word in words}
_MARKS = {
    "COMPLETED": "✔", "FAILED": "✘", "RUNNING": "▶", "PENDING": "·", "WAITING": "◷",
    "SKIPPED": "↷", "CANCELLED": "■", "COMPENSATED": "↩", "NEEDS_REVIEW": "?",
}  # fmt: skip


def status(word: Any) -> Text:
    """A status, in its colour."""
    text = str(word or "UNKNOWN")
    return Text(text, style=_STYLE.get(text.upper(), "dim"))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> RenderableType:
    """A plain table; texts are shown as they are."""
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
    """A duration in words short enough for a column."""
    if value is None:
        return "-"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 120:
        return f"{value:.1f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def ago(text: str | None, *, now: datetime | None = None) -> str:
    """How long ago an ISO time was."""
    when = read_time(text)
    if when is None:
        return "-"
    past = ((now or datetime.now(timezone.utc)) - when).total_seconds()
    return f"{seconds(max(past, 0.0))} ago"


def execution(found: dict[str, Any], *, now: datetime | None = None) -> RenderableType:
    """An execution as a tree of its steps with their times, and how it came out."""
    title = Text.assemble(
        (str(found.get("workflow_name") or "execution"), "bold"), " ", status(found.get("status")),
        (f"  {_took(found)}  {found.get('id')}", "dim"),
    )  # fmt: skip
    tree = Tree(title, guide_style="dim")
    steps = list(found.get("steps") or ())
    now = now or datetime.now(timezone.utc)
    scale = scale_of(steps, idle=found.get("idle_steps") or (), now=now)
    labelled = [(step, _label(step), 4 * _depth(step)) for step in steps]
    width = max((len(label) + indent for _, label, indent in labelled), default=0)
    places: dict[str, Tree] = {}
    for step, label, indent in labelled:
        label.pad_right(width - indent - len(label) + 1)
        path = _path(step)
        parent = _parent(places, path) or tree
        places[path] = parent.add(_line(step, label, scale=scale, now=now))
    return Group(tree, *_outcome(found))


def _took(found: dict[str, Any]) -> str:
    whole, active = found.get("execution_time"), found.get("active_time")
    if whole is None or active is None or whole - active < 1:
        return seconds(whole)
    return f"took {seconds(whole)}, active {seconds(active)}"


def _path(step: dict[str, Any]) -> str:
    return str(step.get("path") or step.get("step_id"))


def _depth(step: dict[str, Any]) -> int:
    return _path(step).count("/") // 2


def _parent(places: dict[str, Tree], path: str) -> Tree | None:
    """The node of the PARALLEL or MAP that a step lies in: `each/3/book` lies in `each`."""
    parts = path.split("/")
    return places.get("/".join(parts[:-2])) if len(parts) > 2 else None


def _label(step: dict[str, Any]) -> Text:
    word, path = str(step.get("status")), _path(step)
    attempt = int(step.get("attempt") or 1)
    return Text.assemble(
        (f"{_MARKS.get(word, ' ')} ", _STYLE.get(word, "dim")),
        "/".join(path.split("/")[-2:]) if "/" in path else path,
        (f" ×{attempt}" if attempt > 1 else "", "yellow"), " ", status(word),
    )  # fmt: skip


def _line(step: dict[str, Any], line: Text, *, scale: Scale | None, now: datetime) -> Text:
    word = str(step.get("status"))
    if scale and (span := span_of(step, now=now)):
        line.append_text(_bar(span, scale, style=_STYLE.get(word)))
        taken = (span[1] - span[0]).total_seconds() if step.get("completed_at") else None
        line.append(f" {seconds(taken)}", "dim")
    if said := (step.get("error") or {}).get("message"):
        line.append(f"\n  {said}", "red" if word == "FAILED" else "yellow")
    return line


def _bar(span: Span, scale: Scale, *, style: str | None) -> Text:
    """When a step ran within the execution: the history as a line."""
    left, wide = row_of(span, scale)
    folds = set(scale.folds())
    cells = "".join(FOLD if cell in folds else " " for cell in range(CELLS))
    return Text.assemble(
        (cells[:left], "dim"), (BAR * wide, style or "dim"), (cells[left + wide :], "dim")
    )


def _outcome(found: dict[str, Any]) -> list[Text]:
    lines = []
    for error in found.get("errors") or ():
        where = f"{error.get('step')}: " if error.get("step") else ""
        lines.append(Text(f"{where}{error.get('message')} ({error.get('code')})", style="red"))
    return lines
