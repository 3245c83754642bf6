"""Whether budgets say what the record of requests sums up to, and setting them right.

Each request says of which windows it holds how much, or used how much, and is written with them in
one transaction. So the sums are exact at any moment, which one statement sees.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q

from model_orchestration.models import OPEN_STATES, QuotaWindow, Request, RequestState

logger = structlog.get_logger(__name__)

AMOUNTS = ("tokens", "nanousd", "requests")
COUNTERS = tuple(f"{kind}_{amount}" for kind in ("used", "reserved") for amount in AMOUNTS)
# So long after the end of its lease, a sweep has settled a request.
SWEEP_MARGIN = timedelta(minutes=2)
CLOCKS_DIFFER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Imbalance:
    """What does not agree: of which window or request, and which amounts say what."""

    about: str
    found: str
    window: Any = None
    right: Mapping[str, int] | None = None


def find_imbalances(*, now: datetime, since: datetime | None = None) -> Iterator[Imbalance]:
    """Yield each window that says something else than its requests, and each request left behind.

    `since` bounds the windows to those that ended later. Those are left out of which requests may
    have been dropped, or that are older than what requests tell.
    """
    yield from _wrong_windows(now, since)
    yield from _wrong_charges(now, since)
    yield from _left_behind(now)


def repair(found: Imbalance) -> bool:
    """Have a window say what its requests sum up to; return whether it did not by now."""
    if found.window is None:
        return False
    with transaction.atomic():
        row = QuotaWindow.objects.select_for_update().get(pk=found.window)
        right = _sums(Q(pk=row.pk), row.starts_at)[row.pk]
        before = {name: getattr(row, name) for name in COUNTERS}
        if before == right:
            return False
        for name, value in right.items():
            setattr(row, name, value)
        row.save(update_fields=[*COUNTERS, "updated_at"])
    logger.warning("budget_window_repaired", window=str(row), before=before, after=right)
    return True


def _windows(now: datetime, since: datetime | None) -> Q:
    oldest = now - timedelta(days=settings.MODEL_HISTORY_DAYS)
    wanted = Q(is_traceable=True, starts_at__gte=oldest)
    return wanted & Q(ends_at__gte=since) if since else wanted


def _wrong_windows(now: datetime, since: datetime | None) -> Iterator[Imbalance]:
    wanted = _windows(now, since)
    first = QuotaWindow.objects.filter(wanted).order_by("starts_at").first()
    if first is None:
        return
    sees_more = connection.vendor == "postgresql" and not connection.in_atomic_block
    with transaction.atomic():
        if sees_more:  # than one moment, unless told otherwise
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        rows = {row.pk: row for row in QuotaWindow.objects.filter(wanted)}
        sums = _sums(wanted, first.starts_at)
    for key, row in sorted(rows.items(), key=lambda each: each[1].starts_at):
        right = sums[key]
        wrong = [
            f"{name} is {getattr(row, name)}, and its requests sum up to {right[name]}"
            for name in COUNTERS
            if getattr(row, name) != right[name]
        ]
        if wrong:
            yield Imbalance(f"window {row}", "; ".join(wrong), key, right)


def _sums(wanted: Q, since: datetime) -> dict[Any, dict[str, int]]:
    """Return what the requests from then on hold and used of each window."""
    keys = QuotaWindow.objects.filter(wanted).values_list("pk", flat=True)
    windows = {str(key): key for key in keys}
    sums = {key: dict.fromkeys(COUNTERS, 0) for key in windows.values()}
    # A window is held from its beginning on, by whichever clock.
    rows = Request.objects.filter(created_at__gte=since - CLOCKS_DIFFER).exclude(held=[]).order_by()
    for state, held in rows.values_list("state", "held").iterator(chunk_size=5000):
        kind = "reserved" if state in OPEN_STATES else "used"
        for window, *amounts in held:
            if (key := windows.get(window)) is not None:
                for name, amount in zip(AMOUNTS, amounts, strict=False):
                    sums[key][f"{kind}_{name}"] += amount
    return sums


def _wrong_charges(now: datetime, since: datetime | None) -> Iterator[Imbalance]:
    """Yield the requests that windows were charged with another cost than they tell."""
    oldest = since or now - timedelta(days=settings.MODEL_HISTORY_DAYS)
    told = (RequestState.SETTLED, RequestState.CUT, RequestState.ABANDONED)
    rows = Request.objects.filter(created_at__gte=oldest, state__in=told).exclude(held=[])
    columns = rows.order_by("pk").values_list("request_id", "cost_nanousd", "held")
    for request_id, cost, held in columns.iterator(chunk_size=5000):
        for window, _, nanousd, _ in held:
            # Of the minute of a model that failed only the attempt counts.
            if nanousd not in (cost, 0):
                found = f"it cost {cost}, and the window {window} was charged with {nanousd}"
                yield Imbalance(f"request {request_id}", found)


def _left_behind(now: datetime) -> Iterator[Imbalance]:
    rows = Request.objects.filter(state__in=OPEN_STATES, lease_until__lt=now - SWEEP_MARGIN)
    for request_id, until in rows.order_by("pk").values_list("request_id", "lease_until"):
        found = f"its lease ended at {until:%Y-%m-%d %H:%M:%S} UTC, and nobody settled it"
        yield Imbalance(f"request {request_id}", found)
