"""What is wrong with workflows, as findings of monitoring: neither app knows the other."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from django.db.models import Count, F, OuterRef, QuerySet, Subquery

from monitoring.findings import Finding, Source, add_source
from monitoring.models import Severity, Subject
from workflows.models import (
    ExecutionStatus,
    RunOutcome,
    StepStatus,
    Worker,
    WorkflowExecution,
    WorkflowSchedule,
    WorkflowScheduleRun,
    WorkflowStep,
)

_DECIDED = (RunOutcome.STARTED, RunOutcome.CANCELLED_RUNNING, RunOutcome.FAILED)
MOST_WORKFLOWS = 100
MOST_SCHEDULES = 1_000
# The sweep decides on what is due within seconds.
LATE_AFTER = timedelta(minutes=5)
# Steps that are due are taken within a second: longer than this is a backlog, and this is grave.
LATE = timedelta(minutes=1)
VERY_LATE = timedelta(minutes=10)
# A lease that ended is taken back within seconds.
STUCK = timedelta(minutes=2)


def schedules_failed(now: datetime, _: Collection[str]) -> Iterable[Finding]:
    """Find enabled schedules whose last run that ended failed, or could not be started."""
    ended = WorkflowScheduleRun.objects.filter(
        schedule=OuterRef("pk"), outcome__in=_DECIDED, running=False
    )
    latest = Subquery(ended.order_by("-id").values("pk")[:1])
    schedules = WorkflowSchedule.objects.filter(enabled=True).annotate(latest=latest)
    names = {key: (pk, name) for pk, name, key in schedules.values_list("pk", "name", "latest")}
    runs = WorkflowScheduleRun.objects.with_execution().filter(pk__in=names.keys() - {None})
    for run in runs:
        cause = _why_it_failed(run)
        if cause:
            pk, name = names[run.pk]
            yield Finding(Subject.SCHEDULE_FAILED, cause, about=name, key=str(pk))


def schedules_late(now: datetime, _: Collection[str]) -> Iterable[Finding]:
    """Find enabled schedules whose run was due and was not decided on: nobody started it."""
    due = now - LATE_AFTER
    late = WorkflowSchedule.objects.filter(enabled=True, next_run_at__lt=due)
    rows = late.order_by("next_run_at").values_list("pk", "name", "next_run_at")
    for pk, name, tick in rows[:MOST_SCHEDULES]:
        cause = f"The run of {tick:%Y-%m-%d %H:%M} UTC is late: it was not started."
        yield Finding(Subject.SCHEDULE_FAILED, cause, about=name, key=str(pk))


def schedules_wrong(now: datetime, found: Collection[str]) -> Iterable[Finding]:
    """Find schedules whose run is late, and of the others those whose last run failed."""
    late = {each.key: each for each in schedules_late(now, found)}
    yield from late.values()
    yield from (each for each in schedules_failed(now, found) if each.key not in late)


def _why_it_failed(run: WorkflowScheduleRun) -> str:
    at = f"The run of {run.tick:%Y-%m-%d %H:%M} UTC"
    if run.outcome == RunOutcome.FAILED:
        return f"{at} was not started: {run.reason}"
    if run.execution is not None and run.execution.status == ExecutionStatus.FAILED:
        return f"{at} failed: execution {run.execution_id}."
    return ""


def executions_to_review(now: datetime, _: Collection[str]) -> Iterable[Finding]:
    """Find workflows with executions that go on only when a person has decided."""
    rows = WorkflowExecution.objects.filter(status=ExecutionStatus.NEEDS_REVIEW)
    counts = rows.values(name=F("workflow_name")).annotate(count=Count("pk")).order_by("name")
    for row in counts[:MOST_WORKFLOWS]:
        count, name = row["count"], row["name"]
        noun = "execution waits" if count == 1 else "executions wait"
        cause = f"{count:,} {noun} for a person to decide."
        yield Finding(Subject.NEEDS_REVIEW, cause, Severity.WARNING, about=name, key=name)


def no_worker(now: datetime, _: Collection[str]) -> Iterable[Finding]:
    """Find that no engine shows itself, though one did, or something waits for one."""
    if Worker.alive(now).exists():
        return
    last = Worker.objects.order_by("-seen_at").first()
    if last is not None:
        seen = f"The last was seen at {last.seen_at:%Y-%m-%d %H:%M:%S} UTC: {last.name}."
        yield Finding(Subject.NO_WORKER, f"No workflow goes on. {seen}")
    elif _due(now - LATE).exists():
        yield Finding(Subject.NO_WORKER, "No workflow goes on, and no worker was seen for an hour.")


def steps_late(now: datetime, _: Collection[str]) -> Iterable[Finding]:
    """Find that steps are due for longer than a worker with room would leave them."""
    late = _due(now - LATE)
    if not late.exists():
        return
    is_grave = _due(now - VERY_LATE).exists()
    minutes = int((VERY_LATE if is_grave else LATE).total_seconds() // 60)
    # What stays true for a while: the incident is not written anew at each look.
    cause = (
        f"Steps are due for more than {minutes} minute{'s' if minutes > 1 else ''}, and no worker"
        " took them. More workers, or fewer executions at once, would help."
    )
    yield Finding(Subject.BACKLOG, cause, Severity.CRITICAL if is_grave else Severity.WARNING)


def _due(before: datetime) -> QuerySet[WorkflowStep]:
    waiting = (StepStatus.PENDING, StepStatus.WAITING)
    return WorkflowStep.objects.filter(status__in=waiting, wake_at__lte=before)


def executions_stuck(now: datetime, _: Collection[str]) -> Iterable[Finding]:
    """Find workflows with steps that a dead worker holds, and that nobody takes back."""
    held = WorkflowStep.objects.filter(status=StepStatus.RUNNING, lease_until__lte=now - STUCK)
    rows = held.values(workflow=F("execution__workflow_name")).order_by("workflow")
    for row in rows.annotate(count=Count("execution", distinct=True))[:MOST_WORKFLOWS]:
        count, name = row["count"], row["workflow"]
        noun = "execution is" if count == 1 else "executions are"
        cause = f"{count:,} {noun} held by a worker that is gone, and not taken back."
        yield Finding(Subject.EXECUTIONS_STUCK, cause, about=name, key=name)


def watch_workflows() -> None:
    """Have monitoring look at workflows too."""
    add_source(
        Source(
            Subject.SCHEDULE_FAILED,
            schedules_wrong,
            "The next run went well, or it was switched off.",
            "SELECT 1 FROM workflow_schedule WHERE enabled",
        )
    )
    add_source(
        Source(
            Subject.NEEDS_REVIEW,
            executions_to_review,
            "A person has decided.",
            "SELECT 1 FROM workflow_execution WHERE status = 'NEEDS_REVIEW'",
        )
    )
    add_source(Source(Subject.NO_WORKER, no_worker, "A worker runs."))
    add_source(
        Source(
            Subject.BACKLOG,
            steps_late,
            "Steps are taken in time again.",
            "SELECT 1 FROM workflow_step"
            " WHERE status IN ('PENDING', 'WAITING') AND wake_at IS NOT NULL",
        )
    )
    add_source(
        Source(
            Subject.EXECUTIONS_STUCK,
            executions_stuck,
            "They go on again.",
            "SELECT 1 FROM workflow_step WHERE status = 'RUNNING'",
        )
    )
