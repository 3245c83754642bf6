"""Reads a cron expression into sets of minutes, hours and days (pure)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from cronsim import CronSim

LAST_YEAR = 2199
EVERY_MINUTE, EVERY_HOUR = tuple(range(60)), tuple(range(24))
EVERY_DAY, EVERY_MONTH, EVERY_WEEKDAY = range(1, 32), range(1, 13), range(7)
LAST, LAST_WEEKDAY = CronSim.LAST, CronSim.LAST_WEEKDAY


@dataclass(frozen=True, slots=True)
class Rule:
    """An expression of five fields that has been checked.

    `days` holds LAST and LAST_WEEKDAY beside the days of a month, `weekdays` pairs with a number,
    or LAST, beside plain ones; Sunday is 0. `needs_both` says whether a date has to meet both, as
    Debian's cron reads it: where one of the fields begins with `*`.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int | tuple[int, int]]
    needs_both: bool
    # At fixed times of the day, and not at all real times that look like this.
    is_fixed: bool
    parsed: CronSim

    def meets(self, day: date) -> bool:
        """Return whether there are ticks on a date."""
        return day.month in self.months and self.parsed.match_day(day)

    def dates(self, first: date) -> Iterator[date]:
        """Yield the dates with ticks from `first` on."""
        day = first
        while day.year <= LAST_YEAR:
            if day.month not in self.months:
                day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
                continue
            if self.parsed.match_day(day):
                yield day
            day += timedelta(days=1)


@lru_cache(maxsize=1000)
def read_rule(cron: str) -> Rule:
    """Return the rule of an expression.

    Raises:
        CronSimError, ValueError, AssertionError: it cannot be read.
    """
    parsed = CronSim(cron, datetime(2000, 1, 1, tzinfo=UTC))
    minute, hour, *_ = cron.split()
    return Rule(
        minutes=tuple(sorted(parsed.minutes)),
        hours=tuple(sorted(parsed.hours)),
        days=frozenset(parsed.days),
        months=frozenset(parsed.months),
        weekdays=frozenset(map(_from_sunday, parsed.weekdays)),
        needs_both=parsed.day_and,
        is_fixed=not minute.startswith("*") and not hour.startswith("*"),
        parsed=parsed,
    )


def _from_sunday(item: int | tuple[int, int]) -> int | tuple[int, int]:
    return (item[0] % 7, item[1]) if isinstance(item, tuple) else item % 7
