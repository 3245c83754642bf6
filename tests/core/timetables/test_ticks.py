"""The ticks after a moment are those of the schedule: they do not depend on where one begins."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from core.timetables import read_timetable

REAL = ["*/15 0-3 * * *", "30 * * * *", "*/30 1-3,23 1-15 * 1-6"]
FIXED = ["30 0,2 * * *", "0,15,45 1,3,23 * * *"]
AROUND = timedelta(hours=30)
MINUTE = timedelta(minutes=1)


def changes(zone: ZoneInfo, first: int, last: int) -> Iterator[datetime]:
    """The instants, to the minute, from which the clocks of a zone show another offset."""
    step = timedelta(days=5)
    moment = datetime(first, 1, 1, tzinfo=UTC)
    while moment.year <= last:
        if offset(zone, moment) != offset(zone, moment + step):
            low, high = moment, moment + step
            while high - low > MINUTE:
                middle = low + (high - low) / 2
                if offset(zone, middle) == offset(zone, moment):
                    low = middle
                else:
                    high = middle
            yield high.replace(second=0, microsecond=0)
        moment += step


def offset(zone: ZoneInfo, moment: datetime) -> timedelta | None:
    return moment.astimezone(zone).utcoffset()


def every_minute(zone: ZoneInfo, change: datetime) -> list[tuple[datetime, datetime]]:
    count = 2 * AROUND // MINUTE
    instants = [change - AROUND + n * MINUTE for n in range(count)]
    return [(instant, instant.astimezone(zone).replace(tzinfo=None)) for instant in instants]


def real_ticks(cron: str, minutes: list[tuple[datetime, datetime]]) -> list[datetime]:
    """All that the wall shows that meets the expression, read by that of plain UTC."""
    walls = sorted({wall for _, wall in minutes})
    plain = read_timetable(cron, "UTC")
    first, last = walls[0].replace(tzinfo=UTC), walls[-1].replace(tzinfo=UTC)
    meets = {tick.replace(tzinfo=None) for tick in plain.between(first, last, most=10_000)}
    return [instant for instant, wall in minutes if wall in meets]


def check(zone: ZoneInfo, change: datetime, crons: list[str]) -> None:
    minutes = every_minute(zone, change)
    for cron in crons:
        table = read_timetable(cron, zone.key)
        whole = table.between(minutes[0][0], minutes[-1][0], most=10_000)
        if cron in REAL:
            assert whole == real_ticks(cron, minutes), (zone.key, change, cron)
        for moment in starts(change, whole):
            expected = [tick for tick in whole if tick > moment][:4]
            assert table.upcoming(moment, 4)[: len(expected)] == expected, (zone.key, cron, moment)


def starts(change: datetime, ticks: list[datetime]) -> list[datetime]:
    hours = (-25, -1, 0, 0.7)
    near = [tick for tick in ticks if abs(tick - change) < timedelta(hours=2)][:1]
    return [*(change + timedelta(hours=h) for h in hours), *near]


def kinds_of_change(first: int, last: int) -> dict[tuple[object, ...], tuple[ZoneInfo, datetime]]:
    """One of each kind of change: by how much, and at what time of the day."""
    found: dict[tuple[object, ...], tuple[ZoneInfo, datetime]] = {}
    for name in sorted(zoneinfo.available_timezones()):
        zone = ZoneInfo(name)
        for change in changes(zone, first, last):
            before = change - MINUTE
            kind = (offset(zone, before), offset(zone, change), before.astimezone(zone).time())
            found.setdefault(kind, (zone, change))
    return found


@pytest.mark.parametrize(
    ("cron", "day", "ticks"),
    [
        # On 2026-10-04 it is 02:30 after 01:59, on 2026-04-05 01:30 after 01:59.
        ("*/15 2 * * *", "2026-10-03T12:00", ["15:30", "15:45"]),
        ("*/15 2 * * *", "2026-04-04T12:00", ["15:30", "15:45", "16:00", "16:15"]),
        ("*/30 1 * * *", "2026-04-04T12:00", ["14:00", "14:30", "15:00"]),
        ("15 2 * * *", "2026-10-03T12:00", ["15:30"]),
    ],
)
def test_half_an_hour_of_lord_howe_loses_no_tick(cron: str, day: str, ticks: list[str]) -> None:
    table = read_timetable(cron, "Australia/Lord_Howe")
    begin = datetime.fromisoformat(day).replace(tzinfo=UTC)
    for hours in range(3):
        found = table.between(begin + timedelta(hours=hours), begin + timedelta(hours=8), most=99)
        assert [f"{tick:%H:%M}" for tick in found] == [
            tick for tick in ticks if int(tick[:2]) >= 12 + hours
        ]


def test_each_kind_of_change_to_come_has_the_same_ticks_from_everywhere() -> None:
    kinds = kinds_of_change(2026, 2028)
    assert len(kinds) > 20
    for zone, change in kinds.values():
        check(zone, change, [*REAL, *FIXED])


def test_a_fixed_time_comes_once_a_day_whatever_the_clocks_do() -> None:
    for zone, change in kinds_of_change(2026, 2028).values():
        first = change - timedelta(days=5)
        ticks = read_timetable("30 2 * * *", zone.key).between(
            first, first + timedelta(days=10), most=99
        )
        days = [tick.astimezone(zone).date() for tick in ticks]
        assert len(set(days)) == len(days) >= 9, (zone.key, change)
        assert days[-1] - days[0] == timedelta(days=len(days) - 1), (zone.key, change)


@pytest.mark.slow
def test_all_changes_of_all_zones_have_the_same_ticks_from_everywhere() -> None:
    seen = set()
    for name in sorted(zoneinfo.available_timezones()):
        zone = ZoneInfo(name)
        found = list(changes(zone, 2000, 2040))
        clocks = tuple((change, offset(zone, change)) for change in found)
        if clocks in seen:
            continue  # another name of a zone that was looked at
        seen.add(clocks)
        for number, change in enumerate(found):
            check(zone, change, [REAL[number % len(REAL)], FIXED[number % len(FIXED)]])
