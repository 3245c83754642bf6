"""How fast the budget of an objective burns, and when that has to be told (pure).

The windows and thresholds are those of the Site Reliability Workbook: a long window says that it
matters, a short one that it still goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class BurnRule:
    """Told while the budget burns faster than that in both windows."""

    burn: float
    long: timedelta
    short: timedelta
    is_urgent: bool


RULES = (
    BurnRule(14.4, timedelta(hours=1), timedelta(minutes=5), is_urgent=True),
    BurnRule(6, timedelta(hours=6), timedelta(minutes=30), is_urgent=True),
    BurnRule(3, timedelta(hours=24), timedelta(hours=2), is_urgent=False),
    BurnRule(1, timedelta(hours=72), timedelta(hours=6), is_urgent=False),
)
WINDOWS = tuple(sorted({window for rule in RULES for window in (rule.long, rule.short)}))


@dataclass(frozen=True, slots=True)
class Count:
    """What was looked at, and how much of it was good."""

    good: int = 0
    total: int = 0

    def burn(self, target: float) -> float:
        """Return how many times as fast as it may the budget burns; 1 uses it up just in time."""
        if not self.total:
            return 0.0
        return (self.total - self.good) / self.total / (1 - target / 100)


def find_rule(
    counts: Mapping[timedelta, Count], *, target: float, min_events: int
) -> BurnRule | None:
    """Return the gravest rule that holds; too few looks in the long window prove nothing."""
    for rule in RULES:
        long, short = counts[rule.long], counts[rule.short]
        if long.total < min_events:
            continue
        if min(long.burn(target), short.burn(target)) > rule.burn:
            return rule
    return None


@dataclass(frozen=True, slots=True)
class Budget:
    """The budget of an objective over its window: `left` is a share of 1, and may be below 0."""

    count: Count
    target: float

    @property
    def percent(self) -> float | None:
        """The share that was good, in percent; None where nothing was looked at."""
        return round(self.count.good / self.count.total * 100, 3) if self.count.total else None

    @property
    def left(self) -> float:
        allowed = self.count.total * (1 - self.target / 100)
        return round(1 - (self.count.total - self.count.good) / allowed, 4) if allowed else 1.0

    def exhausts_at(self, burn: float, *, window: timedelta, now: datetime) -> datetime | None:
        """Return when nothing is left if it goes on burning like that; None where it does not."""
        if self.left <= 0:
            return now
        if burn <= 1:
            return None
        return now + window * (self.left / burn)
