"""What an expression is said to do is what its ticks do.

The words are read back here, by rules of their own, into the minutes and days that they promise.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest

from core.timetables import CronRefused, in_words, read_timetable

ROOT = Path(__file__).resolve().parents[3]
WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = [f"{date(2000, month, 1):%B}" for month in range(1, 13)]
NTH = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5}
ANY = re.compile(r"(?P<times>.+?)(?P<days> every day| on .+?)??(?P<months> in [A-Z].+)?", re.ASCII)
Times = set[tuple[int, int]]
Meets = Callable[[date], bool]


def read_words(words: str) -> tuple[Times, Meets]:
    """The times of a day, and the dates, that a sentence promises."""
    found = ANY.fullmatch(words)
    assert found, words
    months = (
        values(found["months"].removeprefix(" in "), MONTHS) if found["months"] else [*range(12)]
    )
    days = read_days(found["days"] or " every day")
    return read_times(found["times"]), lambda day: day.month - 1 in months and days(day)


def items(text: str) -> list[str]:
    return re.split(r", | and ", text)


def values(text: str, names: list[str] | None = None) -> list[int]:
    found: list[int] = []
    for item in items(text):
        first, _, last = item.partition(" through ")
        begin, end = (names.index(x) if names else int(x) for x in (first, last or first))
        assert begin <= end
        found += range(begin, end + 1)
    return found


def number(ordinal: str) -> int:
    return {"second": 2, "third": 3}.get(ordinal) or int(ordinal.removesuffix("th"))


def read_times(text: str) -> Times:
    if re.match(r"At \d\d:", text):
        return {(int(t[:2]), int(t[3:])) for t in items(text.removeprefix("At "))}
    if found := re.fullmatch(r"Every (?:(\d+) )?hours?", text):
        return {(h, 0) for h in range(0, 24, int(found[1] or 1))}
    found = re.fullmatch(
        r"(?:Every minute|Every (?P<step>\d+) minutes|At minutes? (?P<listed>.+?))"
        r"(?: of every hour| of every (?P<nth>\w+) hour from 00| of hours? (?P<hours>.+)"
        r"| from (?P<from>\d\d:\d\d) through (?P<to>\d\d:\d\d))?",
        text,
    )
    assert found, text
    minutes = values(found["listed"]) if found["listed"] else range(0, 60, int(found["step"] or 1))
    hours = (
        values(found["hours"]) if found["hours"] else range(0, 24, number(found["nth"] or "1th"))
    )
    times = {(hour, minute) for hour in hours for minute in minutes}
    if found["from"]:
        bounds = [(int(t[:2]), int(t[3:])) for t in (found["from"], found["to"])]
        return {each for each in times if bounds[0] <= each <= bounds[1]}
    return times


def read_days(text: str) -> Meets:
    text = text.removeprefix(" on ").strip()
    if text == "every day":
        return lambda day: True
    if " where that is " in text:
        of_week, of_month = (read_days(part) for part in text.split(" where that is "))
        return lambda day: of_week(day) and of_month(day)
    if " and also on " in text:
        first, second = (read_days(part) for part in text.split(" and also on "))
        return lambda day: first(day) or second(day)
    if re.match(r"days? \d|every \w+ day from|the last (week)?day", text):
        return read_days_of_month(text)
    return read_days_of_week(text)


def read_days_of_month(text: str) -> Meets:
    text = text.removesuffix(" of the month")
    parts = re.split(r"(?:^|, | and )(?=the last )", text)
    tests: list[Meets] = []
    for part in filter(None, parts):
        if part == "the last day":
            tests.append(lambda day: (day + timedelta(days=1)).day == 1)
        elif part == "the last weekday":
            tests.append(is_last_weekday)
        elif found := re.fullmatch(r"every (\w+) day from day 1", part):
            tests.append(is_one_of(range(1, 32, number(found[1]))))
        else:
            tests.append(is_one_of(values(re.sub(r"^days? ", "", part))))
    return lambda day: any(test(day) for test in tests)


def is_one_of(days: Sequence[int]) -> Meets:
    return lambda day: day.day in days


def is_last_weekday(day: date) -> bool:
    rest = [day + timedelta(days=n) for n in range(1, 4)]
    later = [each for each in rest if each.month == day.month and each.weekday() < 5]
    return day.weekday() < 5 and not later and (day + timedelta(days=3)).month != day.month


def read_days_of_week(text: str) -> Meets:
    plain, counted = [], []
    for item in items(text):
        if found := re.fullmatch(r"the (\w+) (\w+) of the month", item):
            counted.append((NTH.get(found[1], 0), WEEKDAYS.index(found[2])))
        else:
            plain += values(item, WEEKDAYS)

    def meets(day: date) -> bool:
        nth = ((day.day - 1) // 7 + 1, day.weekday())
        last = (day + timedelta(days=7)).month != day.month
        return day.weekday() in plain or nth in counted or (last and (0, day.weekday()) in counted)

    return meets


# --- Compared with the ticks ---


def check(cron: str) -> None:
    times, meets = read_words(in_words(cron))
    start = datetime(2027, 1, 1, tzinfo=UTC) - timedelta(seconds=1)
    _minute, _hour, *of_day = cron.split()
    daily = read_timetable(" ".join(("0", "0", *of_day)), "UTC")
    days = (start.date() + timedelta(days=n) for n in range(1, 3 * 365 + 1))
    promised = list(islice(filter(meets, days), 60))
    ticks = daily.between(start, start + timedelta(days=3 * 365), most=60)
    assert [tick.date() for tick in ticks] == promised, cron
    begin = (daily.next(start) or start) - timedelta(seconds=1)
    ticks = read_timetable(cron, "UTC").between(begin, begin + timedelta(days=1), most=2000)
    assert {(tick.hour, tick.minute) for tick in ticks} == times, cron


def generated(count: int) -> list[str]:
    random_ = random.Random(20261129)
    return [" ".join(term(random_, name) for name in LIMITS) for _ in range(count)]


LIMITS = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "weekday": (0, 7)}


def term(random_: random.Random, name: str) -> str:
    least, most = LIMITS[name]
    kinds: list[Callable[[], str]] = [
        lambda: "*",
        lambda: "*",
        lambda: f"*/{random_.randint(1, 12)}",
        lambda: str(random_.randint(least, most)),
        lambda: ",".join(str(random_.randint(least, most)) for _ in range(random_.randint(2, 4))),
        lambda: "{}-{}".format(*sorted(random_.sample(range(least, most + 1), 2))),
        lambda: f"{least}-{most}",
        lambda: "{}-{}/{}".format(
            *sorted(random_.sample(range(least, most + 1), 2)), random_.randint(2, 5)
        ),
        lambda: f"{random_.randint(least, most)},{least}-{least + 2}",
    ]
    if name == "day":
        kinds += [
            lambda: "L",
            lambda: "LW",
            lambda: f"{random_.randint(1, 31)},L",
            lambda: "1-30,L",
        ]
    if name == "weekday":
        kinds += [
            lambda: f"{random_.choice(['MON', 'SUN', '7', '3'])}#{random_.randint(1, 5)}",
            lambda: f"{random_.randint(0, 6)}L",
            lambda: f"{random_.randint(0, 6)}L,TUE#2,5",
            lambda: "MON-FRI",
            lambda: "6-7",
        ]
    if name == "month":
        kinds += [lambda: "JAN,MAR-MAY"]
    return random_.choice(kinds)()


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 0 1-31 * MON", "At 00:00 every day"),
        ("0 0 15 * 0-7", "At 00:00 every day"),
        ("0 9 * * 1-5", "At 09:00 on Monday through Friday"),
        ("0 0 1,15 * MON", "At 00:00 on days 1 and 15 of the month and also on Monday"),
        (
            "0 0 */2 * MON",
            "At 00:00 on Monday where that is every second day from day 1 of the month",
        ),
        ("*/15 8-17 * * 1-5", "Every 15 minutes from 08:00 through 17:45 on Monday through Friday"),
        ("0 * * * *", "Every hour"),
        ("30 18 * * 5L", "At 18:30 on the last Friday of the month"),
        ("0 0 LW,3 * *", "At 00:00 on day 3 and the last weekday of the month"),
        ("0 0 30 2 MON", "At 00:00 on day 30 of the month and also on Monday in February"),
        ("0 12 * * 6-7", "At 12:00 on Saturday and Sunday"),
    ],
)
def test_an_expression_is_said_in_words(cron: str, words: str) -> None:
    assert in_words(cron) == words
    check(cron)


def test_the_examples_of_the_documentation_do_what_is_said() -> None:
    text = (ROOT / "docs" / "schedules.md").read_text() + (ROOT / "docs" / "api.md").read_text()
    shown = set(re.findall(r'`((?:[\d*/,L-]+ ){4}[\d*/,L-]+)`|"cron": "([^"]+)"', text))
    assert len(shown) >= 4
    for cron in {*map("".join, shown)}:
        check(cron)


def test_a_thousand_expressions_do_what_is_said() -> None:
    checked = 0
    for cron in generated(1100):
        try:
            read_timetable(cron, "UTC")
        except CronRefused as refused:
            assert "No date ever meets it" in str(refused), cron
            continue
        check(cron)
        checked += 1
    assert checked >= 1000


@pytest.mark.parametrize(
    ("cron", "why"),
    [
        ("0 0 30 2 *", "there is no day 30 in February"),
        ("0 0 31 2,4 *", "there is no day 31 in February and April"),
        ("0 0 31 4 */2", "there is no day 31 in April"),
        ("0 0 31 4-6/2 *", "there is no day 31 in April and June"),
    ],
)
def test_a_date_that_never_is_is_refused_as_that(cron: str, why: str) -> None:
    with pytest.raises(CronRefused, match=f"^No date ever meets it: {why}\\.$"):
        read_timetable(cron, "UTC")
