"""Starts the runs of schedules: ticks that are due, runs asked for by people, their backlog.

A run is recorded under the lock of its schedule, in one transaction with the execution that it
starts and with the next tick. So any number of sweeps make one execution for each tick.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import structlog
from django.db import DatabaseError, transaction

from core import audit
from core.db.clock import database_now
from core.exceptions import Conflict, IntegrationError
from core.models import AuditVerb
from workflows.execution_rows import Start
from workflows.models import (
    BACKLOG,
    ENDED,
    OPEN_RUN,
    OverlapPolicy,
    RunKind,
    RunOutcome,
    WorkflowSchedule,
    WorkflowScheduleRun,
)
from workflows.schedules import Doing, ScheduleActivity, may_work_off, on_tick, sort_due
from workflows.services.executions.control import cancel_execution
from workflows.services.executions.start import start_execution
from workflows.services.schedules.lifecycle import lock_schedule, timetable_of

logger = structlog.get_logger(__name__)

MOST_PER_SWEEP = 200


def sweep_schedules(*, now: datetime | None = None) -> int:
    """Do what is due of every schedule; how many schedules were looked at."""
    now = now or database_now()
    due = WorkflowSchedule.objects.filter(enabled=True, next_run_at__lte=now)
    waiting = WorkflowScheduleRun.objects.filter(outcome__in=OPEN_RUN, schedule__enabled=True)
    keys = [
        *due.order_by("next_run_at").values_list("pk", flat=True)[:MOST_PER_SWEEP],
        *waiting.order_by().values_list("schedule", flat=True).distinct()[:MOST_PER_SWEEP],
    ]
    found = dict.fromkeys(keys)
    for pk in found:
        try:
            _look_at(pk, now=now)
        except (DatabaseError, IntegrationError) as error:
            # The others go on; this one is looked at again with the next sweep.
            logger.warning("schedule_failed", schedule=str(pk), error=str(error)[:500])
    return len(found)


def _look_at(pk: Any, *, now: datetime) -> None:
    with transaction.atomic():
        schedule = (
            WorkflowSchedule.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("workflow__current_version", "version")
            .filter(pk=pk, enabled=True)
            .first()
        )
        if schedule is None:  # another sweep has it, or somebody switched it off
            return
        _work_off(schedule, now=now)
        if schedule.next_run_at is not None and schedule.next_run_at <= now:
            _take_ticks(schedule, schedule.next_run_at, now=now)
            _work_off(schedule, now=now)


def _take_ticks(schedule: WorkflowSchedule, due_since: datetime, *, now: datetime) -> None:
    due = sort_due(
        timetable_of(schedule),
        due_since,
        now=now,
        policy=schedule.catch_up_policy,
        limit=schedule.catch_up_limit,
    )
    if due.left_out is not None:
        tick, reason = due.left_out
        record_runs(schedule, [tick], RunKind.CATCH_UP, RunOutcome.SKIPPED, reason=reason)
    record_runs(schedule, due.missed, RunKind.CATCH_UP, RunOutcome.PENDING)
    for tick in due.on_time:
        _take_tick(schedule, tick, now=now)
    schedule.next_run_at = due.next
    # Not through save(): what a caller read has not changed by it.
    WorkflowSchedule.objects.filter(pk=schedule.pk).update(next_run_at=due.next)


def _take_tick(schedule: WorkflowSchedule, tick: datetime, *, now: datetime) -> None:
    if schedule.runs.filter(tick=tick).exists():
        return
    run = WorkflowScheduleRun(schedule=schedule, tick=tick, actor=schedule.actor)
    standing = _standing_of(schedule)
    doing, reason = on_tick(schedule.overlap_policy, standing)
    _carry_out(schedule, run, doing, reason, standing=standing, now=now)


def _carry_out(
    schedule: WorkflowSchedule,
    run: WorkflowScheduleRun,
    doing: Doing,
    reason: str,
    *,
    standing: ScheduleActivity,
    now: datetime,
) -> None:
    if doing is Doing.CANCEL_AND_START:
        _cancel(standing.ticks, schedule)
    if doing in (Doing.START, Doing.CANCEL_AND_START):
        _start(schedule, run, now=now, cancelled=doing is Doing.CANCEL_AND_START)
        return
    run.outcome = RunOutcome.QUEUED if doing is Doing.QUEUE else RunOutcome.SKIPPED
    run.reason = reason
    run.save()


def _cancel(executions: Iterable[str], schedule: WorkflowSchedule) -> None:
    for execution in executions:
        try:
            cancel_execution(
                execution, actor=schedule.actor, reason="The next tick of its schedule came."
            )
        except IntegrationError:
            continue  # it ended meanwhile


def _start(
    schedule: WorkflowSchedule, run: WorkflowScheduleRun, *, now: datetime, cancelled: bool = False
) -> None:
    """Start the execution of a run, or record why it cannot be."""
    scheduled = {"schedule": schedule.name, "scheduled_for": run.tick.isoformat()}
    start = Start(
        input=schedule.input,
        context=schedule.context,
        noted=scheduled,
        actor=run.actor or schedule.actor,
        priority=schedule.priority,
        version=schedule.version.number if schedule.version else None,
    )
    try:
        started = start_execution(schedule.workflow, start)
    except IntegrationError as error:
        run.outcome, run.reason = RunOutcome.FAILED, error.message[:500]
    else:
        run.execution, run.running, run.started_at = started.execution, True, now
        run.outcome = RunOutcome.CANCELLED_RUNNING if cancelled else RunOutcome.STARTED
        run.reason = ""
        schedule.last_run_at = now
        WorkflowSchedule.objects.filter(pk=schedule.pk).update(last_run_at=now)
    run.save()


def _standing_of(schedule: WorkflowSchedule) -> ScheduleActivity:
    """Return what the schedule has going; runs whose execution has ended are put aside."""
    rows = schedule.runs.filter(running=True).order_by("tick")
    going, ended = [], []
    for pk, kind, execution, status in rows.values_list(
        "pk", "kind", "execution_id", "execution__status"
    ):
        if status is None or status in ENDED:
            ended.append(pk)
        else:
            going.append((kind, str(execution)))
    if ended:
        schedule.runs.filter(pk__in=ended).update(running=False)
    return ScheduleActivity(
        ticks=[execution for kind, execution in going if kind not in BACKLOG],
        backlog=[execution for kind, execution in going if kind in BACKLOG],
        queued=schedule.runs.filter(outcome=RunOutcome.QUEUED).count(),
    )


def _work_off(schedule: WorkflowSchedule, *, now: datetime) -> None:
    """Start what waits: ticks first, then the backlog, each in the order of their times."""
    waiting = schedule.runs.filter(outcome__in=OPEN_RUN).order_by("tick")
    if not waiting.exists():
        return
    standing = _standing_of(schedule)
    if standing.queued and (standing.is_idle or schedule.overlap_policy == OverlapPolicy.ALLOW):
        for run in waiting.filter(outcome=RunOutcome.QUEUED):
            _start(schedule, run, now=now)
        standing = _standing_of(schedule)
    room = may_work_off(schedule.overlap_policy, standing)
    for run in waiting.filter(outcome=RunOutcome.PENDING)[:room]:
        _start(schedule, run, now=now)


def record_runs(
    schedule: WorkflowSchedule,
    ticks: Iterable[datetime],
    kind: RunKind,
    outcome: RunOutcome,
    *,
    reason: str = "",
    actor: str = "",
) -> None:
    """Record runs; of a tick that has one already, nothing changes."""
    made = [
        WorkflowScheduleRun(
            schedule=schedule,
            tick=tick,
            kind=kind,
            outcome=outcome,
            reason=reason,
            actor=actor or schedule.actor,
        )
        for tick in ticks
    ]
    WorkflowScheduleRun.objects.bulk_create(made, ignore_conflicts=True)


def run_now(schedule: WorkflowSchedule, *, actor: str) -> WorkflowScheduleRun:
    """Run a schedule now, enabled or not, as its overlap policy allows.

    Raises:
        Conflict: an execution still runs, and the policy is to skip.
    """
    with transaction.atomic():
        locked = lock_schedule(schedule)
        now = database_now()
        standing = _standing_of(locked)
        doing, reason = on_tick(locked.overlap_policy, standing)
        if doing is Doing.SKIP:
            raise Conflict(f"{reason} The overlap policy of '{locked.name}' does not let it start.")
        run = WorkflowScheduleRun(schedule=locked, tick=now, kind=RunKind.MANUAL, actor=actor)
        _carry_out(locked, run, doing, reason, standing=standing, now=now)
        audit.record(AuditVerb.STARTED, locked, changes={"outcome": run.outcome})
    logger.info("schedule_run_now", schedule=locked.name, actor=actor, outcome=run.outcome)
    return run
