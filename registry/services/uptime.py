"""Measures how much of the time a service could be used, from the log of changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from registry.models import (
    HEALTHY,
    DiscoveryState,
    ObservationGap,
    RegistryChange,
    Service,
    ServiceStatus,
)

WINDOW = timedelta(hours=24)
SWEEP_INTERVAL = timedelta(seconds=5)
# A sweep is late by this much without a reason: below, it is the scheduler's jitter.
UNSEEN_AFTER = 2 * SWEEP_INTERVAL

Span = tuple[datetime, datetime]
Since = tuple[datetime, str]


@dataclass(frozen=True, slots=True)
class Uptime:
    """The share of the observed time since `since` in which a service was ONLINE or DEGRADED.

    `percent` is None where nothing was observed. `coverage` is the observed share of the time, in
    percent: what nobody observed, UNKNOWN and PENDING, is no data and counts neither way.
    """

    percent: float | None
    coverage: float
    since: datetime
    seconds: float


def rate_uptime(
    changes: Sequence[Since], *, gaps: Iterable[Span], start: datetime, end: datetime
) -> Uptime:
    """Return the uptime of [start, end], from the statuses in force from each instant on.

    `gaps` are times in which nobody looked; they may overlap. What is before the first change is no
    data either.
    """
    seconds = max((end - start).total_seconds(), 0.0)
    unseen = _joined(gaps)
    ends = [*(at for at, _ in changes[1:]), end]
    observed = up = 0.0
    for (at, status), until in zip(changes, ends, strict=False):  # without changes there is one end
        if status in (ServiceStatus.UNKNOWN, ServiceStatus.PENDING):
            continue
        seen = _seconds_outside(unseen, max(at, start), min(until, end))
        observed += seen
        up += seen if status in HEALTHY else 0.0
    percent = round(min(up / observed, 1.0) * 100, 2) if observed else None
    coverage = round(min(observed / seconds, 1.0) * 100, 2) if seconds else 0.0
    return Uptime(percent, coverage, start, seconds)


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Return the same spans in order, none overlapping another."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _seconds_outside(spans: Sequence[Span], start: datetime, end: datetime) -> float:
    if end <= start:
        return 0.0
    inside = (
        (min(until, end) - max(at, start)).total_seconds()
        for at, until in spans
        if at < end and until > start
    )
    return (end - start).total_seconds() - sum(inside)


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
    return rate_uptime(changes, gaps=_gaps(start, now), start=start, end=now)


def _gaps(start: datetime, end: datetime) -> list[Span]:
    """Return the times in which nobody looked, with the one that is under way."""
    rows = ObservationGap.objects.filter(ended_at__gt=start, started_at__lt=end)
    gaps = list(rows.values_list("started_at", "ended_at"))
    swept_at = DiscoveryState.objects.values_list("swept_at", flat=True).first()
    if swept_at is not None and end - swept_at > UNSEEN_AFTER:
        gaps.append((swept_at, end))
    return gaps
