"""Shows when each attempt at each step ran, as bars on one time line (pure).

Where nothing ran for long, as between a failure and the retry of a person, the line is folded: what
ran keeps its width. So is a wait for a person, an event or a time: its bar is as wide as the fold.

All elements of a MAP and all visits of a step share its row, and all that undoes them another: a
line has no more than two rows for each step of the workflow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from core.admin.formatting import status_word, tone_of
from core.durations import in_words
from workflows.admin.execution.large_executions import Span as ManySpan
from workflows.history.activity import Span, active_seconds, idle_gaps, spans_of
from workflows.models import OPEN_STEP, WorkflowStep

NARROWEST_PERCENT = 0.6
# A gap is folded that takes more of the line than all that ran, so many of them at most.
FOLD_PERCENT = 4.0
SHORTEST_FOLD_SECONDS = 1.0
MOST_FOLDS = 8
SHORTEST_SECONDS = 0.001
MARKS = 4
# Labels nearer to each other than this would be printed over each other.
NEAREST_MARKS_PERCENT = 20.0
AWAITED = {"APPROVAL": "a person", "EVENT": "an event", "WAIT": "a timer"}


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
class Fold:
    """A gap in which nothing ran, drawn as narrow as every other."""

    left: float
    width: float
    words: str


@dataclass(frozen=True)
class Timeline:
    """All rows, what is folded, and the marks below them."""

    rows: list[TimelineRow]
    marks: list[Mark]
    folds: list[Fold] = field(default_factory=list)


@dataclass(frozen=True)
class TimeAxis:
    """Where a moment lies on the line, in percent; `gaps` are folded.

    `waits` are when something was waited for, and what.
    """

    first: datetime
    last: datetime
    gaps: Sequence[Span] = ()
    waits: Sequence[tuple[Span, str]] = ()

    @property
    def shown_seconds(self) -> float:
        """Return how long the line is without what is folded."""
        folded = sum((_seconds(*gap) for gap in self.gaps), 0.0)
        return max(_seconds(self.first, self.last) - folded, SHORTEST_SECONDS)

    def percent(self, moment: datetime) -> float:
        shown, folds = _seconds(self.first, moment), 0.0
        for began, ended in self.gaps:
            if moment <= began:
                break
            inside = _seconds(began, min(moment, ended))
            shown -= inside
            folds += FOLD_PERCENT * inside / _seconds(began, ended)
        room = 100 - FOLD_PERCENT * len(self.gaps)
        return min(max(room * shown / self.shown_seconds + folds, 0), 100)


def _seconds(began: datetime, ended: datetime) -> float:
    return (ended - began).total_seconds()


def timeline_of(
    steps: Iterable[WorkflowStep],
    *,
    start: datetime | None,
    end: datetime,
    spans: Sequence[ManySpan] = (),
    names: Mapping[str, str] | None = None,
    idle: Mapping[str, str] | None = None,
) -> Timeline:
    """Put attempts that began on a line from `start` to `end`, a row per step in order of time.

    `spans` are steps of too many attempts to show each; `names` has what they are called. `idle`
    has the kinds of those steps that are not active while they are open.
    """
    begun = [(step, step.started_at) for step in steps if step.started_at is not None]
    if not begun:
        return Timeline([], [])
    scale = _scale_of(begun, start=start, end=end, spans=spans, idle=idle or {})
    rows: dict[tuple[str, bool], TimelineRow] = {}
    for step, at in begun:
        key = (step.step_id, step.is_compensation)
        row = rows.setdefault(key, TimelineRow(step.title, step.path))
        until = step.completed_at or (scale.last if step.status in OPEN_STEP else at)
        row.bars.append(_bar(step, at, max(until, at), scale))
        row.words = in_words(max(_seconds(at, until), 0))
    for span in spans:
        name = (names or {}).get(span.step_id) or span.step_id
        row = rows[span.step_id, False] = TimelineRow(name, span.step_id, times=span.count)
        until = max(span.ended_at or scale.last, span.begun_at)
        row.bars.append(_span_bar(span, name, until, scale))
        row.words = in_words(_seconds(span.begun_at, until))
    return Timeline(list(rows.values()), _marks(scale), _folds(scale))


def _scale_of(
    begun: Sequence[tuple[WorkflowStep, datetime]],
    *,
    start: datetime | None,
    end: datetime,
    spans: Sequence[ManySpan],
    idle: Mapping[str, str],
) -> TimeAxis:
    first = min([at for _step, at in begun] + ([start] if start else []))
    last = max([step.completed_at or at for step, at in begun] + [end])
    times = [
        *((step.step_id, span) for step, at in begun for span in _ran(step, at, last)),
        *((span.step_id, (span.begun_at, span.ended_at or last)) for span in spans),
    ]
    ran = [span for step_id, span in times if step_id not in idle]
    waits = [(span, AWAITED[idle[name]]) for name, span in times if idle.get(name) in AWAITED]
    return TimeAxis(first, last, _gaps(ran, first=first, last=last), waits)


def _gaps(ran: Sequence[Span], *, first: datetime, last: datetime) -> list[Span]:
    """Return the longest gaps, of a line on which anything ran."""
    active = active_seconds(ran)
    if not active:
        return []
    least = max(active, SHORTEST_FOLD_SECONDS)
    gaps = [gap for gap in idle_gaps(ran, start=first, end=last) if _seconds(*gap) > least]
    return sorted(sorted(gaps, key=lambda gap: _seconds(*gap))[-MOST_FOLDS:])


def _ran(step: WorkflowStep, began: datetime, last: datetime) -> list[Span]:
    until = last if step.status in OPEN_STEP else None
    return spans_of([(began, step.completed_at)], until=until)


def _folds(scale: TimeAxis) -> list[Fold]:
    return [
        Fold(
            round(scale.percent(began), 3),
            FOLD_PERCENT,
            _fold_words(began, ended, scale.waits),
        )
        for began, ended in scale.gaps
    ]


def _fold_words(began: datetime, ended: datetime, waits: Sequence[tuple[Span, str]]) -> str:
    """Return what was waited for during most of a gap, if anything was."""
    shares = [
        (_seconds(max(began, since), min(ended, until)), reason) for (since, until), reason in waits
    ]
    longest, reason = max(shares, default=(0.0, ""))
    if longest > _seconds(began, ended) / 2:
        return f"waited {in_words(longest)} for {reason}"
    return f"nothing ran for {in_words(_seconds(began, ended))}"


def _marks(scale: TimeAxis) -> list[Mark]:
    """Quarters of a line; of one that is folded, when each piece of it begins, and the end.

    A piece too near to the one before, or to the end, has none.
    """
    seconds = max(_seconds(scale.first, scale.last), SHORTEST_SECONDS)
    if not scale.gaps:
        quarters = range(MARKS + 1)
        return [Mark(100 * part / MARKS, in_words(seconds * part / MARKS)) for part in quarters]
    pieces = [scale.first, *(ended for _began, ended in scale.gaps[-MARKS:] if ended < scale.last)]
    marks: list[Mark] = []
    for at in pieces:
        left = round(scale.percent(at), 3)
        before = marks[-1].left if marks else -NEAREST_MARKS_PERCENT
        if before + NEAREST_MARKS_PERCENT <= left <= 100 - NEAREST_MARKS_PERCENT:
            marks.append(Mark(left, in_words(_seconds(scale.first, at))))
    return [*marks, Mark(100, in_words(seconds))]


def _bar(step: WorkflowStep, began: datetime, ended: datetime, scale: TimeAxis) -> Bar:
    left, width = _place(began, ended, scale)
    words = in_words(_seconds(began, ended))
    return Bar(
        left=left,
        width=width,
        tone=tone_of(step.status),
        words=words,
        title=f"{step.title}, attempt {step.attempt}: {status_word(step.status)}, {words}",
    )


def _span_bar(span: ManySpan, name: str, ended: datetime, scale: TimeAxis) -> Bar:
    left, width = _place(span.begun_at, ended, scale)
    words = in_words(_seconds(span.begun_at, ended))
    tone = "info" if span.ended_at is None else "good"
    return Bar(left, width, tone, words, title=f"{name}: {span.count} in {words}")


def _place(began: datetime, ended: datetime, scale: TimeAxis) -> tuple[float, float]:
    """Return where a bar begins and how wide it is, in percent."""
    left = min(scale.percent(began), 100 - NARROWEST_PERCENT)
    width = max(scale.percent(ended) - left, NARROWEST_PERCENT)
    return round(left, 3), round(min(width, 100 - left), 3)
