"""What the page of one execution shows, in a constant number of queries."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.safestring import SafeString

from workflows.admin.drawing import draw_workflow
from workflows.admin.explain import Explanation, explain
from workflows.admin.timeline import timeline_of
from workflows.models import (
    TERMINAL,
    ExecutionStatus,
    StepStatus,
    WorkflowExecution,
    WorkflowStep,
)

MAX_STEPS = 200
MAX_EVENTS = 100
MAX_STATUSES = 5_000
RETRYABLE = (ExecutionStatus.FAILED, ExecutionStatus.NEEDS_REVIEW, ExecutionStatus.CANCELLED)
TROUBLED = (ExecutionStatus.FAILED, ExecutionStatus.NEEDS_REVIEW)
LIVE_SECONDS: dict[str, int] = {ExecutionStatus.WAITING: 10, ExecutionStatus.PAUSED: 10}


def executions_with_parts() -> QuerySet[WorkflowExecution]:
    return WorkflowExecution.objects.select_related(
        "workflow", "version", "parent_step__execution"
    ).defer("workflow__metadata", "parent_step__input", "parent_step__output")


def page_of(execution: WorkflowExecution) -> dict[str, Any]:
    """Everything that the live part of the page shows."""
    steps = list(execution.steps.defer("input", "output").order_by("-id")[: MAX_STEPS + 1])
    has_more = len(steps) > MAX_STEPS
    steps = steps[:MAX_STEPS][::-1]
    names = {step.step_id: step.name for step in steps if step.name}
    return {
        "execution": execution,
        "steps": steps,
        "has_more_steps": has_more,
        "max_steps": MAX_STEPS,
        "events": list(execution.events.order_by("-sequence")[:MAX_EVENTS]),
        "timeline": timeline_of(
            steps, start=execution.started_at, end=execution.completed_at or timezone.now()
        ),
        "graph": _graph(execution, steps, has_more=has_more),
        "trouble": _trouble(execution, steps, names),
        "may_retry": execution.status in RETRYABLE,
        "may_cancel": execution.status not in TERMINAL,
        "refresh_seconds": None if execution.has_ended else LIVE_SECONDS.get(execution.status, 2),
    }


def _graph(
    execution: WorkflowExecution, steps: list[WorkflowStep], *, has_more: bool
) -> SafeString:
    if execution.version is None:
        return SafeString("")
    found = [(step.step_id, step.status) for step in steps]
    if has_more:
        latest = execution.steps.order_by("-id").values_list("step_id", "status")[:MAX_STATUSES]
        found = list(latest)[::-1]
    return draw_workflow(execution.version.document, statuses=dict(found))


def _trouble(
    execution: WorkflowExecution, steps: list[WorkflowStep], names: dict[str, str]
) -> Explanation | None:
    if execution.status not in TROUBLED:
        return None
    if execution.errors:
        return explain(execution.errors, names=names)
    bad = [s for s in steps if s.status in (StepStatus.FAILED, StepStatus.NEEDS_REVIEW)]
    if not bad:
        return None
    error = bad[-1].error if isinstance(bad[-1].error, dict) else {}
    about = {"step": bad[-1].step_id, "attempt": bad[-1].attempt, "service": bad[-1].service}
    return explain([{**about, **error}], names=names)
