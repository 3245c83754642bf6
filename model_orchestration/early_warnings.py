"""Warns when much of a limit is used: once for each share of it in each window."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from uuid import UUID

import structlog

from model_orchestration.catalog import current_catalog
from model_orchestration.limits import Limit
from model_orchestration.models import QuotaWindow

logger = structlog.get_logger(__name__)

_AMOUNTS = {"nanousd": "cost", "tokens": "tokens", "requests": "requests"}


def warn_of(windows: Collection[UUID], *, now: datetime) -> None:
    """Log which limits are used by how much; the rows of the windows are locked by the caller."""
    limits = [
        (limit, limit.window(now).id)
        for limit in current_catalog().limits
        if limit.warn_at and limit.rolling_seconds is None
    ]
    limits = [(limit, key) for limit, key in limits if key in windows]
    if not limits:
        return
    rows = QuotaWindow.objects.in_bulk([key for _, key in limits])
    for limit, key in limits:
        row = rows[key]
        new = [each for each in _reached(limit, row) if each not in row.warned]
        if new:
            row.warned = [*row.warned, *new]
            row.save(update_fields=["warned"])
            logger.warning("budget_reached", budget=limit.name, reached=new)


def _reached(limit: Limit, row: QuotaWindow) -> Iterator[str]:
    """Yield what was reached of each amount, such as `apollo: 80 % of cost`."""
    for amount, word in _AMOUNTS.items():
        most = getattr(limit, amount)
        if not most:
            continue
        used = getattr(row, f"used_{amount}")
        reached = [percent for percent in limit.warn_at if used * 100 >= percent * most]
        if reached:
            yield f"{limit.name}: {max(reached)} % of {word}"
