"""Cron expressions in a time zone: checked, counted out, said in words (pure).

The reading is that of Debian's cron. Where clocks go forward, a tick at a fixed time that does not
exist comes as soon as it would have; where they go back, one at a fixed time comes once. Ticks of
`*` hours follow the real time in both cases.
"""

from __future__ import annotations

import functools
import zoneinfo
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

from cronsim import CronSim, CronSimError

from core.timetables.rule import read_rule
from core.timetables.ticks import ticks_after
from core.timetables.words import describe, name_months

FIELDS = ("minute", "hour", "day-of-month", "month", "day-of-week")
LONGEST_CRON = 100
# Times outside of these are mistakes, and near the ends of what a date can be.
FIRST_YEAR = 2000
# More ticks than these are not counted one by one.
MOST_TICKS = 10_000


class CronRefused(ValueError):
    """A cron expression or time zone that cannot be used; `field` says which of the two."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


@dataclass(frozen=True, slots=True)
class Timetable:
    """When a schedule is due: made by `read_timetable`. All times are UTC, bounds are inclusive."""

    cron: str
    zone: zoneinfo.ZoneInfo
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the ticks later than a moment, each once, in order."""
        first = moment
        if self.starts_at is not None:
            first = max(moment, self.starts_at - timedelta(microseconds=1))
        for tick in ticks_after(read_rule(self.cron), self.zone, first):
            if self.ends_at is not None and tick > self.ends_at:
                return
            yield tick

    def next(self, moment: datetime) -> datetime | None:
        """Return the first tick later than a moment; None if there is none."""
        return next(self.after(moment), None)

    def upcoming(self, moment: datetime, count: int) -> list[datetime]:
        """Return the first ticks later than a moment."""
        return list(islice(self.after(moment), count))

    def between(self, first: datetime, last: datetime, *, most: int) -> list[datetime]:
        """Return the ticks from `first` to `last`, no more than `most` of them."""
        ticks = self.after(first - timedelta(microseconds=1))
        return list(islice(takewhile(lambda tick: tick <= last, ticks), most))

    def latest(self, first: datetime, last: datetime, *, most: int) -> tuple[list[datetime], int]:
        """Return the latest ticks from `first` to `last`, at most `most`, and the count of all.

        Beyond 10,000 the number is a lower bound.
        """
        count, begin = 0, first
        while True:
            kept: deque[datetime] = deque(maxlen=most)
            seen = 0
            for tick in takewhile(
                lambda tick: tick <= last, self.after(begin - timedelta(microseconds=1))
            ):
                kept.append(tick)
                seen += 1
                if seen > MOST_TICKS:
                    break
            count += seen
            if seen <= MOST_TICKS:
                return list(kept), count
            # Look at the later half only: what is kept are the latest.
            begin = max(kept[-1], begin + (last - begin) / 2)


def read_timetable(
    cron: str,
    timezone: str,
    *,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
) -> Timetable:
    """Return the timetable of a cron expression of five fields.

    Raises:
        CronRefused: the expression or the time zone is not one.
    """
    zone = zone_of(timezone)
    text = " ".join(cron.split())
    _check(text)
    return Timetable(text, zone, starts_at, ends_at)


def in_words(cron: str) -> str:
    """Return what a checked expression says, such as: At 09:00, Monday through Friday."""
    return describe(read_rule(" ".join(cron.split())))


# Reads hundreds of files.
names_of_zones = functools.cache(zoneinfo.available_timezones)


def zone_of(name: str) -> zoneinfo.ZoneInfo:
    """Return the time zone of an IANA name.

    Raises:
        CronRefused: there is none.
    """
    try:
        if name not in names_of_zones():
            raise ValueError
        return zoneinfo.ZoneInfo(name)
    except (ValueError, OSError):
        raise CronRefused(
            "timezone",
            f"'{name[:64]}' is no time zone. Use an IANA name such as UTC or Europe/Berlin.",
        ) from None


def _check(text: str) -> None:
    example = 'Use five fields: minute hour day-of-month month day-of-week, such as "0 9 * * 1-5".'
    if len(text) > LONGEST_CRON:
        raise CronRefused("cron", f"It has more than {LONGEST_CRON} characters.")
    count = len(text.split())
    if count != len(FIELDS):
        raise CronRefused("cron", f"It has {count} field{'' if count == 1 else 's'}. {example}")
    if why := _never(text):
        raise CronRefused("cron", f"No date ever meets it: {why}.")
    try:
        next(CronSim(text, datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)))
    except StopIteration:
        raise CronRefused("cron", "No date ever meets it.") from None
    except CronSimError as error:
        wrong = str(error).removeprefix("Bad ")
        raise CronRefused("cron", f"Its {wrong} cannot be used. {_about(wrong, text)}") from None
    except (AssertionError, ValueError, OverflowError):
        raise CronRefused("cron", f"It cannot be read. {example}") from None


def _never(text: str) -> str:
    """Why an expression is never met though each field can be read: there is no 30 February."""
    minute, hour, day, month, weekday = text.split()
    try:
        months = read_rule(f"{minute} {hour} 1 {month} *").months
        days = read_rule(f"{minute} {hour} {day} * {weekday}").days
    except (CronSimError, AssertionError, ValueError, OverflowError):
        return ""
    try:
        read_rule(text)
    except CronSimError:
        return f"there is no day {min(days)} in {name_months(months)}"
    return ""


_RANGES = {
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day-of-month": "1 to 31, L for the last, or LW for the last weekday",
    "month": "1 to 12 or JAN to DEC",
    "day-of-week": "0 to 7 or SUN to SAT, 1#2 for the second Monday, 5L for the last Friday",
}


def _about(wrong: str, text: str) -> str:
    if wrong not in FIELDS:
        return ""
    part = text.split()[FIELDS.index(wrong)]
    also = "also *, lists, ranges upwards and steps (*/15)"
    return f"It says '{part}'; use {_RANGES[wrong]}; {also}."
