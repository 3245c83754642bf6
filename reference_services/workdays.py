"""Dates that skip Saturdays and Sundays."""

from __future__ import annotations

from datetime import date, timedelta

SATURDAY = 5


def first_workday_after(day: date) -> date:
    return workday_after(day, 1)


def workday_after(day: date, workdays: int) -> date:
    """Return the date so many working days later; 0 answers the same day."""
    while workdays > 0:
        day += timedelta(days=1)
        if day.weekday() < SATURDAY:
            workdays -= 1
    return day
