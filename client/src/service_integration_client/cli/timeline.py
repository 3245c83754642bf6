"""Places the steps of an execution on a line of a terminal (pure).

Where no step ran for long, as before a retry or while a person is waited for, the line is folded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

CELLS = 24
MOST_FOLDS = 6
SHORTEST_FOLD_SECONDS = 1.0
BAR, FOLD = "━", "┄"
Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Scale:
    """The line: it gives a moment its cell, from 0 to `CELLS`; each of `gaps` takes one."""

    begin: datetime
    end: datetime
    gaps: Sequence[Span] = ()

    def cell(self, moment: datetime) -> int:
        """Return the cell before which a moment is, from 0 to `CELLS`."""
        whole = _seconds(self.begin, self.end) - sum(_seconds(*gap) for gap in self.gaps)
        shown, folds = _seconds(self.begin, moment), 0.0
        for began, ended in self.gaps:
            inside = max(_seconds(began, min(moment, ended)), 0.0)
            shown -= inside
            folds += inside / _seconds(began, ended)
        room = CELLS - len(self.gaps)
        exact = room * shown / whole + folds if whole > 0 else folds
        # Half a cell is always rounded up, so that what is beside a fold does not cover it.
        return min(max(int(exact + 0.5), 0), CELLS)

    def folds(self) -> list[int]:
        """Return the cells that stand for a gap."""
        return [min(self.cell(began), CELLS - 1) for began, _ended in self.gaps]


def scale_of(
    steps: Iterable[dict[str, Any]], *, idle: Iterable[str] = (), now: datetime
) -> Scale | None:
    """Return the line from the first start to the last end; None when no step began.

    Steps called `idle` only wait. Those that were taken over from another execution are left out.
    """
    times = [(step.get("step_id"), span) for step in steps if (span := span_of(step, now=now))]
    if not times:
        return None
    begin, end = min(span[0] for _, span in times), max(span[1] for _, span in times)
    waiting = set(idle)
    ran = _merged(span for name, span in times if name not in waiting)
    return Scale(begin, end, _gaps(ran, begin=begin, end=end))


def span_of(step: dict[str, Any], *, now: datetime) -> Span | None:
    """Return when a step ran in this execution, until now while it is open."""
    began = read_time(step.get("started_at"))
    if began is None or step.get("reused"):
        return None
    return began, max(read_time(step.get("completed_at")) or now, began)


def read_time(text: Any) -> datetime | None:
    """Return an ISO time as the API writes it, if there is one."""
    return datetime.fromisoformat(str(text).replace("Z", "+00:00")) if text else None


def row_of(span: Span, scale: Scale) -> tuple[int, int]:
    """Return the first cell of a bar and how many it takes, one at least."""
    left = min(scale.cell(span[0]), CELLS - 1)
    return left, max(1, scale.cell(span[1]) - left)


def _gaps(ran: Sequence[Span], *, begin: datetime, end: datetime) -> list[Span]:
    """Return the longest gaps that take more of the line than all that ran."""
    active = sum(_seconds(*span) for span in ran)
    starts = [*(began for began, _ in ran), end]
    gaps = [(ran[index - 1][1] if index else begin, start) for index, start in enumerate(starts)]
    least = max(active, SHORTEST_FOLD_SECONDS)
    long = [gap for gap in gaps if _seconds(*gap) > least] if active > 0 else []
    return sorted(sorted(long, key=lambda gap: _seconds(*gap))[-MOST_FOLDS:])


def _merged(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for began, ended in sorted(spans):
        if merged and began <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], ended))
        else:
            merged.append((began, ended))
    return merged


def _seconds(began: datetime, ended: datetime) -> float:
    return (ended - began).total_seconds()
