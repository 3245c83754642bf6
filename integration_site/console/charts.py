"""Executions per hour as stacked bars, drawn on the server (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

HOURS = 24
HEIGHT = 120
BAR_WIDTH = 20
BAR_GAP = 6
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
    """Draw the bars, scaled to the fullest hour; they stretch with the page, so without text."""
    most = max(most_of(hours), 1)
    width = len(hours) * (BAR_WIDTH + BAR_GAP)
    bars = ((_bar(hour, index, most),) for index, hour in enumerate(hours))
    return format_html(
        '<svg class="hub-bars" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img"'
        ' aria-label="Executions per hour over the last {} hours, at most {} in one">{}</svg>',
        width,
        HEIGHT,
        len(hours),
        most,
        format_html_join("", "{}", bars),
    )


def _bar(hour: Hour, index: int, most: int) -> SafeString:
    x = index * (BAR_WIDTH + BAR_GAP) + BAR_GAP / 2
    parts, y = [], float(HEIGHT)
    for (_, tone, _statuses), count in zip(OUTCOMES, hour.counts, strict=True):
        if count:
            height = max(count / most * HEIGHT, 1.5)
            y -= height
            parts.append((tone, f"{x:.1f}", f"{y:.1f}", BAR_WIDTH, f"{height:.1f}"))
    return format_html(
        '<g><title>{}</title><rect class="hub-hit" x="{}" y="0" width="{}" height="{}"/>{}</g>',
        f"{hour.start:%H}:00 UTC: {_in_words(hour)}",
        f"{x - BAR_GAP / 2:.1f}",
        BAR_WIDTH + BAR_GAP,
        HEIGHT,
        format_html_join(
            "",
            '<rect class="hub-fill" data-tone="{}" x="{}" y="{}" width="{}" height="{}"/>',
            parts,
        ),
    )


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
