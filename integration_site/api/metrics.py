"""`/metrics`: how the hub and its fleet are, as Prometheus reads it.

Everything is read from the database when it is asked for, so that one scrape of any web process
tells of the whole hub. The names of services, actions, workflows and objectives are the only labels
that grow, each up to a number of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, QuerySet, Sum
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from rest_framework.views import APIView

from monitoring.models import (
    UNSENT,
    AlertDelivery,
    CheckState,
    CheckStatus,
    DeliveryState,
    Incident,
    Severity,
    Slo,
)
from monitoring.slos.counting import read_counts
from registry.models import (
    HEALTHY,
    CallMinute,
    CircuitBreakerState,
    CircuitState,
    Connection,
    ConnectionStatus,
    Service,
    ServiceInstance,
    ServiceStatus,
)
from workflows.models import (
    TERMINAL,
    ExecutionStatus,
    StepStatus,
    Worker,
    WorkflowExecution,
    WorkflowStep,
)

MOST_SERVICES = 1000
MOST_ACTIONS = 500
MOST_WORKFLOWS = 500
MOST_OBJECTIVES = 200
# Calls are told of the minutes that are over, and that every process has written.
CALLS_OVER = timedelta(minutes=5)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


# The conditions of the indexes by which steps of each status are found.
_INDEXED_STEPS: Mapping[str, Mapping[str, Any]] = {
    StepStatus.PENDING: {"wake_at__isnull": False},
    StepStatus.RUNNING: {},
    StepStatus.WAITING: {},
    StepStatus.NEEDS_REVIEW: {},
}


class HubCollector:
    """Reads the database into metrics, once for each scrape."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield from self._fleet()
        yield from self._checks()
        yield from self._calls()
        yield from self._objectives()
        yield from self._work()
        yield from self._steps()
        yield from self._alerts()

    def _fleet(self) -> Iterator[GaugeMetricFamily]:
        counted = (
            ("hub_services", "Services by status.", Service, ServiceStatus),
            ("hub_instances", "Instances by status.", ServiceInstance, ServiceStatus),
            ("hub_connections", "Connections by status.", Connection, ConnectionStatus),
        )
        for name, words, model, statuses in counted:
            rows = model._default_manager.all()
            yield _by(name, words, "status", statuses.values, _counts(rows, "status"))
        circuits = _counts(CircuitBreakerState.objects.all(), "state")
        words = "Circuit breakers by state."
        yield _by("hub_circuit_breakers", words, "state", CircuitState.values, circuits)
        up = GaugeMetricFamily(
            "hub_service_up",
            f"Whether a service answers, of the first {MOST_SERVICES} by name.",
            labels=("service", "type"),
        )
        rows = Service.objects.order_by("name").values_list("name", "type", "status")
        for name, type, status in rows[:MOST_SERVICES]:
            up.add_metric((name, type), float(status in HEALTHY))
        yield up

    def _checks(self) -> Iterator[GaugeMetricFamily]:
        counts = _counts(CheckState.objects.all(), "state")
        yield _by("hub_checks", "Subjects of checks by state.", "state", CheckStatus.values, counts)
        due = CheckState.objects.filter(next_due_at__lte=self._now)
        oldest = due.aggregate(oldest=Min("next_due_at"))["oldest"]
        age = (self._now - oldest).total_seconds() if oldest else 0.0
        yield _one("hub_checks_late_seconds", "How long the look that is due first waits.", age)
        heard = ServiceInstance.objects.filter(last_heartbeat_at__gt=self._now - MINUTE)
        words = "Instances whose heartbeat came within a minute, where the database keeps them."
        yield _one("hub_heartbeats_heard", words, heard.count())

    def _calls(self) -> Iterator[GaugeMetricFamily]:
        until = (self._now - MINUTE / 2).replace(second=0, microsecond=0)
        rows = CallMinute.objects.filter(starts_at__gte=until - CALLS_OVER, starts_at__lt=until)
        counted = rows.values_list("service__name", "action", "is_good", "at_most_ms").annotate(
            calls=Sum("total")
        )
        calls = GaugeMetricFamily(
            "hub_calls",
            f"Calls of five minutes by how they ended, of the first {MOST_ACTIONS} actions.",
            labels=("service", "action", "outcome"),
        )
        times = GaugeMetricFamily(
            "hub_call_p95_seconds",
            "Within which time 95 of 100 of those that went well were answered.",
            labels=("service", "action"),
        )
        by_action: dict[tuple[str, str], list[tuple[bool, int, int]]] = {}
        for service, action, *counts in counted.order_by("service__name", "action", "at_most_ms"):
            by_action.setdefault((service or "", action), []).append((*counts,))
        for name, found in [*by_action.items()][:MOST_ACTIONS]:
            good = [(bound, number) for is_good, bound, number in found if is_good]
            total = sum(number for _, number in good)
            calls.add_metric((*name, "ok"), total)
            calls.add_metric((*name, "failed"), sum(each[2] for each in found) - total)
            if total:
                times.add_metric(name, _bound_at(good, 0.95 * total) / 1000)
        yield from (calls, times)

    def _objectives(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "hub_slo_burn_rate",
            "How many times as fast as it may the budget of an objective burns.",
            labels=("slo", "service", "window_seconds"),
        )
        enabled = Slo.objects.filter(enabled=True).select_related("service").order_by("name")
        slos = list(enabled[:MOST_OBJECTIVES])
        found = read_counts(slos, now=self._now)
        for slo in slos:
            for window, count in found[slo.pk].items():
                labels = (slo.name, slo.service.name, str(int(window.total_seconds())))
                family.add_metric(labels, round(count.burn(slo.target), 4))
        yield family

    def _steps(self) -> Iterator[GaugeMetricFamily]:
        """Count what an index has: each of these is one of few rows among very many."""
        counts = {
            status: WorkflowStep.objects.filter(status=status, **more).count()
            for status, more in _INDEXED_STEPS.items()
        }
        words = "Steps that have not ended, by status."
        yield _by("hub_steps_open", words, "status", _INDEXED_STEPS, counts)

    def _work(self) -> Iterator[GaugeMetricFamily]:
        open_words = [each for each in ExecutionStatus.values if each not in TERMINAL]
        under_way = WorkflowExecution.objects.filter(status__in=open_words)
        words = "Executions that have not ended, by status."
        counts = _counts(under_way, "status")
        yield _by("hub_executions_open", words, "status", open_words, counts)
        since = WorkflowExecution.objects.filter(created_at__gt=self._now - DAY)
        ended = since.filter(status__in=TERMINAL).order_by()
        by_workflow = list(ended.values_list("workflow__name", "status").annotate(Count("pk")))
        counts = Counter[str]()
        for _, status, number in by_workflow:
            counts[status] += number
        words = "Executions that began within a day and have ended, by status."
        yield _by("hub_executions_ended_day", words, "status", TERMINAL, counts)
        yield _of_workflows(by_workflow)
        due = WorkflowStep.objects.filter(
            status__in=(StepStatus.PENDING, StepStatus.WAITING), wake_at__lte=self._now
        ).aggregate(steps=Count("pk"), oldest=Min("wake_at"))
        yield _one("hub_steps_due", "Steps that are due and taken by no worker.", due["steps"])
        age = (self._now - due["oldest"]).total_seconds() if due["oldest"] else 0.0
        yield _one("hub_steps_due_age_seconds", "How long the oldest of them is due.", age)
        seen = Worker.alive(self._now).count()
        yield _one("hub_workers", "Workers that showed themselves within 30 s.", seen)

    def _alerts(self) -> Iterator[GaugeMetricFamily]:
        counts = _counts(Incident.objects.unresolved(), "severity")
        words = "Incidents that are not resolved, by severity."
        yield _by("hub_incidents_open", words, "severity", Severity.values, counts)
        unsent = AlertDelivery.objects.filter(state__in=UNSENT).count()
        yield _one("hub_alert_messages_unsent", "Alert messages that wait to be sent.", unsent)
        lately = AlertDelivery.objects.filter(created_at__gt=self._now - DAY)
        dead = lately.filter(state=DeliveryState.DEAD).count()
        yield _one("hub_alert_messages_dead_day", "Those of a day that were given up.", dead)


def _bound_at(counts: Iterable[tuple[int, int]], number: float) -> int:
    """Return the bound under which so many were, of counts by rising bounds."""
    seen, found = 0, 0
    for bound, count in counts:
        if seen < number:
            found = bound
        seen += count
    return found


def _of_workflows(rows: Iterable[tuple[str | None, str, int]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "hub_workflow_executions_day",
        f"Executions of a day that have ended, of the {MOST_WORKFLOWS} most used workflows.",
        labels=("workflow", "status"),
    )
    by_name: dict[str, dict[str, int]] = {}
    for name, status, number in rows:
        by_name.setdefault(name or "", {})[status] = number
    most_used = sorted(by_name.items(), key=lambda each: (-sum(each[1].values()), each[0]))
    for name, counts in most_used[:MOST_WORKFLOWS]:
        for status, number in counts.items():
            family.add_metric((name, status), number)
    return family


def _counts(rows: QuerySet[Any], column: str) -> dict[str, int]:
    return dict(rows.order_by().values_list(column).annotate(Count("pk")))


def _by(
    name: str, words: str, label: str, values: Iterable[str], counts: Mapping[str, int]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, words, labels=(label,))
    for value in values:
        family.add_metric((str(value),), counts.get(value, 0))
    return family


def _one(name: str, words: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, words, value=value)


class MetricsView(APIView):
    """`/metrics`."""

    scopes = {"GET": "registry:read"}

    @extend_schema(responses={(200, "text/plain"): OpenApiTypes.STR}, tags=["health"])
    def get(self, request: Any) -> HttpResponse:
        """How the hub and its fleet are, in the text format of Prometheus."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(HubCollector(timezone.now()))
        return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
