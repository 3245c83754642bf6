"""Runs of a job as bars on the hours of each day, and when it calls in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.admin.formatting import tone_of
from core.durations import in_words
from core.timetables import in_words as cron_in_words
from monitoring.checks.runs import RUN_DAYS, JobRun
from monitoring.models import CheckOutcome, HealthCheck
from monitoring.uptime.bars import first_day

DAY = timedelta(days=1)


@dataclass(frozen=True)
class RunBar:
    """A run on the track of its day: where in percent, and what is said of it."""

    left: str
    width: str
    tone: str
    words: str


@dataclass(frozen=True)
class RunDay:
    """A day (UTC) with the runs that began in it."""

    day: datetime
    bars: list[RunBar]
    words: str


def draw_runs(runs: Iterable[JobRun], *, now: datetime) -> list[RunDay]:
    """Return the last days, today first, each with its runs."""
    first = first_day(now, RUN_DAYS)
    days = [first + DAY * number for number in range(RUN_DAYS)]
    of_day: dict[datetime, list[JobRun]] = {day: [] for day in days}
    for run in runs:
        start = run.at.replace(hour=0, minute=0, second=0, microsecond=0)
        if start in of_day:
            of_day[start].append(run)
    return [_day(day, of_day[day], now) for day in reversed(days)]


def _day(day: datetime, runs: list[JobRun], now: datetime) -> RunDay:
    failed = sum(run.outcome == CheckOutcome.FAIL for run in runs)
    words = f"{len(runs)} run{'' if len(runs) == 1 else 's'}" if runs else "none"
    return RunDay(
        day,
        [_bar(day, run, now) for run in runs],
        f"{words}, {failed} failed" if failed else words,
    )


def _bar(day: datetime, run: JobRun, now: datetime) -> RunBar:
    end = min(run.ended_at or now, day + DAY)
    is_running = run.ended_at is None
    return RunBar(
        f"{(run.at - day) / DAY * 100:.2f}",
        f"{max((end - run.at) / DAY * 100, 0.0):.2f}",
        "info" if is_running else tone_of(run.outcome),
        f"{run.at:%H:%M:%S}: {words_of(run)}",
    )


def words_of(run: JobRun) -> str:
    """Return how a run went, in words."""
    if run.missed:
        return "it did not call"
    if run.ended_at is None:
        return "it began, and has not said its end"
    took = "" if run.seconds is None else f" after {in_words(run.seconds)}"
    return f"failed{took}" if run.outcome == CheckOutcome.FAIL else f"succeeded{took}"


def due_in_words(check: HealthCheck) -> str:
    """Return when a job is to call."""
    if not check.cron:
        return f"every {in_words(check.interval_seconds or 0)}"
    try:
        return f"{cron_in_words(check.cron)}, {check.timezone}"
    except ValueError:
        return f"{check.cron}, {check.timezone}"
