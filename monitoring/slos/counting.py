"""Counts looks and calls for objectives, minute by minute, and reads what was counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q, Sum

from core.db.retention import drop_first
from core.db.uuid7 import uuid7_at
from monitoring.models import CheckOutcome, HealthCheckResult, Slo, SloKind, SloMinute, SloSource
from monitoring.slos.burning import WINDOWS, Budget, Count
from registry.models import CallMinute

MINUTE = timedelta(minutes=1)
# Looks are written together, a moment after they are done.
SETTLED_AFTER = timedelta(seconds=30)
MOST_MINUTES = 10
KEPT = timedelta(days=91)
CALLS_KEPT = timedelta(days=7)


def count_minutes(*, now: datetime) -> int:
    """Count the minutes that are over, at most ten for each objective; return how many."""
    end = (now - SETTLED_AFTER).replace(second=0, microsecond=0)
    done = 0
    for key in Slo.objects.filter(enabled=True).values_list("pk", flat=True):
        with transaction.atomic():
            rows = Slo.objects.select_for_update(skip_locked=True)
            slo = rows.filter(pk=key).first()
            if slo is not None:
                done += _count(slo, end)
    return done


def _count(slo: Slo, end: datetime) -> int:
    # Looks are kept a week: what is older cannot be counted any more.
    start = max(slo.counted_until or end - MINUTE, end - timedelta(days=7))
    until = min(end, start + MOST_MINUTES * MINUTE)
    if start >= until:
        return 0
    counts: dict[datetime, list[int]] = defaultdict(lambda: [0, 0])
    for at, is_good, number in _events(slo, start, until):
        minute = counts[at.replace(second=0, microsecond=0)]
        minute[0] += number if is_good else 0
        minute[1] += number
    rows = [
        SloMinute(slo=slo, starts_at=at, good=good, total=total)
        for at, (good, total) in counts.items()
    ]
    SloMinute.objects.bulk_create(rows, ignore_conflicts=True)
    Slo.objects.filter(pk=slo.pk).update(counted_until=until)
    return (until - start) // MINUTE


def _events(slo: Slo, start: datetime, end: datetime) -> Iterator[tuple[datetime, bool, int]]:
    """Yield when something counted, whether it was good, and how many alike there were."""
    if slo.source != SloSource.CALLS:
        for at, is_good in _looks(slo, start, end):
            yield at, is_good, 1
    if slo.source != SloSource.LOOKS:
        yield from _calls(slo, start, end)


def _calls(slo: Slo, start: datetime, end: datetime) -> Iterator[tuple[datetime, bool, int]]:
    """Yield the calls of each minute; one is in time whose bound is within the threshold."""
    rows = CallMinute.objects.filter(
        service=slo.service_id, starts_at__gte=start, starts_at__lt=end
    )
    if slo.action:
        rows = rows.filter(action=slo.action)
    for at, is_good, bound, total in rows.values_list(
        "starts_at", "is_good", "at_most_ms", "total"
    ):
        in_time = slo.kind != SloKind.LATENCY or bound <= (slo.threshold_ms or 0)
        yield at, is_good and in_time, total


def _looks(slo: Slo, start: datetime, end: datetime) -> Iterable[tuple[datetime, bool]]:
    """Yield when each look was, and whether it was good; not what says nothing of the service."""
    rows = HealthCheckResult.objects.filter(
        # Ids grow with time: this is the index by which a minute is found.
        pk__gte=uuid7_at(start - MINUTE),
        health_check__service=slo.service_id,
        checked_at__gte=start,
        checked_at__lt=end,
        in_maintenance=False,
    ).exclude(outcome=CheckOutcome.INCONCLUSIVE)
    for at, outcome, latency in rows.values_list("checked_at", "outcome", "latency_ms"):
        is_good = outcome == CheckOutcome.OK
        if slo.kind == SloKind.LATENCY:
            in_time = latency is not None and latency <= (slo.threshold_ms or 0)
            is_good = is_good and in_time
        yield at, is_good


def forget_minutes(*, now: datetime) -> None:
    """Drop the oldest minutes, a batch at a time."""
    drop_first(CallMinute.objects.filter(starts_at__lt=now - CALLS_KEPT).order_by("starts_at"))
    drop_first(SloMinute.objects.filter(starts_at__lt=now - KEPT).order_by("starts_at"))


def read_counts(slos: Iterable[Slo], *, now: datetime) -> dict[UUID, dict[timedelta, Count]]:
    """Return what was counted for objectives in each window of the rules, in one query."""
    keys = [slo.pk for slo in slos]
    if not keys:
        return {}
    sums = {}
    for number, window in enumerate(WINDOWS):
        inside = Q(starts_at__gte=now - window)
        sums[f"good_{number}"] = Sum("good", filter=inside)
        sums[f"total_{number}"] = Sum("total", filter=inside)
    rows = SloMinute.objects.filter(slo__in=keys, starts_at__gte=now - WINDOWS[-1]).order_by()
    found = {key: dict.fromkeys(WINDOWS, Count()) for key in keys}
    counted: Any = rows.values("slo").annotate(**sums)
    for row in counted:
        found[row["slo"]] = {
            window: Count(row[f"good_{number}"] or 0, row[f"total_{number}"] or 0)
            for number, window in enumerate(WINDOWS)
        }
    return found


def read_budget(slo: Slo, *, now: datetime) -> Budget:
    """Return the budget of an objective over its window."""
    rows = SloMinute.objects.filter(slo=slo, starts_at__gte=now - timedelta(days=slo.window_days))
    sums = rows.aggregate(good=Sum("good"), total=Sum("total"))
    return Budget(Count(sums["good"] or 0, sums["total"] or 0), slo.target)
