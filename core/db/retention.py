"""Drops rows that were kept for long enough, a batch at a time: no table is held for long."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from core.db.uuid7 import uuid7_at

LARGEST_PURGE = 5000


def drop_first(rows: Any, *, limit: int | None = None) -> int:
    """Delete the first of these rows in their order, at most a batch; return how many."""
    keys = list(rows.values_list("pk", flat=True)[: limit or LARGEST_PURGE])
    return rows.model._default_manager.filter(pk__in=keys).delete()[0] if keys else 0


def drop_older(rows: Any, *, days: int, now: datetime) -> int:
    """Delete the oldest of rows with time-ordered ids, beyond so many days; 0 days keep all."""
    if not days:
        return 0
    return drop_first(rows.filter(pk__lt=uuid7_at(now - timedelta(days=days))).order_by("pk"))


def drop_history(
    rows: Any, *, of: str, days: int, most: int, now: datetime, until: datetime | None = None
) -> int:
    """Delete the oldest of a history, and what is beyond the `most` latest of each owner.

    `rows` have time-ordered ids and the owner in the column `of`. With `until`, all that is younger
    than that stays.
    """
    owners = rows.model._meta.get_field(of).related_model._default_manager
    may_go = rows.all() if until is None else rows.filter(created_at__lt=until)
    old = may_go.filter(created_at__lt=now - timedelta(days=days))
    dropped = drop_first(old.order_by("pk"))
    for key in owners.values_list("pk", flat=True).iterator():
        if dropped >= LARGEST_PURGE:
            break
        latest = rows.filter(**{of: key}).order_by("-pk").values_list("pk", flat=True)
        beyond = latest[most : most + 1].first()
        if beyond is not None:
            dropped += drop_first(may_go.filter(**{of: key}, pk__lte=beyond).order_by("pk"))
    return dropped
