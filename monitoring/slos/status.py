"""How an objective is: its budget, how fast that burns, and what has to be told of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.durations import in_words
from monitoring.models import Slo, SloSource
from monitoring.slos.burning import RULES, Budget, BurnRule, Count, find_rule
from monitoring.slos.counting import read_budget, read_counts

TREND = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class SloStatus:
    """An objective with its budget and what was counted in each window."""

    slo: Slo
    budget: Budget
    counts: dict[timedelta, Count]
    now: datetime

    @property
    def rule(self) -> BurnRule | None:
        return find_rule(self.counts, target=self.slo.target, min_events=self.slo.min_events)

    @property
    def burns(self) -> list[tuple[BurnRule, float, float]]:
        """Each rule with how fast the budget burns in its long and its short window."""
        target = self.slo.target
        return [
            (rule, self.counts[rule.long].burn(target), self.counts[rule.short].burn(target))
            for rule in RULES
        ]

    @property
    def exhausts_at(self) -> datetime | None:
        burn = self.counts[TREND].burn(self.slo.target)
        window = timedelta(days=self.slo.window_days)
        return self.budget.exhausts_at(burn, window=window, now=self.now)

    @property
    def state(self) -> str:
        """Return how it is, in a word of the statuses of others."""
        if not self.slo.enabled:
            return "DISABLED"
        if not self.budget.count.total:
            return "UNKNOWN"
        rule = self.rule
        if rule is not None:
            return "CRITICAL" if rule.is_urgent else "WARNING"
        return "EXPIRED" if self.budget.left <= 0 else "ACTIVE"


def read_status(slo: Slo, *, now: datetime) -> SloStatus:
    """Return how an objective is now."""
    return SloStatus(slo, read_budget(slo, now=now), read_counts([slo], now=now)[slo.pk], now)


@dataclass(frozen=True, slots=True)
class Burning:
    """An objective whose budget burns too fast, and the words for it."""

    slo: Slo
    is_urgent: bool
    words: str


def find_burning(now: datetime, _: Collection[str] = ()) -> Iterable[Burning]:
    """Find objectives whose budgets burn too fast."""
    slos = list(Slo.objects.filter(enabled=True).select_related("service").order_by("name"))
    for slo, counts in zip(slos, read_counts(slos, now=now).values(), strict=True):
        rule = find_rule(counts, target=slo.target, min_events=slo.min_events)
        if rule is not None:
            yield Burning(slo, rule.is_urgent, _words(slo, rule, counts))


def counted_words(slo: Slo) -> str:
    """Say what counts for an objective, such as "looks at shop"."""
    words: dict[str, str] = {SloSource.LOOKS: "looks at", SloSource.CALLS: "calls of"}
    of_action = f"{slo.action} of " if slo.action else ""
    return f"{words.get(slo.source, 'looks at and calls of')} {of_action}{slo.service.name}"


def _words(slo: Slo, rule: BurnRule, counts: dict[timedelta, Count]) -> str:
    long = counts[rule.long]
    lasts = timedelta(days=slo.window_days) / max(long.burn(slo.target), 1)
    return (
        f"{long.total - long.good} of {long.total} {counted_words(slo)} in the last"
        f" {in_words(rule.long.total_seconds())} were bad: over {rule.burn:g} times what"
        f" {slo.target:g} % in {slo.window_days} days allow. A whole budget lasts"
        f" {in_words(lasts.total_seconds())} so."
    )
