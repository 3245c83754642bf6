"""Days as bars, each a colour and words, drawn on the server (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from html import escape

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from core.durations import in_words
from registry.policies.uptime import MaintenancePolicy, Parts

DAYS = 90
WIDTH, GAP, HEIGHT = 6, 2, 32
# Less than that is a bad day, and not one with a hitch.
GOOD_DAY = 99.0
# A page has thousands: put together at once, and not by `format_html` one by one.
_RECT = (
    f'<rect class="hub-fill" data-tone="%s" x="%d" y="0" width="{WIDTH}" height="{HEIGHT}" rx="1">'
    "<title>%s</title></rect>"
)


@dataclass(frozen=True, slots=True)
class DayBar:
    """A day: its tone, and what is said of it."""

    day: datetime
    tone: str
    words: str


def first_day(now: datetime, days: int = DAYS) -> datetime:
    """Return the beginning of the first of so many days (UTC), of which today is the last."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days - 1)


def bars_of(
    parts: Mapping[datetime, Parts],
    *,
    now: datetime,
    days: int = DAYS,
    policy: str = MaintenancePolicy.EXCLUDE,
) -> list[DayBar]:
    """Return a bar for each day, the oldest first; one of which nothing is known says so."""
    first = first_day(now, days)
    return [
        _bar(day, parts.get(day, Parts()), policy)
        for day in (first + timedelta(days=number) for number in range(days))
    ]


@lru_cache(maxsize=4 * DAYS)
def _words_of(day: datetime) -> str:
    return f"{day.day} {day:%B %Y}"


def _bar(day: datetime, parts: Parts, policy: str) -> DayBar:
    percent, (_, down) = parts.percent(policy), parts.counted(policy)
    date = _words_of(day)
    if percent is None:
        tone, words = ("info", "maintenance") if parts.maintenance else ("none", "no data")
        return DayBar(day, tone, f"{date}: {words}")
    tone = "good" if not down else "warning" if percent >= GOOD_DAY else "bad"
    said = [f"{percent:g} % up", *([f"down for {in_words(down)}"] if down else [])]
    if parts.maintenance:
        said.append(f"maintenance for {in_words(parts.maintenance)}")
    if parts.unknown >= 60 and parts.coverage < 99:
        said.append(f"not observed for {in_words(parts.unknown)}")
    return DayBar(day, tone, f"{date}: {', '.join(said)}")


def draw_days(bars: Sequence[DayBar], *, what: str) -> SafeString:
    """Draw the bars; who cannot see them is told how many days were which."""
    troubled = sum(bar.tone in ("warning", "bad") for bar in bars)
    known = sum(bar.tone != "none" for bar in bars)
    label = f"{what}: of {len(bars)} days {known} are known, {troubled} of them with downtime"
    drawn = "".join(
        _RECT % (bar.tone, index * (WIDTH + GAP), escape(bar.words))
        for index, bar in enumerate(bars)
    )
    return format_html(
        '<svg class="hub-days" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img"'
        ' aria-label="{}">{}</svg>',
        len(bars) * (WIDTH + GAP) - GAP,
        HEIGHT,
        label,
        mark_safe(drawn),  # noqa: S308 (tones and numbers are ours, words are escaped)
    )
