"""Turns the ticks of a past time into runs, which the sweep works off in order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.db import transaction

from core import audit
from core.db.clock import database_now
from core.exceptions import ValidationFailed
from core.models import AuditVerb
from core.timetables import read_timetable
from workflows.models import RunKind, RunOutcome, WorkflowSchedule
from workflows.services.schedules.lifecycle import check_year, in_zone_of, lock_schedule
from workflows.services.schedules.runs import record_runs

logger = structlog.get_logger(__name__)

LARGEST_BACKFILL = 1000


@dataclass(frozen=True, slots=True)
class Backfill:
    """The ticks of a time range: those to run, and how many have run or are to run already."""

    ticks: list[datetime]
    done: int


def plan_backfill(schedule: WorkflowSchedule, *, first: datetime, last: datetime) -> Backfill:
    """Return what a backfill would run: the ticks from `first` to `last` that started nothing yet.

    Raises:
        ValidationFailed: the range is the wrong way round, in the future, or has over 1,000 ticks.
    """
    first, last = _in_zone_of(schedule, first, last)
    check_year("from", first)
    check_year("to", last)
    if last < first:
        _refuse("to", "It lies before 'from'.")
    if last > database_now():
        _refuse("to", "It lies in the future; a backfill is for the past.")
    # The cron expression alone: what lay before the schedule's start may be made up for.
    timetable = read_timetable(schedule.cron, schedule.timezone)
    ticks = timetable.between(first, last, most=LARGEST_BACKFILL + 1)
    if len(ticks) > LARGEST_BACKFILL:
        _refuse("to", f"There are more than {LARGEST_BACKFILL:,} ticks in this time; take less.")
    runs = _runs_between(schedule, first, last).exclude(
        outcome__in=(RunOutcome.SKIPPED, RunOutcome.FAILED)
    )
    ticks_done = set(runs.values_list("tick", flat=True))
    new = [tick for tick in ticks if tick not in ticks_done]
    return Backfill(new, len(ticks) - len(new))


def start_backfill(
    schedule: WorkflowSchedule, *, first: datetime, last: datetime, actor: str
) -> Backfill:
    """Make a pending run for every tick of the plan; they are worked off in order.

    A tick that was skipped, or failed to start, becomes pending again.

    Raises:
        ValidationFailed: see `plan_backfill`.
    """
    with transaction.atomic():
        locked = lock_schedule(schedule)
        first, last = _in_zone_of(locked, first, last)
        plan = plan_backfill(locked, first=first, last=last)
        again = _runs_between(locked, first, last).filter(tick__in=plan.ticks)
        again.update(
            kind=RunKind.BACKFILL, outcome=RunOutcome.PENDING, reason="", actor=actor[:100]
        )
        record_runs(locked, plan.ticks, RunKind.BACKFILL, RunOutcome.PENDING, actor=actor)
        span = {"from": first, "to": last, "runs": len(plan.ticks)}
        audit.record(AuditVerb.BACKFILLED, locked, changes=span)
    logger.info("schedule_backfilled", schedule=locked.name, actor=actor, runs=len(plan.ticks))
    return plan


def _in_zone_of(
    schedule: WorkflowSchedule, first: datetime, last: datetime
) -> tuple[datetime, datetime]:
    bounds = {"from": first, "to": last}
    read = [in_zone_of(schedule.timezone, name, moment) for name, moment in bounds.items()]
    return read[0] or first, read[1] or last


def cancel_backlog(schedule: WorkflowSchedule, *, actor: str) -> int:
    """Give up what a backfill or catch-up has not started yet; how many runs."""
    pending = schedule.runs.filter(outcome=RunOutcome.PENDING)
    with transaction.atomic():
        count = pending.update(outcome=RunOutcome.SKIPPED, reason=f"Given up by {actor}."[:500])
        audit.record(AuditVerb.CANCELLED, schedule, changes={"runs": count})
    logger.info("schedule_backlog_cancelled", schedule=schedule.name, actor=actor, runs=count)
    return count


def _runs_between(schedule: WorkflowSchedule, first: datetime, last: datetime) -> Any:
    return schedule.runs.filter(tick__gte=first, tick__lte=last)


def _refuse(name: str, sentence: str) -> None:
    raise ValidationFailed.at(name, sentence)
