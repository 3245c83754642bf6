"""Measures how much of the time a service could be used, from the log of changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from registry.models import DiscoveryState, ObservationGap, RegistryChange, Service
from registry.policies.uptime import Since, Span, measure

WINDOW = timedelta(hours=24)
SWEEP_INTERVAL = timedelta(seconds=5)
# A sweep is late by this much without a reason: below, it is the scheduler's jitter.
UNSEEN_AFTER = 2 * SWEEP_INTERVAL
# For as long as uptime goes back.
GAPS_KEPT = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class Uptime:
    """The share of the observed time since `since` in which a service was ONLINE or DEGRADED.

    `percent` is None where nothing counts: maintenance does not. `coverage` is the observed share
    of the time, in percent: what nobody observed, UNKNOWN and PENDING, is no data.
    """

    percent: float | None
    coverage: float
    since: datetime
    seconds: float


def rate_uptime(
    changes: Sequence[Since], *, gaps: Iterable[Span], start: datetime, end: datetime
) -> Uptime:
    """Return the uptime of [start, end], from the statuses in force from each instant on."""
    parts = measure(changes, gaps=gaps, start=start, end=end)
    return Uptime(parts.percent(), parts.coverage, start, parts.seconds)


def measure_uptime(service: Service, *, now: datetime) -> Uptime:
    """Return the uptime of the last 24 hours, or of as much of them as is on record.

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
    return rate_uptime(changes, gaps=read_gaps(start, now), start=start, end=now)


def read_gaps(start: datetime, end: datetime) -> list[Span]:
    """Return the times in which nobody looked, with the one that is under way."""
    rows = ObservationGap.objects.filter(ended_at__gt=start, started_at__lt=end)
    gaps = list(rows.values_list("started_at", "ended_at"))
    swept_at = DiscoveryState.objects.values_list("swept_at", flat=True).first()
    if swept_at is not None and end - swept_at > UNSEEN_AFTER:
        gaps.append((swept_at, end))
    return gaps
