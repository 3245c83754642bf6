"""Reads what services cannot do without."""

from __future__ import annotations

from uuid import UUID

from monitoring.dependencies.ways import needs_of
from monitoring.models import DependencyKind, ServiceDependency


def read_hard_needs() -> dict[UUID, list[UUID]]:
    """Return which services each cannot do without."""
    hard = ServiceDependency.objects.filter(kind=DependencyKind.HARD)
    return needs_of(hard.order_by().values_list("service", "depends_on"))
