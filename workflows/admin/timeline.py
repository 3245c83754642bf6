"""When each attempt at each step ran, as bars on one time line (pure).

All elements of a MAP and all visits of a step share its row: a line has no more rows than the
workflow has steps.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from registry.admin.display import in_words, status_word, tone_of
from workflows.models import OPEN_STEP, WorkflowStep

NARROWEST_PERCENT = 0.6
SHORTEST_SECONDS = 0.001
MARKS = 4


@dataclass(frozen=True)
class Bar:
    """One attempt: where it begins and how long it is, in percent of the line."""

    left: float
    width: float
    tone: str
    words: str
    title: str


@dataclass
class TimelineRow:
    """One step with its attempts, and what to say of how long they took."""

    name: str
    path: str
    bars: list[Bar] = field(default_factory=list)
    words: str = ""


@dataclass(frozen=True)
class Mark:
    """A moment on the line."""

    left: float
    words: str


@dataclass(frozen=True)
class Timeline:
    """All rows and the marks below them."""

    rows: list[TimelineRow]
    marks: list[Mark]


def timeline_of(
    steps: Iterable[WorkflowStep], *, start: datetime | None, end: datetime
) -> Timeline:
    """Put attempts that began on a line from `start` to `end`, a row per step in order of time."""
    begun = [(step, step.started_at) for step in steps if step.started_at is not None]
    if not begun:
        return Timeline([], [])
    first = min([at for _step, at in begun] + ([start] if start else []))
    last = max([step.completed_at or at for step, at in begun] + [end])
    seconds = max((last - first).total_seconds(), SHORTEST_SECONDS)
    rows: dict[str, TimelineRow] = {}
    for step, at in begun:
        row = rows.setdefault(step.step_id, TimelineRow(step.name or step.step_id, step.path))
        offset = (at - first).total_seconds()
        until = last if step.status in OPEN_STEP else at
        length = max(((step.completed_at or until) - at).total_seconds(), 0)
        row.bars.append(_bar(step, offset=offset, length=length, seconds=seconds))
        row.words = in_words(length)
    marks = [
        Mark(100 * index / MARKS, in_words(seconds * index / MARKS)) for index in range(MARKS + 1)
    ]
    return Timeline(list(rows.values()), marks)


def _bar(step: WorkflowStep, *, offset: float, length: float, seconds: float) -> Bar:
    left = min(100 * offset / seconds, 100 - NARROWEST_PERCENT)
    width = max(100 * length / seconds, NARROWEST_PERCENT)
    words = in_words(length)
    return Bar(
        left=round(left, 3),
        width=round(min(width, 100 - left), 3),
        tone=tone_of(step.status),
        words=words,
        title=f"{step.name or step.step_id}, attempt {step.attempt}: "
        f"{status_word(step.status)}, {words}",
    )
