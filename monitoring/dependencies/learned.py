"""Finds which service calls which, beside what anybody said: by the integrations between them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max

from core.db.uuid7 import uuid7_at
from monitoring.models import ServiceDependency
from registry.models import IntegrationExecution, Service

LOOKED_BACK = timedelta(days=7)
MOST_LEARNED = 500


@dataclass(frozen=True, slots=True)
class LearnedDependency:
    """A service called another lately; nobody said that it needs it, so no alert goes by it."""

    service: Service
    depends_on: Service
    count: int
    last_at: datetime


def read_learned(*, now: datetime) -> list[LearnedDependency]:
    """Return who called whom within a week and is not known to need it, by their names."""
    calls = (
        IntegrationExecution.objects.filter(pk__gte=uuid7_at(now - LOOKED_BACK))
        .exclude(service="")
        .exclude(integration__source="")
        .order_by()
        .values_list("integration__source", "service")
        .annotate(count=Count("pk"), last=Max("started_at"))[:MOST_LEARNED]
    )
    called = list(calls)
    by_name = _by_name({name for pair in called for name in pair[:2]})
    declared = set(ServiceDependency.objects.order_by().values_list("service", "depends_on"))
    found = [
        LearnedDependency(by_name[source], by_name[target], count, last)
        for source, target, count, last in called
        if source in by_name and target in by_name
    ]
    kept = [
        each
        for each in found
        if each.service != each.depends_on and (each.service.pk, each.depends_on.pk) not in declared
    ]
    return sorted(kept, key=lambda each: (each.service.name, each.depends_on.name))


def _by_name(names: Iterable[str]) -> dict[str, Service]:
    rows = Service.objects.filter(name__in=list(names)).only("name", "status", "type")
    return {row.name: row for row in rows}
