"""Keeps the spans of services, from the log in which every change of a status is written.

The log is written in the transaction of the change and read in its order from where the last sweep
ended, so a span is never lost, made twice, or waited for by a heartbeat.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef

from monitoring.models import MemoryState, StatusSpan
from registry.models import RegistryChange, Service

MOST_AT_ONCE = 5_000


def follow_changes(*, now: datetime) -> int:
    """Bring the spans up to what the log says; return how many began.

    Of two sweeps at once one does it.
    """
    with transaction.atomic():
        state = lock_memory()
        if state is None:
            return 0
        changes = list(
            RegistryChange.objects.filter(index__gt=state.log_index).order_by("index")[
                :MOST_AT_ONCE
            ]
        )
        if not changes:
            return 0
        begun = _write(changes)
        state.log_index = changes[-1].index
        state.save(update_fields=("log_index",))
    return begun


def lock_memory() -> MemoryState | None:
    """Lock the row that says how far this came; None where another sweep holds it."""
    MemoryState.objects.get_or_create(pk=1)
    return MemoryState.objects.select_for_update(skip_locked=True).filter(pk=1).first()


def _write(changes: Sequence[RegistryChange]) -> int:
    ids = {change.service_id for change in changes}
    versions = dict(Service.objects.filter(pk__in=ids).values_list("pk", "version"))
    spans = {
        span.service_id: span for span in StatusSpan.objects.filter(service__in=ids, ended_at=None)
    }
    ended, begun = [], []
    for change in changes:
        version = versions.get(change.service_id)
        if version is None:
            continue
        span = spans.get(change.service_id)
        if span is not None:
            if (span.status, span.version) == (change.status, version):
                continue
            span.ended_at = max(change.created_at, span.started_at)
            if not span._state.adding:
                ended.append(span)
        at = change.created_at if span is None or span.ended_at is None else span.ended_at
        span = _begin(change.service_id, change.status, version, at)
        begun.append(span)
        spans[change.service_id] = span
    # Those that end first: each service has one that lasts.
    StatusSpan.objects.bulk_update(ended, ("ended_at",), batch_size=500)
    StatusSpan.objects.bulk_create(begun, batch_size=500)
    return len(begun)


def _begin(service_id: UUID, status: str, version: str, at: datetime) -> StatusSpan:
    return StatusSpan(service_id=service_id, status=status, version=version, started_at=at)


def begin_missing(*, now: datetime) -> int:
    """Begin spans of services of which the log does not tell any more; return how many.

    The log is cut at its old end: what it does not name was as it is since its beginning.
    """
    lasting = StatusSpan.objects.filter(service=OuterRef("pk"), ended_at=None)
    missing = Service.objects.filter(~Exists(lasting)).only("status", "version", "created_at")
    oldest = RegistryChange.objects.order_by("index").values_list("created_at", flat=True).first()
    since = oldest or now
    begun = [
        _begin(row.pk, row.status, row.version, max(since, row.created_at))
        for row in missing.order_by("pk")[:MOST_AT_ONCE]
    ]
    # A change that is followed meanwhile begins it too: the database lets one of them.
    StatusSpan.objects.bulk_create(begun, ignore_conflicts=True, batch_size=500)
    return len(begun)


def spans_between(services: Iterable[Any], start: datetime, end: datetime) -> list[StatusSpan]:
    """Return the spans of services that reach into a time, each service's in their order."""
    rows = StatusSpan.objects.filter(service__in=services, started_at__lt=end)
    lasting = list(rows.filter(ended_at=None))
    past = list(rows.filter(ended_at__gt=start))
    return sorted([*past, *lasting], key=lambda span: (span.service_id, span.started_at, span.pk))
