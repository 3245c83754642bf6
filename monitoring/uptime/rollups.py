"""Sums hours and days, once they are over, so that a year costs as little to read as a day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Min, Sum

from core.db.retention import drop_first
from core.db.uuid7 import uuid7_at
from monitoring.models import HealthCheckResult, MemoryState, Period, StatusSpan, UptimeRollup
from monitoring.uptime.latency import count_latencies, merge_latencies
from monitoring.uptime.maintenance import windows_between
from monitoring.uptime.spans import lock_memory, spans_between
from registry.models import Service
from registry.policies.uptime import Parts, measure
from registry.services.uptime import read_gaps

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# A change is in the log at once, but in the spans only after the next sweep.
SETTLED_AFTER = timedelta(minutes=1)
MOST_HOURS = 24
KEPT = timedelta(days=400)
PARTS = ("up", "down", "maintenance_up", "maintenance_down", "unknown")
COLUMNS = tuple(f"{part}_ms" for part in PARTS)


def sum_hours(*, now: datetime) -> int:
    """Sum the hours that are over, and the days with them; return how many hours."""
    done = 0
    while done < MOST_HOURS and _sum_next(now):
        done += 1
    return done


def _sum_next(now: datetime) -> bool:
    """Sum the next hour, all or nothing."""
    with transaction.atomic():
        state = lock_memory()
        start = None if state is None else state.summed_until or _first_hour()
        if state is None or start is None or start + HOUR + SETTLED_AFTER > now:
            return False
        end = start + HOUR
        ids = Service.objects.filter(created_at__lt=end).values_list("pk", flat=True)
        latencies = _latencies(start, end)
        rows = [
            rollup_of(key, Period.HOUR, start, parts, latencies.get(key, ()))
            for key, parts in measure_all(list(ids), start, end).items()
        ]
        UptimeRollup.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)
        if end.hour == 0:
            _sum_day(end - DAY)
        MemoryState.objects.filter(pk=1).update(summed_until=end)
    return True


def _latencies(start: datetime, end: datetime) -> dict[UUID, list[int]]:
    """Return how fast services answered in a time, by the looks of their checks."""
    looks = HealthCheckResult.objects.filter(
        # Ids grow with time: the index of them finds the hour.
        pk__gte=uuid7_at(start - SETTLED_AFTER),
        pk__lt=uuid7_at(end + SETTLED_AFTER),
        checked_at__gte=start,
        checked_at__lt=end,
        latency_ms__isnull=False,
        health_check__service__isnull=False,
    )
    taken: dict[UUID, list[float]] = defaultdict(list)
    for key, latency in looks.values_list("health_check__service", "latency_ms").iterator():
        taken[key].append(latency or 0.0)
    return {key: count_latencies(each) for key, each in taken.items()}


def _first_hour() -> datetime | None:
    first = StatusSpan.objects.aggregate(first=Min("started_at"))["first"]
    return first and first.replace(minute=0, second=0, microsecond=0)


def measure_all(services: Sequence[UUID], start: datetime, end: datetime) -> dict[UUID, Parts]:
    """Return the parts of a time for each of these services."""
    return measure_each(services, [(start, end)])[start, end]


def measure_each(
    services: Sequence[UUID], times: Sequence[tuple[datetime, datetime]]
) -> dict[tuple[datetime, datetime], dict[UUID, Parts]]:
    """Return that for each of several times, of which what there is to know is read once."""
    start, end = min(first for first, _ in times), max(last for _, last in times)
    gaps = read_gaps(start, end)
    windows = windows_between(services, start, end)
    changes: dict[UUID, list[tuple[datetime, str]]] = defaultdict(list)
    for span in spans_between(services, start, end):
        changes[span.service_id].append((span.started_at, span.status))
    return {
        (first, last): {
            key: measure(
                changes.get(key, ()), start=first, end=last, gaps=gaps,
                windows=windows.get(key, ()),
            )
            for key in services
        }
        for first, last in times
    }  # fmt: skip


def rollup_of(
    service_id: UUID, period: str, start: datetime, parts: Parts, latencies: Sequence[int] = ()
) -> UptimeRollup:
    """Return the row of a period, not stored."""
    sums = {f"{part}_ms": round(getattr(parts, part) * 1000) for part in PARTS}
    return UptimeRollup(
        service_id=service_id, period=period, starts_at=start, latencies=list(latencies), **sums
    )


def parts_of(milliseconds: Iterable[int]) -> Parts:
    """Return the parts that are stored in these columns, in their order."""
    return Parts(*(each / 1000 for each in milliseconds))


def _sum_day(start: datetime) -> None:
    hours = UptimeRollup.objects.filter(
        period=Period.HOUR, starts_at__gte=start, starts_at__lt=start + DAY
    ).order_by()
    sums: Any = hours.values("service").annotate(**{column: Sum(column) for column in COLUMNS})
    seen: dict[UUID, list[Sequence[int]]] = defaultdict(list)
    for key, latencies in hours.exclude(latencies=[]).values_list("service", "latencies"):
        seen[key].append(latencies)
    rows = [
        rollup_of(
            row["service"],
            Period.DAY,
            start,
            parts_of(row[column] for column in COLUMNS),
            merge_latencies(seen[row["service"]]),
        )
        for row in sums
    ]
    UptimeRollup.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)


def forget_hours(*, now: datetime) -> None:
    """Drop the oldest hours and spans, a batch at a time; days are kept for ever."""
    hours = UptimeRollup.objects.filter(period=Period.HOUR, starts_at__lt=now - KEPT)
    drop_first(hours.order_by("starts_at"))
    drop_first(StatusSpan.objects.filter(ended_at__lt=now - KEPT).order_by("ended_at"))


def days_of(
    services: Iterable[UUID], *, first: datetime, now: datetime
) -> dict[UUID, dict[datetime, Parts]]:
    """Return the parts of each day from `first` on, with today's so far, of each service."""
    ids = list(services)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    found: dict[UUID, dict[datetime, Parts]] = {key: {} for key in ids}
    rows = UptimeRollup.objects.filter(
        service__in=ids, period=Period.DAY, starts_at__gte=first, starts_at__lt=today
    ).order_by()
    for key, at, *sums in rows.values_list("service", "starts_at", *COLUMNS):
        found[key][at] = parts_of(sums)
    for key, parts in _unsummed(ids, first, today, now).items():
        for day, some in parts.items():
            found[key].setdefault(day, some)
    return found


def _unsummed(
    ids: Sequence[UUID], first: datetime, today: datetime, now: datetime
) -> dict[UUID, dict[datetime, Parts]]:
    """Return today's parts, and yesterday's where these are not summed yet."""
    summed = MemoryState.objects.values_list("summed_until", flat=True).first()
    days = [today, *([today - DAY] if summed is None or summed < today else [])]
    found: dict[UUID, dict[datetime, Parts]] = defaultdict(dict)
    for day in days:
        if day >= first.replace(hour=0, minute=0, second=0, microsecond=0):
            for key, parts in measure_all(ids, day, min(day + DAY, now)).items():
                found[key][day] = parts
    return found
