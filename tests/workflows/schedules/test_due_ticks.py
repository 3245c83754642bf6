"""Cron expressions, missed ticks and overlap, without a database."""

from datetime import UTC, datetime, timedelta

import pytest

from core.timetables import CronRefused, in_words, read_timetable
from workflows.schedules import Doing, ScheduleActivity, may_work_off, on_tick, sort_due

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def shown(ticks):
    return [f"{tick:%d %H:%M}" for tick in ticks]


@pytest.mark.parametrize(
    ("cron", "timezone", "field", "words"),
    [
        ("* * * *", "UTC", "cron", "It has 4 fields"),
        ("* * * * * *", "UTC", "cron", "It has 6 fields"),
        ("61 * * * *", "UTC", "cron", "Its minute cannot be used. It says '61'; use 0 to 59"),
        ("0 0 30 2 *", "UTC", "cron", "there is no day 30 in February"),
        ("0 9 * * MON#6", "UTC", "cron", "Its day-of-week cannot be used"),
        ("@daily", "UTC", "cron", 'such as "0 9 * * 1-5"'),
        ("0 " * 60, "UTC", "cron", "more than 100 characters"),
        ("0 9 * * *", "Mars/Base", "timezone", "'Mars/Base' is no time zone"),
        ("0 9 * * *", "../etc/passwd", "timezone", "is no time zone"),
        ("0 9 * * *", "", "timezone", "is no time zone"),
    ],
)
def test_what_is_wrong_is_said(cron, timezone, field, words):
    with pytest.raises(CronRefused) as refused:
        read_timetable(cron, timezone)
    assert refused.value.field == field
    assert words in str(refused.value)


def test_an_expression_is_said_in_words():
    assert in_words("0 9 * * 1-5") == "At 09:00 on Monday through Friday"


def test_ticks_are_those_of_the_time_zone():
    table = read_timetable("0 9 * * *", "America/New_York")
    assert shown(table.upcoming(NOON, 2)) == ["01 13:00", "02 13:00"]


def test_a_time_that_does_not_exist_comes_as_soon_as_it_would_have():
    table = read_timetable("0,30 2 * * *", "Europe/Berlin")
    ticks = table.upcoming(at("2026-03-28T12:00"), 3)
    assert shown(ticks) == ["29 01:00", "30 00:00", "30 00:30"]


def test_a_doubled_hour_runs_fixed_times_once_and_every_hour_twice():
    fixed = read_timetable("30 2 * * *", "Europe/Berlin")
    assert shown(fixed.upcoming(at("2026-10-24T12:00"), 2)) == ["25 00:30", "26 01:30"]
    # Asked in the second of the two hours, it does not go back.
    assert shown(fixed.upcoming(at("2026-10-25T01:10"), 1)) == ["26 01:30"]
    hourly = read_timetable("30 * * * *", "Europe/Berlin")
    ticks = hourly.upcoming(at("2026-10-24T23:45"), 3)
    assert shown(ticks) == ["25 00:30", "25 01:30", "25 02:30"]


def test_the_bounds_of_a_schedule_are_part_of_it():
    table = read_timetable("0 * * * *", "UTC", starts_at=NOON, ends_at=NOON + timedelta(hours=1))
    assert shown(table.upcoming(at("2026-05-01T00:00"), 5)) == ["01 12:00", "01 13:00"]
    assert table.next(NOON + timedelta(hours=1)) is None


def test_the_latest_of_a_year_of_minutes_are_found_without_counting_all():
    table = read_timetable("* * * * *", "UTC")
    ticks, count = table.latest(NOON - timedelta(days=365), NOON, most=3)
    assert shown(ticks) == ["01 11:58", "01 11:59", "01 12:00"]
    assert count > 10_000


def due(policy, *, minutes, limit=10, cron="* * * * *"):
    since = NOON - timedelta(minutes=minutes)
    table = read_timetable(cron, "UTC")
    return sort_due(table, since, now=NOON + timedelta(seconds=1), policy=policy, limit=limit)


def test_a_tick_just_due_is_on_time_whatever_the_policy():
    for policy in ("NONE", "LAST", "ALL"):
        found = due(policy, minutes=0)
        assert (shown(found.on_time), found.missed, found.left_out) == (["01 12:00"], (), None)
        assert shown([found.next]) == ["01 12:01"]


def test_missed_ticks_are_left_out_made_up_for_once_or_all():
    hourly = "0 * * * *"
    none, last, every = (due(p, minutes=180, cron="30 * * * *") for p in ("NONE", "LAST", "ALL"))
    assert (none.missed, shown([none.left_out[0]])) == ([], ["01 11:30"])
    assert "3 ticks were missed since 2026-06-01 09:00" in none.left_out[1]
    assert shown(last.missed) == ["01 11:30"]
    assert shown([last.left_out[0]]) == ["01 10:30"]
    assert (shown(every.missed), every.left_out) == (["01 09:30", "01 10:30", "01 11:30"], None)
    # A tick that is on time is the last one.
    on_time = due("LAST", minutes=180, cron=hourly)
    assert (shown(on_time.on_time), on_time.missed) == (["01 12:00"], [])


def test_catching_up_is_bounded_and_takes_the_latest():
    found = due("ALL", minutes=600, limit=2, cron="30 * * * *")
    assert shown(found.missed) == ["01 10:30", "01 11:30"]
    assert "8 ticks were missed" in found.left_out[1]


IDLE, BUSY = ScheduleActivity(), ScheduleActivity(ticks=("x",))
BACKLOG, WAITING = ScheduleActivity(backlog=("x",)), ScheduleActivity(ticks=("x",), queued=1)


@pytest.mark.parametrize(
    ("policy", "standing", "doing"),
    [
        ("SKIP", IDLE, Doing.START),
        ("SKIP", BUSY, Doing.SKIP),
        ("SKIP", BACKLOG, Doing.QUEUE),
        ("QUEUE", BUSY, Doing.QUEUE),
        ("QUEUE", WAITING, Doing.SKIP),
        ("CANCEL_RUNNING", BUSY, Doing.CANCEL_AND_START),
        ("CANCEL_RUNNING", BACKLOG, Doing.QUEUE),
        ("ALLOW", WAITING, Doing.START),
    ],
)
def test_what_a_tick_does(policy, standing, doing):
    assert on_tick(policy, standing)[0] is doing


def test_the_backlog_goes_on_when_nothing_else_does():
    assert [may_work_off("SKIP", s) for s in (IDLE, BUSY, BACKLOG, WAITING)] == [1, 0, 0, 0]
    assert may_work_off("ALLOW", ScheduleActivity(backlog=("x",) * 4)) == 6
