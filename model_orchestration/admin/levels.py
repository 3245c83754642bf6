"""How full the windows of budgets and quotas are, read for a whole list at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Model

from model_orchestration.admin.amounts import Level
from model_orchestration.catalog import limit_of_budget, limits_of_quota
from model_orchestration.limits import Limit
from model_orchestration.models import ModelBudget, ProviderQuota
from model_orchestration.periods import Window
from model_orchestration.services.usage import sums_of

MOST_LOOKED_AT = 500
AMOUNTS = (("cost", "nanousd"), ("tokens", "tokens"), ("requests", "requests"))


@dataclass(frozen=True)
class LimitLevels:
    """A limit, the window that is counted now, and how full it is."""

    limit: Limit
    window: Window
    levels: list[Level]


@dataclass(frozen=True)
class FullLimit:
    """A limit that is nearly used up, whose page is that of its row."""

    row: Model
    name: str
    levels: list[Level]
    ends_at: datetime | None


def fullest_limits(*, now: datetime, most: int) -> list[FullLimit]:
    """Return the budgets and quotas that are nearly used up, the fullest first; in three queries.

    Of very many budgets the first are looked at.
    """
    budgets = ModelBudget.objects.order_by("name")[:MOST_LOOKED_AT]
    pairs: list[tuple[Model, Limit]] = [(row, limit_of_budget(row)) for row in budgets]
    pairs += [(row, each) for row in ProviderQuota.objects.all() for each in limits_of_quota(row)]
    found = levels_of([limit for _, limit in pairs], now=now)
    full = [
        FullLimit(row, limit.name, high, None if each.window.since else each.window.ends_at)
        for (row, limit), each in zip(pairs, found, strict=True)
        if (high := [level for level in each.levels if level.tone != "good"])
    ]
    return sorted(full, key=lambda each: -max(level.percent for level in each.levels))[:most]


def levels_of(limits: Sequence[Limit], *, now: datetime) -> list[LimitLevels]:
    """Return how full each limit is, in one query."""
    windows = [limit.window(now) for limit in limits]
    sums = sums_of(windows)
    return [
        LimitLevels(limit, window, _levels(limit, sums[window.id]))
        for limit, window in zip(limits, windows, strict=True)
    ]


def _levels(limit: Limit, sums: Mapping[str, int]) -> list[Level]:
    return [
        Level(kind, sums[f"used_{name}"], sums[f"reserved_{name}"], getattr(limit, name))
        for kind, name in AMOUNTS
        if getattr(limit, name) is not None
    ]
