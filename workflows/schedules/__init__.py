"""Decides when schedules are due, and what a tick does (pure)."""

from workflows.schedules.cron import (
    CronRefused,
    Timetable,
    in_words,
    names_of_zones,
    read_timetable,
    zone_of,
)
from workflows.schedules.due_ticks import Doing, ScheduleActivity, may_work_off, on_tick, sort_due

__all__ = [
    "CronRefused",
    "Doing",
    "ScheduleActivity",
    "Timetable",
    "in_words",
    "may_work_off",
    "names_of_zones",
    "on_tick",
    "read_timetable",
    "sort_due",
    "zone_of",
]
