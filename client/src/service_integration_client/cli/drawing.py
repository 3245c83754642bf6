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
BAR = 24


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
    when = _read(text)
    if when is None:
        return "-"
    past = ((now or datetime.now(timezone.utc)) - when).total_seconds()
    return f"{seconds(max(past, 0.0))} ago"


def _read(text: Any) -> datetime | None:
    return datetime.fromisoformat(str(text).replace("Z", "+00:00")) if text else None


def execution(found: dict[str, Any], *, now: datetime | None = None) -> RenderableType:
    """An execution as a tree of its steps with their times, and how it came out."""
    title = Text.assemble(
        (str(found.get("workflow_name") or "execution"), "bold"), " ", status(found.get("status")),
        (f"  {seconds(found.get('execution_time'))}  {found.get('id')}", "dim"),
    )  # fmt: skip
    tree = Tree(title, guide_style="dim")
    steps = list(found.get("steps") or ())
    begin, length = _span(steps, now or datetime.now(timezone.utc))
    labelled = [(step, _label(step), 4 * _depth(step)) for step in steps]
    width = max((len(label) + indent for _, label, indent in labelled), default=0)
    places: dict[str, Tree] = {}
    for step, label, indent in labelled:
        label.pad_right(width - indent - len(label) + 1)
        path = _path(step)
        parent = _parent(places, path) or tree
        places[path] = parent.add(_line(step, label, begin=begin, length=length))
    return Group(tree, *_outcome(found))


def _path(step: dict[str, Any]) -> str:
    return str(step.get("path") or step.get("step_id"))


def _depth(step: dict[str, Any]) -> int:
    return _path(step).count("/") // 2


def _parent(places: dict[str, Tree], path: str) -> Tree | None:
    """The node of the PARALLEL or MAP that a step lies in: `each/3/book` lies in `each`."""
    parts = path.split("/")
    return places.get("/".join(parts[:-2])) if len(parts) > 2 else None


def _span(steps: list[dict[str, Any]], now: datetime) -> tuple[datetime, float]:
    begins = [when for s in steps if (when := _read(s.get("started_at")))]
    if not begins:
        return now, 0.0
    ends = [_read(s.get("completed_at")) or now for s in steps if s.get("started_at")]
    return min(begins), (max(ends) - min(begins)).total_seconds()


def _label(step: dict[str, Any]) -> Text:
    word, path = str(step.get("status")), _path(step)
    attempt = int(step.get("attempt") or 1)
    return Text.assemble(
        (f"{_MARKS.get(word, ' ')} ", _STYLE.get(word, "dim")),
        "/".join(path.split("/")[-2:]) if "/" in path else path,
        (f" ×{attempt}" if attempt > 1 else "", "yellow"), " ", status(word),
    )  # fmt: skip


def _line(step: dict[str, Any], line: Text, *, begin: datetime, length: float) -> Text:
    word = str(step.get("status"))
    started, ended = _read(step.get("started_at")), _read(step.get("completed_at"))
    if started:
        taken = (ended - started).total_seconds() if ended else None
        line.append_text(_bar(started, taken, begin=begin, length=length, style=_STYLE.get(word)))
        line.append(f" {seconds(taken)}", "dim")
    if said := (step.get("error") or {}).get("message"):
        line.append(f"\n  {said}", "red" if word == "FAILED" else "yellow")
    return line


def _bar(
    started: datetime, taken: float | None, *, begin: datetime, length: float, style: str | None
) -> Text:
    """When a step ran within the execution: the history as a line."""
    if length <= 0:
        return Text("")
    offset = (started - begin).total_seconds()
    left = min(int(offset / length * BAR), BAR - 1)
    wide = max(1, round((taken if taken is not None else length - offset) / length * BAR))
    bar = "━" * min(wide, BAR - left)
    return Text.assemble(
        (" " * left, ""), (bar, style or "dim"), (" " * (BAR - left - len(bar)), "")
    )


def _outcome(found: dict[str, Any]) -> list[Text]:
    lines = []
    for error in found.get("errors") or ():
        where = f"{error.get('step')}: " if error.get("step") else ""
        lines.append(Text(f"{where}{error.get('message')} ({error.get('code')})", style="red"))
    return lines
