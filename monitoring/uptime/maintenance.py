"""When services were under maintenance that their status does not tell of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from core.name_patterns import matches_any
from monitoring.models import (
    MaintenanceOccurrence,
    MaintenanceWindow,
    OccurrenceState,
    WindowStatus,
)
from registry.models import Service
from registry.policies.uptime import Span


def windows_between(
    services: Sequence[UUID], start: datetime, end: datetime
) -> Mapping[UUID, Sequence[Span]]:
    """Return the windows of maintenance that reach into a time, by service."""
    occurrences = occurrences_between(start, end)
    if not occurrences:
        return {}
    found: dict[UUID, list[Span]] = defaultdict(list)
    rows = Service.objects.filter(pk__in=services).only("name", "tags", "type")
    for service in rows:
        for each in occurrences:
            if covers(each.window, service):
                found[service.pk].append((each.starts_at, each.ends_at))
    return found


def occurrences_between(start: datetime, end: datetime) -> list[MaintenanceOccurrence]:
    """Return the times of windows that reach into a time; not those that were called off."""
    rows = MaintenanceOccurrence.objects.filter(ends_at__gt=start, starts_at__lt=end)
    called_off = rows.filter(window__status=WindowStatus.CANCELLED, state=OccurrenceState.SCHEDULED)
    kept = rows.exclude(pk__in=called_off.values("pk"))
    return list(kept.select_related("window").order_by("starts_at"))


def covers(window: MaintenanceWindow, service: Service) -> bool:
    """Return whether a window is of a service: by name, tag or type, or of everything."""
    return (
        window.everything
        or matches_any(window.services, service.name)
        or bool(set(window.tags) & set(service.tags))
        or service.type in window.types
    )
