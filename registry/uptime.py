"""How much of the time a service could be used, from what was recorded of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from registry.models import HEALTHY, RegistryChange, Service

WINDOW = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Uptime:
    """The share of the time since `since` in which the service was ONLINE or DEGRADED."""

    percent: float
    since: datetime
    seconds: float


def share_up(changes: Sequence[tuple[datetime, str]], *, start: datetime, end: datetime) -> float:
    """The share of [start, end] in a healthy status, from the statuses in force from each instant.

    The first change must not be after `start`.
    """
    total = (end - start).total_seconds()
    if total <= 0:
        return float(changes[-1][1] in HEALTHY)
    ends = [*(at for at, _ in changes[1:]), end]
    up = sum(
        max(0.0, (min(until, end) - max(at, start)).total_seconds())
        for (at, status), until in zip(changes, ends, strict=True)
        if status in HEALTHY
    )
    return min(up / total, 1.0)


def measure_uptime(service: Service, *, now: datetime) -> Uptime:
    """The uptime of the last 24 hours, or of as much of them as is on record.

    Counted in whole minutes, so that it is the same for those who ask again at once.
    """
    now = now.replace(second=0, microsecond=0)
    start = max(now - WINDOW, service.created_at)
    rows = RegistryChange.objects.filter(service_id=service.pk)
    before = rows.filter(created_at__lte=start).order_by("-index").first()
    within = rows.filter(created_at__gt=start, created_at__lte=now).order_by("index")
    changes = [(change.created_at, change.status) for change in within]
    if before is not None:
        changes.insert(0, (start, before.status))
    elif changes:
        start = changes[0][0]
    else:
        # The log is cut at its old end: nothing happened as far back as it goes.
        oldest = RegistryChange.objects.order_by("index").first()
        start = max(start, oldest.created_at) if oldest else start
        changes = [(start, service.status)]
    percent = round(share_up(changes, start=start, end=now) * 100, 2)
    return Uptime(percent, start, max((now - start).total_seconds(), 0.0))
