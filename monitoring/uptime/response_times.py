"""How fast services and checks answered over a window, as percentiles of each part of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Case, Count, IntegerField, Q, QuerySet, Value, When
from django.db.models.functions import TruncHour, TruncMinute

from monitoring.models import (
    CheckState,
    HealthCheck,
    HealthCheckResult,
    MemoryState,
    Period,
    UptimeRollup,
)
from monitoring.uptime.latency import BOUNDS, BUCKETS, merge_latencies, percentile
from registry.models import Service

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class ResponseWindow:
    """How far back, and how long each part of it is."""

    length: timedelta
    step: timedelta


RESPONSE_WINDOWS = {
    "1h": ResponseWindow(timedelta(hours=1), timedelta(minutes=1)),
    "24h": ResponseWindow(timedelta(hours=24), timedelta(minutes=15)),
    "7d": ResponseWindow(timedelta(days=7), timedelta(hours=2)),
    "30d": ResponseWindow(timedelta(days=30), timedelta(hours=6)),
    "90d": ResponseWindow(timedelta(days=90), timedelta(days=1)),
}
# Looks are kept for a week, and hours are summed by service.
CHECK_WINDOWS = ("1h", "24h", "7d")
# A service's longer windows are read from hours.
_BY_LOOKS = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class ResponsePoint:
    """A part of a window: how many answers came, and within what time which share of them."""

    at: datetime
    count: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class ResponseTimes:
    """The parts of a window, the oldest first; those without an answer are among them."""

    window: str
    since: datetime
    until: datetime
    step: timedelta
    points: Sequence[ResponsePoint]

    @property
    def step_seconds(self) -> int:
        return int(self.step.total_seconds())

    @property
    def known(self) -> list[ResponsePoint]:
        """The parts in which answers came."""
        return [each for each in self.points if each.count]


def times_of_service(service: Service, window: str, *, now: datetime) -> ResponseTimes:
    """Return how fast the instances of a service answered its checks."""
    wanted = RESPONSE_WINDOWS[window]
    since, until = bounds_of(window, now=now)
    if wanted.length <= _BY_LOOKS:
        return _points(
            window, since, until, _looks(service.checks.all(), since, until, wanted.step)
        )
    summed = MemoryState.objects.values_list("summed_until", flat=True).first()
    tail = max(since, summed or since)
    found = _hours(service, since, tail)
    found += _looks(service.checks.all(), tail, until, HOUR).items()
    return _points(window, since, until, dict(_by_step(found, wanted.step)))


def times_of_check(check: HealthCheck, window: str, *, now: datetime) -> ResponseTimes:
    """Return how fast what a check looks at answered."""
    since, until = bounds_of(window, now=now)
    step = RESPONSE_WINDOWS[window].step
    return _points(window, since, until, _looks([check], since, until, step))


def bounds_of(window: str, *, now: datetime) -> tuple[datetime, datetime]:
    """Return the beginning of the first part of a window, and its end, in whole minutes."""
    until = now.replace(second=0, microsecond=0)
    wanted = RESPONSE_WINDOWS[window]
    return start_of(until - wanted.length, wanted.step), until


def start_of(at: datetime, step: timedelta) -> datetime:
    """Return the beginning of the part of a window in which a time is."""
    seconds = int(step.total_seconds())
    return datetime.fromtimestamp(int(at.timestamp()) // seconds * seconds, UTC)


def _looks(
    checks: Iterable[HealthCheck], since: datetime, until: datetime, step: timedelta
) -> dict[datetime, list[int]]:
    """Return how many answers of which speed came in each part; counted by the database."""
    cut = TruncHour if step >= HOUR else TruncMinute
    found: dict[datetime, list[int]] = defaultdict(lambda: [0] * BUCKETS)
    for check in checks:
        counted = (
            _of_check(check)
            .filter(checked_at__gte=since, checked_at__lt=until, latency_ms__isnull=False)
            .annotate(at=cut("checked_at", tzinfo=UTC), place=_PLACE)
            .values_list("at", "place")
            .annotate(count=Count("pk"))
            .order_by()
        )
        for at, place, count in counted:
            found[start_of(at, step)][place] += count
    return dict(found)


_PLACE: Any = Case(
    *(When(latency_ms__lte=bound, then=Value(place)) for place, bound in enumerate(BOUNDS)),
    default=Value(len(BOUNDS)),
    output_field=IntegerField(),
)


def _of_check(check: HealthCheck) -> QuerySet[HealthCheckResult]:
    """Return the looks of a check, named by their instances as the index has them."""
    if check.service_id is None:
        return HealthCheckResult.objects.filter(health_check=check, instance=None)
    states = CheckState.objects.filter(health_check=check).values("instance")
    alone = Q(instance=None)
    return HealthCheckResult.objects.filter(Q(instance__in=states) | alone, health_check=check)


def _hours(service: Service, since: datetime, until: datetime) -> list[tuple[datetime, list[int]]]:
    hours = UptimeRollup.objects.filter(
        service=service, period=Period.HOUR, starts_at__gte=since, starts_at__lt=until
    )
    return list(hours.exclude(latencies=[]).values_list("starts_at", "latencies"))


def _by_step(
    found: Iterable[tuple[datetime, list[int]]], step: timedelta
) -> Iterable[tuple[datetime, list[int]]]:
    parts: dict[datetime, list[list[int]]] = defaultdict(list)
    for at, counts in found:
        parts[start_of(at, step)].append(counts)
    return ((at, merge_latencies(each)) for at, each in parts.items())


def _points(
    window: str, since: datetime, until: datetime, found: Mapping[datetime, Sequence[int]]
) -> ResponseTimes:
    step = RESPONSE_WINDOWS[window].step
    points, at = [], since
    while at < until:
        points.append(_point(at, found.get(at, ())))
        at += step
    return ResponseTimes(window, since, until, step, points)


def _point(at: datetime, counts: Sequence[int]) -> ResponsePoint:
    return ResponsePoint(at, sum(counts), *(percentile(counts, each) for each in (0.5, 0.95, 0.99)))
