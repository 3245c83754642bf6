"""Which windows of maintenance reach into a time, and what they are of."""

from __future__ import annotations

from datetime import datetime

from core.name_patterns import matches_any
from monitoring.models import (
    MaintenanceOccurrence,
    MaintenanceWindow,
    OccurrenceState,
    WindowStatus,
)
from registry.models import Service


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
