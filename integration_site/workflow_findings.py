"""What is wrong with workflows, as findings of monitoring: neither app knows the other."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from django.db.models import Count, F, OuterRef, Subquery

from monitoring.findings import Finding, Source, add_source
from monitoring.models import Severity, Subject
from workflows.models import (
    ExecutionStatus,
    RunOutcome,
    WorkflowExecution,
    WorkflowSchedule,
    WorkflowScheduleRun,
)

_DECIDED = (RunOutcome.STARTED, RunOutcome.CANCELLED_RUNNING, RunOutcome.FAILED)
MOST_WORKFLOWS = 100


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


def watch_workflows() -> None:
    """Have monitoring look at workflows too."""
    add_source(
        Source(
            Subject.SCHEDULE_FAILED,
            schedules_failed,
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
