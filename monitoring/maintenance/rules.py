"""What a window of maintenance can be."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

from core.db.validation import check_columns
from core.exceptions import ValidationFailed
from core.name_patterns import MOST_PATTERNS, SHAPE, is_pattern
from core.timetables import CronRefused, Timetable, read_timetable
from core.timetables.cron import FIRST_YEAR
from core.timetables.rule import LAST_YEAR
from monitoring.models import MaintenanceWindow
from registry.models import ServiceType

LONGEST_ONCE = timedelta(days=366)
# The pauses between so many times are looked at.
LOOKED_AT = 50


def check_window(window: MaintenanceWindow) -> None:
    """Hold a window against every rule but those that ask what time it is.

    Raises:
        ValidationFailed: a field breaks a rule.
    """
    check_columns(window)
    _check_subjects(window)
    _check_years(window)
    if window.recurs:
        _check_recurring(window)
    else:
        _check_once(window)


def check_to_come(window: MaintenanceWindow, now: datetime) -> None:
    """Refuse a window that is over before it is made.

    Raises:
        ValidationFailed: its end is past.
    """
    if window.ends_at is not None and window.ends_at <= now:
        raise ValidationFailed.at("ends_at", "This is past: give a time that is to come.")


def _check_subjects(window: MaintenanceWindow) -> None:
    if not (window.services or window.tags or window.types or window.everything):
        raise ValidationFailed.at(
            "services", "Say what it is of: services, tags, types, or everything."
        )
    for name in ("services", "tags", "types"):
        if len(getattr(window, name)) > MOST_PATTERNS:
            raise ValidationFailed.at(name, f"Give at most {MOST_PATTERNS}.")
    for at, text in enumerate(window.services):
        if not is_pattern(text):
            raise ValidationFailed.at(f"services[{at}]", f"A name has {SHAPE}.")
    for at, text in enumerate(window.types):
        try:
            ServiceType.parse(text)
        except ValueError as error:
            raise ValidationFailed.at(f"types[{at}]", str(error)) from None


def _check_years(window: MaintenanceWindow) -> None:
    for name in ("starts_at", "ends_at"):
        moment = getattr(window, name)
        if moment is not None and not FIRST_YEAR <= moment.year <= LAST_YEAR:
            raise ValidationFailed.at(name, f"Use a time from {FIRST_YEAR} to {LAST_YEAR}.")
    if window.starts_at and window.ends_at and window.ends_at <= window.starts_at:
        raise ValidationFailed.at("ends_at", "It ends before it starts.")


def _check_once(window: MaintenanceWindow) -> None:
    for name in ("starts_at", "ends_at"):
        if getattr(window, name) is None:
            raise ValidationFailed.at(
                name, "Give starts_at and ends_at, or cron and duration_minutes for what recurs."
            )
    if window.duration_minutes is not None:
        raise ValidationFailed.at(
            "duration_minutes", "This is of what recurs: give a cron too, or leave it out."
        )
    assert window.starts_at is not None and window.ends_at is not None
    if window.ends_at - window.starts_at > LONGEST_ONCE:
        raise ValidationFailed.at("ends_at", "It is longer than a year.")
    _read_rule(window, cron="0 0 * * *")


def _check_recurring(window: MaintenanceWindow) -> None:
    if window.duration_minutes is None:
        raise ValidationFailed.at("duration_minutes", "Say how many minutes each time lasts.")
    rule = _read_rule(window, cron=window.cron)
    length = timedelta(minutes=window.duration_minutes)
    first = window.starts_at or datetime.fromisoformat("2026-01-01T00:00:00Z")
    ticks = rule.upcoming(first - timedelta(microseconds=1), LOOKED_AT)
    pauses = [later - tick for tick, later in pairwise(ticks)]
    if pauses and max(pauses) <= length:
        raise ValidationFailed.at(
            "duration_minutes", "It would never end: the next time comes before one is over."
        )


def _read_rule(window: MaintenanceWindow, *, cron: str) -> Timetable:
    try:
        return read_timetable(
            cron, window.timezone, starts_at=window.starts_at, ends_at=window.ends_at
        )
    except CronRefused as error:
        raise ValidationFailed.at(error.field, str(error)) from None
