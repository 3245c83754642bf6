"""Executions per hour as stacked bars (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.safestring import SafeString

from core.admin.charts import StackedBar, draw_bars

HOURS = 24
# Drawn from the bottom up: what went well carries what did not.
OUTCOMES = (
    ("Completed", "good", ("COMPLETED",)),
    ("Failed", "bad", ("FAILED", "NEEDS_REVIEW")),
    ("Cancelled", "neutral", ("CANCELLED",)),
    ("Open", "info", ("PENDING", "RUNNING", "WAITING", "PAUSED", "COMPENSATING")),
)
_OUTCOME_OF = {
    status: index for index, (_, _, statuses) in enumerate(OUTCOMES) for status in statuses
}


@dataclass(frozen=True)
class Hour:
    """The executions of one hour by outcome, in the order of OUTCOMES."""

    start: datetime
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.counts)


def hours_of(counts: Mapping[tuple[datetime, str], int], *, now: datetime) -> list[Hour]:
    """Return the last 24 hours, the current one last; `counts` are by hour and status."""
    starts = starts_of_hours(now)
    table = {start: [0] * len(OUTCOMES) for start in starts}
    for (start, status), count in counts.items():
        if start in table:
            table[start][_OUTCOME_OF[status]] += count
    return [Hour(start, tuple(table[start])) for start in starts]


def starts_of_hours(now: datetime) -> list[datetime]:
    """Return when each of the last 24 hours began, the current one last."""
    current = now.replace(minute=0, second=0, microsecond=0)
    return [current - timedelta(hours=back) for back in range(HOURS - 1, -1, -1)]


def most_of(hours: list[Hour]) -> int:
    """Return the number of executions in the fullest hour."""
    return max([hour.total for hour in hours], default=0)


def draw_hours(hours: list[Hour]) -> SafeString:
    """Draw the bars, scaled to the fullest hour."""
    bars = [StackedBar(f"{hour.start:%H}:00 UTC: {_in_words(hour)}", hour.counts) for hour in hours]
    tones = [tone for _, tone, _ in OUTCOMES]
    words = f"Executions per hour over the last {len(hours)} hours, at most"
    return draw_bars(bars, tones, words=f"{words} {max(most_of(hours), 1)} in one")


def _in_words(hour: Hour) -> str:
    counts = [
        f"{count} {name.lower()}"
        for (name, _tone, _statuses), count in zip(OUTCOMES, hour.counts, strict=True)
        if count
    ]
    return ", ".join(counts) or "nothing ran"


def legend(hours: list[Hour]) -> list[tuple[str, str, int]]:
    """Return each outcome's name, tone and number over all hours."""
    return [
        (name, tone, sum(hour.counts[index] for hour in hours))
        for index, (name, tone, _statuses) in enumerate(OUTCOMES)
    ]
