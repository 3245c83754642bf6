"""Says a rule in words, made from what is computed and not from how it is written (pure).

`0 0 1-31 * MON` is every day, since either field will do and the first always does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from core.timetables.rule import (
    EVERY_DAY,
    EVERY_HOUR,
    EVERY_MINUTE,
    EVERY_MONTH,
    EVERY_WEEKDAY,
    LAST,
    LAST_WEEKDAY,
    Rule,
)

MOST_TIMES = 6
WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_EVERY_DAY = "every day"
_NUMBERS = ("first", "second", "third", "fourth", "fifth")


def describe(rule: Rule) -> str:
    """Return a rule in words, such as: At 09:00 on Monday through Friday."""
    times, days, months = _times(rule), _days(rule), _months(rule)
    if days == _EVERY_DAY and (rule.hours == EVERY_HOUR or times.startswith("Every")):
        days = ""  # times that go around the clock say so
    return " ".join(filter(None, (times, days, months)))


# --- Times of a day ---


def _times(rule: Rule) -> str:
    minutes, hours = rule.minutes, rule.hours
    is_beat = len(minutes) > 2 and _step(minutes, 60) > 0
    if len(minutes) * len(hours) <= MOST_TIMES and not is_beat:
        return f"At {_joined([f'{h:02d}:{m:02d}' for h in hours for m in minutes])}"
    if minutes == (0,) and (hours == EVERY_HOUR or _step(hours, 24)):
        step = _step(hours, 24)
        return f"Every {step} hours" if step else "Every hour"
    words = _minutes(minutes)
    if hours == EVERY_HOUR:
        return f"{words} of every hour" if words.startswith("At") else words
    if step := _step(hours, 24):
        return f"{words} of every {_ordinal(step)} hour from 00"
    first, last = hours[0], hours[-1]
    if words.startswith("Every") and last - first + 1 == len(hours):
        return f"{words} from {first:02d}:{minutes[0]:02d} through {last:02d}:{minutes[-1]:02d}"
    return f"{words} of {_noun('hour', hours)} {_runs(hours, '{:02d}'.format)}"


def _minutes(minutes: tuple[int, ...]) -> str:
    if minutes == EVERY_MINUTE:
        return "Every minute"
    if step := _step(minutes, 60):
        return f"Every {step} minutes"
    return f"At {_noun('minute', minutes)} {_runs(minutes, str)}"


def _step(values: tuple[int, ...], length: int) -> int:
    """Return the distance of values that are evenly spread all around the clock, else 0."""
    step = length // len(values)
    is_even = 1 < step < length and values == tuple(range(0, length, step))
    return step if is_even and length % step == 0 else 0


# --- Days ---


def _days(rule: Rule) -> str:
    any_day, any_weekday = _is_any_day(rule.days), _is_any_weekday(rule.weekdays)
    if (any_day and any_weekday) or (not rule.needs_both and (any_day or any_weekday)):
        return _EVERY_DAY
    if any_day:
        return f"on {_of_week(rule.weekdays)}"
    if any_weekday:
        return f"on {_of_month(rule.days)}"
    if rule.needs_both:
        return f"on {_of_week(rule.weekdays)} where that is {_of_month(rule.days)}"
    return f"on {_of_month(rule.days)} and also on {_of_week(rule.weekdays)}"


def _is_any_day(days: Iterable[int]) -> bool:
    # A 31st is always the last.
    return set(days) | ({31} if LAST in days else set()) >= set(EVERY_DAY)


def _is_any_weekday(weekdays: Iterable[int | tuple[int, int]]) -> bool:
    return set(weekdays) >= set(EVERY_WEEKDAY)


def _of_month(days: Iterable[int]) -> str:
    plain = sorted(day for day in days if day > 0)
    words = [_plain_days(plain)] if plain else []
    words += ["the last day"] if LAST in days else []
    words += ["the last weekday"] if LAST_WEEKDAY in days else []
    return f"{_joined(words)} of the month"


def _plain_days(days: Sequence[int]) -> str:
    step = days[1] - 1 if len(days) > 4 else 1
    if step > 1 and tuple(days) == tuple(EVERY_DAY)[::step]:
        return f"every {_ordinal(step)} day from day 1"
    return f"{_noun('day', days)} {_runs(days, str)}"


def _of_week(weekdays: Iterable[int | tuple[int, int]]) -> str:
    # A week begins with Monday here; a range of the expression may end with Sunday.
    plain = sorted((day - 1) % 7 for day in weekdays if isinstance(day, int))
    words = [_run(run, lambda day: WEEKDAYS[(day + 1) % 7]) for run in _runs_of(plain)]
    pairs = [day for day in weekdays if isinstance(day, tuple)]
    counted = sorted(pair for pair in pairs if pair[0] not in weekdays)
    words += [f"the {_number(nth)} {WEEKDAYS[day]} of the month" for day, nth in counted]
    return _joined(words)


def _number(nth: int) -> str:
    return "last" if nth == LAST else _NUMBERS[nth - 1]


def _months(rule: Rule) -> str:
    if rule.months >= set(EVERY_MONTH):
        return ""
    return f"in {name_months(rule.months)}"


def name_months(months: Iterable[int]) -> str:
    """Return months in words, such as: March through May and July."""
    return _runs(sorted(months), lambda month: MONTHS[month - 1])


# --- Lists ---


def _runs(values: Sequence[int], shown: Callable[[int], str]) -> str:
    return _joined([_run(run, shown) for run in _runs_of(values)])


def _runs_of(values: Sequence[int]) -> list[tuple[int, int]]:
    """Sorted values as runs; two neighbours are two values."""
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    split = [[run] if len(run) > 2 else [[value] for value in run] for run in runs]
    return [(run[0], run[-1]) for parts in split for run in parts]


def _run(run: tuple[int, int], shown: Callable[[int], str]) -> str:
    first, last = run
    return shown(first) if first == last else f"{shown(first)} through {shown(last)}"


def _joined(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _noun(word: str, values: Sequence[int]) -> str:
    return word if len(values) == 1 else f"{word}s"


def _ordinal(number: int) -> str:
    return {2: "second", 3: "third"}.get(number, f"{number}th")
