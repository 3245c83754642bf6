"""Hours in which a channel is told only of what is grave, such as "22:00-07:00 MON-FRI" (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
MOST = 20
SHAPE = "Write from and to, and on which days they begin: 22:00-07:00, or 00:00-24:00 SAT,SUN."
_TEXT = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})(?:\s+(\S.*))?")
_MINUTES_OF_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class QuietPeriod:
    """From a minute of the day to another, which is of the next day if it is not later.

    `days` are those on which it begins, 0 for Monday.
    """

    start: int
    end: int
    days: frozenset[int]

    def covers(self, local: datetime) -> bool:
        """Return whether a time, on the clock of its zone, is in it."""
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.start < self.end:
            return day in self.days and self.start <= minute < self.end
        began_today = day in self.days and minute >= self.start
        return began_today or ((day - 1) % 7 in self.days and minute < self.end)

    def __str__(self) -> str:
        days = "" if len(self.days) == 7 else " " + ",".join(DAYS[day] for day in sorted(self.days))
        return f"{_clock(self.start)}-{_clock(self.end)}{days}"


def read_period(text: str) -> QuietPeriod:
    """Return the period that a person wrote.

    Raises:
        ValueError: it is none.
    """
    found = _TEXT.fullmatch(text.strip().upper())
    if found is None:
        raise ValueError(SHAPE)
    start, end = (60 * int(found[at]) + int(found[at + 1]) for at in (1, 3))
    is_clock = int(found[2]) < 60 and int(found[4]) < 60
    if not is_clock or start >= _MINUTES_OF_DAY or end > _MINUTES_OF_DAY:
        raise ValueError("The clock goes from 00:00 to 24:00.")
    if start == end:
        raise ValueError("It has no length: the whole day is 00:00-24:00.")
    return QuietPeriod(start, end, _read_days(found[5] or "MON-SUN"))


def _read_days(text: str) -> frozenset[int]:
    days: set[int] = set()
    for part in filter(None, re.split(r"[,\s]+", text)):
        first, _, last = part.partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            raise ValueError(f"Days are {', '.join(DAYS)}, or from one to another: MON-FRI.")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        days |= {day % 7 for day in range(begin, (end if end >= begin else end + 7) + 1)}
    return frozenset(days)


def is_quiet(texts: Sequence[str], zone: tzinfo, now: datetime) -> bool:
    """Return whether `now` is in one of these periods."""
    local = now.astimezone(zone)
    return any(period.covers(local) for period in _periods(texts))


def _periods(texts: Iterable[str]) -> Iterable[QuietPeriod]:
    return (read_period(text) for text in texts)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
