"""When services were under maintenance that their status does not tell of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from monitoring.checks.upkeep import covers, occurrences_between
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
