"""What was used and spent, from the record of requests, and what is left of limits."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Avg, Count, Q, QuerySet, Sum
from django.db.models.functions import TruncDate

from model_orchestration.catalog import current_catalog
from model_orchestration.early_warnings import AMOUNTS, shares_reached
from model_orchestration.limits import Limit
from model_orchestration.models import QuotaWindow, Request
from model_orchestration.models.fields import usd_of
from model_orchestration.periods import Window

GROUPS = {
    "day": "day", "model": "model_id", "project": "project_id", "user": "user_id",
    "provider": "provider", "caller": "caller", "type": "request_type",
}  # fmt: skip
MOST_GROUPS = 1000


def usage_by(
    rows: QuerySet[Request], names: Sequence[str], *, since: datetime, until: datetime
) -> list[dict[str, Any]]:
    """Return requests, tokens and cost of a time, for each group that has any."""
    rows = rows.filter(created_at__gte=since, created_at__lt=until)
    if "day" in names:
        rows = rows.annotate(day=TruncDate("created_at"))
    columns = [GROUPS[name] for name in names]
    sums = rows.values(*columns).annotate(**_SUMS) if columns else [rows.aggregate(**_SUMS)]
    listed = sums.order_by(*columns)[:MOST_GROUPS] if isinstance(sums, QuerySet) else sums
    return [_group(names, row) for row in listed]


_SUMS = {
    "requests": Count("pk"),
    "errors": Count("pk", filter=Q(success=False)),
    "prompt": Sum("prompt_tokens"),
    "completion": Sum("completion_tokens"),
    "cached": Sum("cached_tokens"),
    "total": Sum("total_tokens"),
    "nanousd": Sum("cost_nanousd"),
    "latency": Avg("latency_ms", filter=Q(success=True)),
    "estimated": Count("pk", filter=Q(usage_source="ESTIMATED")),
}


def _group(names: Sequence[str], row: dict[str, Any]) -> dict[str, Any]:
    latency = row["latency"]
    return {
        **{name: _plain(row[GROUPS[name]]) for name in names},
        "requests": row["requests"],
        "errors": row["errors"],
        "estimated": row["estimated"],
        "prompt_tokens": row["prompt"] or 0,
        "completion_tokens": row["completion"] or 0,
        "cached_tokens": row["cached"] or 0,
        "total_tokens": row["total"] or 0,
        "cost": float(usd_of(row["nanousd"] or 0)),
        "latency_ms": None if latency is None else round(latency, 2),
    }


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


def standing_of(limits: Sequence[Limit], now: datetime) -> dict[Limit, dict[str, Any]]:
    """Return what is used, reserved and left of each limit, in one query."""
    windows = {limit: limit.window(now) for limit in limits}
    sums = sums_of(windows.values())
    return {
        limit: _standing(limit, sums[window.id]) | {"reset_at": window.ends_at}
        for limit, window in windows.items()
    }


_COUNTERS = tuple(
    f"{kind}_{amount}"
    for kind in ("used", "reserved")
    for amount in ("tokens", "nanousd", "requests")
)


def sums_of(windows: Iterable[Window]) -> Mapping[UUID, Counter[str]]:
    """Return what is used and reserved in each window, by its id, in one query.

    The pieces of a rolling one are many rows.
    """
    by_id = {window.id: window for window in windows}
    sums = {key: Counter[str]() for key in by_id}
    wanted = Q(pk__in=by_id)
    rolling: dict[str, list[Window]] = defaultdict(list)
    for window in by_id.values():
        if window.since is not None:
            rolling[window.series].append(window)
            wanted |= Q(series=window.series, starts_at__gt=window.since)
    rows = QuotaWindow.objects.filter(wanted).values("pk", "series", "starts_at", *_COUNTERS)
    for row in rows if by_id else ():
        counted = {row["pk"]} & by_id.keys()
        for window in rolling[row["series"]]:
            if window.since is not None and row["starts_at"] > window.since:
                counted.add(window.id)
        for key in counted:
            sums[key].update({name: row[name] for name in _COUNTERS})
    return sums


@dataclass(frozen=True, slots=True)
class ReachedLimit:
    """A limit of which much is used: the largest share that was reached, and of what."""

    limit: Limit
    window: Window
    percent: int
    amounts: tuple[str, ...]

    @property
    def key(self) -> str:
        """What tells this from other limits, other windows and other shares.

        The pieces of a rolling period are one window.
        """
        window = self.window.id if self.window.since is None else "rolling"
        return f"{self.limit.budget_id}:{window}:{self.percent}"


def reached_limits(now: datetime) -> Iterator[ReachedLimit]:
    """Yield the limits that warn of which a share is used at which they do, or all."""
    warning = [each for each in current_catalog().limits if each.warn_at]
    windows = {limit: limit.window(now) for limit in warning}
    sums = sums_of(windows.values())
    for limit, window in windows.items():
        used = {amount: sums[window.id][f"used_{amount}"] for amount in AMOUNTS}
        shares = shares_reached(replace(limit, warn_at=(*limit.warn_at, 100)), used)
        if shares:
            percent = max(share for _, share in shares)
            amounts = tuple(AMOUNTS[amount] for amount, share in shares if share == percent)
            yield ReachedLimit(limit, window, percent, amounts)


def _standing(limit: Limit, sums: Mapping[str, int]) -> dict[str, Any]:
    def of(amount: str) -> dict[str, Any]:
        most = getattr(limit, amount)
        used, reserved = sums[f"used_{amount}"], sums[f"reserved_{amount}"]
        left = None if most is None else max(most - used - reserved, 0)
        values = {"limit": most, "used": used, "reserved": reserved, "remaining": left}
        if amount != "nanousd":
            return values
        return {k: None if v is None else float(usd_of(v)) for k, v in values.items()}

    return {"cost": of("nanousd"), "tokens": of("tokens"), "requests": of("requests")}
