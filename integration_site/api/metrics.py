"""`/metrics`: how the hub and its fleet are, as Prometheus reads it.

Everything is read from the database when it is asked for, so that one scrape of any web process
tells of the whole hub. The names of services are the only labels that grow, up to `MOST_SERVICES`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, QuerySet
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from rest_framework.views import APIView

from monitoring.models import UNSENT, AlertDelivery, DeliveryState, Incident, Severity
from registry.models import (
    HEALTHY,
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
DAY = timedelta(days=1)


class HubCollector:
    """Reads the database into metrics, once for each scrape."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield from self._fleet()
        yield from self._work()
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

    def _work(self) -> Iterator[GaugeMetricFamily]:
        open_words = [each for each in ExecutionStatus.values if each not in TERMINAL]
        under_way = WorkflowExecution.objects.filter(status__in=open_words)
        words = "Executions that have not ended, by status."
        counts = _counts(under_way, "status")
        yield _by("hub_executions_open", words, "status", open_words, counts)
        since = WorkflowExecution.objects.filter(created_at__gt=self._now - DAY)
        words = "Executions that began within a day and have ended, by status."
        counts = _counts(since.filter(status__in=TERMINAL), "status")
        yield _by("hub_executions_ended_day", words, "status", TERMINAL, counts)
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
