"""What is used up of budgets for models, as findings of monitoring: neither app knows the other."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from model_orchestration.services.usage import ReachedLimit, reached_limits
from monitoring.findings import Finding, Source, add_source
from monitoring.models import Severity, Subject

ENDED = "A new period began, its limit was changed, or more of it was used."


def budgets_reached(now: datetime, _: Collection[str]) -> Iterable[Finding]:
    """Find budgets and quotas of which so much is used that they warn, or all."""
    for reached in reached_limits(now):
        is_used_up = reached.percent >= 100
        yield Finding(
            Subject.MODEL_BUDGET,
            _words(reached),
            Severity.CRITICAL if is_used_up else Severity.WARNING,
            about=reached.limit.name,
            key=reached.key,
        )


def _words(reached: ReachedLimit) -> str:
    """Return what stays true until the next share is reached: it is not written anew each time."""
    used = f"{reached.percent} % of its {' and '.join(reached.amounts)} is used."
    if reached.percent >= 100:
        used += " Requests are refused." if reached.limit.is_hard else " Requests still pass."
    if reached.window.since is not None:
        return f"{used} It counts the last {reached.limit.rolling_seconds:,} seconds."
    return f"{used} It begins anew on {reached.window.ends_at:%Y-%m-%d %H:%M} UTC."


def watch_budgets() -> None:
    """Have monitoring look at what may be spent on models too."""
    add_source(Source(Subject.MODEL_BUDGET, budgets_reached, ENDED))
