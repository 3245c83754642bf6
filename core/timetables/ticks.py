"""Finds the instants at which a rule is met in a time zone (pure).

They are a property of the rule and the zone alone: where one begins to look changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from core.timetables.rule import Rule

_DAY, _MINUTE = timedelta(days=1), timedelta(minutes=1)
# So long a piece of time is looked at at once: the clock is put on at most once within it.
_PIECE = timedelta(hours=6)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def ticks_after(rule: Rule, zone: ZoneInfo, moment: datetime) -> Iterator[datetime]:
    """Yield the ticks later than a moment, in order and each once, in UTC."""
    instants = (
        _fixed_times(rule, zone, moment) if rule.is_fixed else _real_times(rule, zone, moment)
    )
    latest = moment
    for tick in instants:
        if tick > latest:  # times that do not exist may fall together
            latest = tick
            yield tick


def _fixed_times(rule: Rule, zone: ZoneInfo, moment: datetime) -> Iterator[datetime]:
    """Yield each time of a day once: the first of two; a missing one as soon as it would have been.

    A whole day may not exist, so that its ticks come with the next one.
    """
    first = moment.astimezone(zone).date() - 2 * _DAY
    for day in rule.dates(first):
        for hour in rule.hours:
            for minute in rule.minutes:
                yield _first_instant(datetime.combine(day, time(hour, minute)), zone)


def _first_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    instant = wall.replace(tzinfo=zone).astimezone(UTC)
    while instant.astimezone(zone).replace(tzinfo=None) != wall:
        wall += _MINUTE
        instant = wall.replace(tzinfo=zone).astimezone(UTC)
    return instant


def _real_times(rule: Rule, zone: ZoneInfo, moment: datetime) -> Iterator[datetime]:
    """Yield every instant whose time on the wall meets the rule: none, one or two of each."""
    piece = moment - (moment - _EPOCH) % _PIECE
    for day in rule.dates(moment.astimezone(zone).date() - _DAY):
        # No clock is more than a day ahead of UTC or behind.
        begins = datetime.combine(day, time(), tzinfo=UTC) - _DAY
        piece = max(piece, begins - (begins - _EPOCH) % _PIECE)
        while piece < begins + 3 * _DAY:
            yield from _in_piece(rule, zone, piece)
            piece += _PIECE


def _in_piece(rule: Rule, zone: ZoneInfo, piece: datetime) -> Iterator[datetime]:
    first, last = piece.astimezone(zone), (piece + _PIECE - _MINUTE).astimezone(zone)
    if first.utcoffset() == last.utcoffset():
        yield from _on_one_clock(rule, first, last)
        return
    for number in range(_PIECE // _MINUTE):
        instant = piece + number * _MINUTE
        wall = instant.astimezone(zone)
        if wall.minute in rule.minutes and wall.hour in rule.hours and rule.meets(wall.date()):
            yield instant


def _on_one_clock(rule: Rule, first: datetime, last: datetime) -> Iterator[datetime]:
    """Yield the ticks between two times of a clock that is not put on between them."""
    begin = first.replace(tzinfo=None)
    offset = first.astimezone(UTC).replace(tzinfo=None) - begin
    end, hour = last.replace(tzinfo=None), begin.replace(minute=0)
    days: dict[date, bool] = {}
    while hour <= end:
        day = hour.date()
        if hour.hour in rule.hours and days.setdefault(day, rule.meets(day)):
            for minute in rule.minutes:
                wall = hour.replace(minute=minute)
                if begin <= wall <= end:
                    yield (wall + offset).replace(tzinfo=UTC)
        hour += timedelta(hours=1)
