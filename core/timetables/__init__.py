"""Cron expressions in a time zone: when what recurs is due (pure)."""

from core.timetables.cron import (
    CronRefused,
    Timetable,
    in_words,
    names_of_zones,
    read_timetable,
    zone_of,
)

__all__ = [
    "CronRefused",
    "Timetable",
    "in_words",
    "names_of_zones",
    "read_timetable",
    "zone_of",
]
