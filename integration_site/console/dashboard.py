"""The start page: what is up, what is down, what ran and what failed.

Drawn from the database in a constant number of queries, each bounded by an index and a limit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, Count, Model, SmallIntegerField, When
from django.http import HttpRequest
from django.utils import timezone

from core.admin.pages import page_of
from integration_site.console.charts import draw_hours, hours_of, legend, most_of, starts_of_hours
from model_orchestration.admin.amounts import draw_levels
from model_orchestration.admin.levels import fullest_limits
from model_orchestration.models import Model as LanguageModel
from monitoring.models import Incident, Severity
from registry.models import (
    CircuitBreakerState,
    Connection,
    ConnectionStatus,
    Service,
    ServiceStatus,
)
from workflows.admin.execution.failure_explanation import Explanation, explain
from workflows.models import (
    OPEN_STEP,
    ExecutionStatus,
    StepStatus,
    WorkflowExecution,
    WorkflowStep,
)

SHOWN = 8
# A step that nobody takes up for this long means that no worker runs.
STUCK_AFTER = timedelta(seconds=30)
MAX_COUNTED = 1000
TROUBLED = (
    ServiceStatus.PENDING, ServiceStatus.OFFLINE, ServiceStatus.DEGRADED, ServiceStatus.UNKNOWN,
)  # fmt: skip
FAILING = (ConnectionStatus.ERROR, ConnectionStatus.DEGRADED)
OPEN = (
    ExecutionStatus.PENDING,
    ExecutionStatus.RUNNING,
    ExecutionStatus.WAITING,
    ExecutionStatus.PAUSED,
    ExecutionStatus.COMPENSATING,
)
BROKEN_STEP = (StepStatus.FAILED, StepStatus.NEEDS_REVIEW)
BROKEN = (ExecutionStatus.FAILED, ExecutionStatus.NEEDS_REVIEW)


def dashboard_callback(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add to the start page what this person may see."""
    now = timezone.now()
    context["now"] = now
    if request.user.has_perm("registry.view_service"):
        context.update(services_context())
        context["hub_url"] = f"{request.scheme}://{request.get_host()}"
    if request.user.has_perm("monitoring.view_incident"):
        context.update(incidents_context())
    if request.user.has_perm("registry.view_connection"):
        context.update(connections_context())
    if request.user.has_perm("model_orchestration.view_modelbudget"):
        context.update(models_context(now))
    if request.user.has_perm("workflows.view_workflowexecution"):
        context.update(executions_context(now))
    return context


def _count_by_status(model: type[Model]) -> dict[str, int]:
    rows = model._default_manager.order_by().values_list("status")
    return dict(rows.annotate(Count("pk")))


def _labelled(counts: Mapping[str, int], statuses: Iterable[Any]) -> list[dict[str, Any]]:
    return [
        {"status": status, "label": status.label, "count": counts.get(status, 0)}
        for status in statuses
    ]


# --- Services ---


def services_context() -> dict[str, Any]:
    """Count the services by status, and list those in trouble by name."""
    counts = _count_by_status(Service)
    troubled = Service.objects.filter(status__in=TROUBLED).prefetch_related("instances")
    refusing = CircuitBreakerState.objects.blocking()
    return {
        "may_see_services": True,
        "service_total": sum(counts.values()),
        "service_counts": _labelled(counts, ServiceStatus),
        "troubled_total": sum(counts.get(status, 0) for status in TROUBLED),
        "troubled": sorted(troubled.order_by("name")[:SHOWN], key=_worst_first),
        "circuits": list(refusing.with_places().order_by("-updated_at")[:SHOWN]),
        "most_circuits": MAX_COUNTED,
        "circuits_total": refusing.order_by()[:MAX_COUNTED].count(),
    }


def _worst_first(service: Service) -> tuple[int, str]:
    return TROUBLED.index(ServiceStatus(service.status)), service.name.lower()


# --- Incidents ---


def incidents_context() -> dict[str, Any]:
    """List the incidents that are open, the worst and then the latest first."""
    rank = Case(
        When(severity=Severity.CRITICAL, then=0), default=1, output_field=SmallIntegerField()
    )
    rows = Incident.objects.unresolved().filter(merged_into=None)
    return {
        "may_see_incidents": True,
        "incidents": list(rows.select_related("service").order_by(rank, "-opened_at")[:SHOWN]),
        "most_incidents": MAX_COUNTED,
        "incidents_total": rows.order_by()[:MAX_COUNTED].count(),
    }


# --- Connections ---


def connections_context() -> dict[str, Any]:
    """Count the connections by status, and list those in trouble with what they answered."""
    counts = _count_by_status(Connection)
    # One status after the other, each by its index: who is in ERROR comes first.
    worst = [
        row
        for status in FAILING
        if counts.get(status)
        for row in Connection.objects.filter(status=status).order_by("name")[:SHOWN]
    ]
    return {
        "connection_total": sum(counts.values()),
        "connection_counts": _labelled(counts, ConnectionStatus),
        "failing_total": sum(counts.get(status, 0) for status in FAILING),
        "failing": worst[:SHOWN],
    }


# --- Models ---


def models_context(now: datetime) -> dict[str, Any]:
    """Count the models, and list the budgets that are nearly used up."""
    full = fullest_limits(now=now, most=SHOWN)
    return {
        "model_total": LanguageModel.objects.count(),
        "full_limits": [
            {"limit": each, "link": page_of(each.row), "bars": draw_levels(each.levels)}
            for each in full
        ],
    }


# --- Executions ---


def executions_context(now: datetime) -> dict[str, Any]:
    """Return what ran over a day, what failed last and what runs now."""
    hours = hours_of(counts_per_hour(now), now=now)
    return {
        "may_see_executions": True,
        "has_executions": WorkflowExecution.objects.exists(),
        "hours": hours,
        "chart": draw_hours(hours),
        "most": most_of(hours),
        "legend": legend(hours),
        "ran_total": sum(hour.total for hour in hours),
        "failures": _latest_failures(),
        "running": _running(),
        "open_total": _open_total(),
        "max_counted": MAX_COUNTED,
        "stuck": _stuck(now),
    }


def counts_per_hour(now: datetime) -> dict[tuple[datetime, str], int]:
    """Count the executions of each of the last 24 hours by status."""
    starts = starts_of_hours(now)
    # Compared with the starts and not cut down to the hour: SQLite does that row by row in Python.
    since = [When(created_at__gte=start, then=back) for back, start in enumerate(reversed(starts))]
    rows = (
        WorkflowExecution.objects.filter(created_at__gte=starts[0])
        .order_by()
        .annotate(back=Case(*since, output_field=SmallIntegerField()))
        .values_list("back", "status")
        .annotate(executions=Count("pk"))
    )
    return {(starts[-1 - back], status): count for back, status, count in rows}


def _latest_failures() -> list[tuple[WorkflowExecution, Explanation | None]]:
    executions = list(
        WorkflowExecution.objects.filter(status__in=BROKEN)
        .defer("input", "context", "output")
        .order_by("-created_at")[:SHOWN]
    )
    names: dict[Any, dict[str, str]] = defaultdict(dict)
    failed = WorkflowStep.objects.filter(execution__in=executions, status__in=BROKEN_STEP)
    for execution_id, step_id, name in failed.values_list("execution_id", "step_id", "name"):
        names[execution_id][step_id] = name or step_id
    return [(run, explain(run.errors, names=names[run.pk])) for run in executions]


def _running() -> list[tuple[WorkflowExecution, WorkflowStep | None]]:
    """Return the latest open executions, each with the step that it is at."""
    executions = list(
        WorkflowExecution.objects.filter(status__in=OPEN)
        .defer("input", "context", "output", "errors")
        .order_by("-created_at")[:SHOWN]
    )
    steps = WorkflowStep.objects.filter(execution__in=executions, status__in=OPEN_STEP)
    at = {step.execution_id: step for step in steps.defer("input", "output").order_by("id")}
    return [(execution, at.get(execution.pk)) for execution in executions]


def _open_total() -> int:
    return WorkflowExecution.objects.filter(status__in=OPEN).order_by()[:MAX_COUNTED].count()


def _stuck(now: datetime) -> int:
    """Count the steps that are due and were not taken up: if there are any, no worker runs."""
    due = WorkflowStep.objects.filter(
        status__in=(StepStatus.PENDING, StepStatus.WAITING), wake_at__lt=now - STUCK_AFTER
    )
    return due.order_by()[:MAX_COUNTED].count()
