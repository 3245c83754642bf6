"""Reads what the list and the page of a schedule show, in a constant number of queries."""

from __future__ import annotations

import zoneinfo
from datetime import datetime
from typing import Any

from django.db.models import OuterRef, Subquery
from django.http import QueryDict
from django.utils.dateparse import parse_datetime

from core.exceptions import IntegrationError
from core.timetables import in_words
from workflows import services
from workflows.models import BACKLOG, RunOutcome, WorkflowSchedule, WorkflowScheduleRun

MAX_RUNS = 25


def learn_last_runs(schedules: Any) -> None:
    """Give each schedule of a page its latest run, in two queries."""
    settled = WorkflowScheduleRun.objects.exclude(outcome=RunOutcome.PENDING)
    latest = settled.filter(schedule=OuterRef("pk")).order_by("-id")
    rows = WorkflowSchedule.objects.filter(pk__in=[schedule.pk for schedule in schedules])
    keys = dict(rows.annotate(latest=Subquery(latest.values("pk")[:1])).values_list("pk", "latest"))
    runs = WorkflowScheduleRun.objects.with_execution().in_bulk([k for k in keys.values() if k])
    for schedule in schedules:
        schedule.last_run = runs.get(keys.get(schedule.pk))


def summary_of(schedule: WorkflowSchedule) -> dict[str, Any]:
    """Return what the top of the page of a schedule shows of it."""
    runs = schedule.runs.with_execution().order_by("-id")
    pending = schedule.runs.filter(outcome=RunOutcome.PENDING).count()
    backlog = schedule.runs.filter(kind__in=BACKLOG).count() if pending else 0
    return {
        "runs": list(runs[:MAX_RUNS]),
        "pending": pending,
        "backlog": backlog,
        "ticks": services.next_ticks(schedule),
        "words": in_words(schedule.cron),
    }


def preview_of(cron: str, timezone: str, **times: Any) -> dict[str, Any]:
    """Return the words and next ticks of a cron expression, or what is wrong with it."""
    if not cron.strip():
        return {}
    try:
        ticks = services.preview(cron=cron, timezone=timezone or "UTC", **times)
    except IntegrationError as error:
        return {"refusal": error.message}
    zone = zoneinfo.ZoneInfo(timezone or "UTC")
    # Written out here: templates show every time in UTC.
    shown = [(tick, _local_words(tick.astimezone(zone))) for tick in ticks]
    return {"words": in_words(cron), "ticks": shown, "zone": timezone or "UTC"}


def _local_words(local: datetime) -> str:
    return f"{local:%a %d %b %Y, %H:%M} {local.tzname()}"


def typed_time(typed: QueryDict, name: str) -> Any:
    """Return the time in the two inputs of a date and time, in the schedule's zone, if any."""
    try:
        return parse_datetime(f"{typed.get(f'{name}_0', '')} {typed.get(f'{name}_1', '')}".strip())
    except (ValueError, OverflowError):
        return None
