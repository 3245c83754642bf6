"""Warns when much of a limit is used: once for each share of it in each window."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime

import structlog

from model_orchestration.catalog import current_catalog
from model_orchestration.limits import Limit
from model_orchestration.models import QuotaWindow
from model_orchestration.reservations import UsedMore

logger = structlog.get_logger(__name__)

AMOUNTS = {"nanousd": "cost", "tokens": "tokens", "requests": "requests"}


def warn_of(changes: Collection[UsedMore], *, now: datetime) -> None:
    """Log which limits are used by how much; the rows of the windows are locked by the caller."""
    used = {change.id: change for change in changes}
    passed = [
        (limit, key)
        for limit in current_catalog().limits
        if limit.warn_at and limit.rolling_seconds is None
        if (key := limit.window(now).id) in used and _passes(limit, used[key])
    ]
    if not passed:
        return
    rows = QuotaWindow.objects.in_bulk([key for _, key in passed])
    for limit, key in passed:
        row = rows[key]
        new = [each for each in _reached(limit, used[key].used) if each not in row.warned]
        if new:
            row.warned = [*row.warned, *new]
            row.save(update_fields=["warned"])
            logger.warning("budget_reached", budget=limit.name, reached=new)


def _passes(limit: Limit, change: UsedMore) -> bool:
    """Return whether what is new of a window passed one of the shares at which is warned."""
    return shares_reached(limit, change.used) != shares_reached(
        limit, {name: change.used[name] - change.added[name] for name in change.used}
    )


def _reached(limit: Limit, used: Mapping[str, int]) -> Iterator[str]:
    """Yield what was reached of each amount, such as `apollo: 80 % of cost`."""
    for amount, percent in shares_reached(limit, used):
        yield f"{limit.name}: {percent} % of {AMOUNTS[amount]}"


def shares_reached(limit: Limit, used: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return the largest share at which is warned that was reached of each amount, in percent."""
    shares = []
    for amount in AMOUNTS:
        if most := getattr(limit, amount):
            reached = [each for each in limit.warn_at if used[amount] * 100 >= each * most]
            shares += [(amount, max(reached))] if reached else []
    return shares
