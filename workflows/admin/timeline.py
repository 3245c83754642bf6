"""When each attempt at each step ran, as bars on one time line (pure).

All elements of a MAP and all visits of a step share its row, and all that undoes them another: a
line has no more than two rows for each step of the workflow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from registry.admin.display import in_words, status_word, tone_of
from workflows.admin.many import Span
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
    # How many attempts one bar stands for.
    times: int = 0

    @property
    def count(self) -> int:
        return self.times or len(self.bars)


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
    steps: Iterable[WorkflowStep],
    *,
    start: datetime | None,
    end: datetime,
    spans: Iterable[Span] = (),
    names: Mapping[str, str] | None = None,
) -> Timeline:
    """Put attempts that began on a line from `start` to `end`, a row per step in order of time.

    `spans` are steps of too many attempts to show each; `names` has what they are called.
    """
    begun = [(step, step.started_at) for step in steps if step.started_at is not None]
    if not begun:
        return Timeline([], [])
    first = min([at for _step, at in begun] + ([start] if start else []))
    last = max([step.completed_at or at for step, at in begun] + [end])
    seconds = max((last - first).total_seconds(), SHORTEST_SECONDS)
    rows: dict[tuple[str, bool], TimelineRow] = {}
    for step, at in begun:
        key = (step.step_id, step.is_compensation)
        row = rows.setdefault(key, TimelineRow(step.title, step.path))
        offset = (at - first).total_seconds()
        until = last if step.status in OPEN_STEP else at
        length = max(((step.completed_at or until) - at).total_seconds(), 0)
        row.bars.append(_bar(step, offset=offset, length=length, seconds=seconds))
        row.words = in_words(length)
    for span in spans:
        name = (names or {}).get(span.step_id) or span.step_id
        row = rows[span.step_id, False] = TimelineRow(name, span.step_id, times=span.count)
        offset = (span.begun_at - first).total_seconds()
        length = max(((span.ended_at or last) - span.begun_at).total_seconds(), 0)
        row.bars.append(_span_bar(span, name, offset, length, seconds))
        row.words = in_words(length)
    marks = [
        Mark(100 * index / MARKS, in_words(seconds * index / MARKS)) for index in range(MARKS + 1)
    ]
    return Timeline(list(rows.values()), marks)


def _bar(step: WorkflowStep, *, offset: float, length: float, seconds: float) -> Bar:
    left, width = _place(offset, length, seconds)
    words = in_words(length)
    return Bar(
        left=left,
        width=width,
        tone=tone_of(step.status),
        words=words,
        title=f"{step.title}, attempt {step.attempt}: {status_word(step.status)}, {words}",
    )


def _span_bar(span: Span, name: str, offset: float, length: float, seconds: float) -> Bar:
    left, width = _place(offset, length, seconds)
    words = in_words(length)
    tone = "info" if span.ended_at is None else "good"
    return Bar(left, width, tone, words, title=f"{name}: {span.count} in {words}")


def _place(offset: float, length: float, seconds: float) -> tuple[float, float]:
    """Where a bar begins and how wide it is, in percent."""
    left = min(100 * offset / seconds, 100 - NARROWEST_PERCENT)
    width = max(100 * length / seconds, NARROWEST_PERCENT)
    return round(left, 3), round(min(width, 100 - left), 3)
