"""Which limits bound a request, and how much of each it holds until it is settled (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from model_orchestration.models.budget import BudgetPeriod, BudgetScope
from model_orchestration.periods import Window, day_of, minute_of, month_of, piece_of

PROVIDER_SCOPE = "PROVIDER"
# Of what a model is sent; no budget has this period.
MINUTE = "MINUTE"


@dataclass(frozen=True, slots=True)
class Spender:
    """Who asks, as far as budgets are concerned."""

    key_id: str = ""
    caller: str = ""
    project_id: str = ""
    user_id: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """What may be used of something in a period; None for no limit. A soft one only warns."""

    name: str
    scope: str
    subject: str
    period: str
    zone: str = "UTC"
    rolling_seconds: int | None = None
    tokens: int | None = None
    nanousd: int | None = None
    requests: int | None = None
    is_hard: bool = True
    warn_at: tuple[int, ...] = ()
    budget_id: str = ""

    def window(self, now: datetime) -> Window:
        """Return the window in which is counted now."""
        series = f"{self.scope}:{self.subject.lower()}"
        if self.period == BudgetPeriod.ROLLING:
            return piece_of(series, self.rolling_seconds or 0, now)
        if self.period == MINUTE:
            return minute_of(series, now)
        return (day_of if self.period == BudgetPeriod.DAY else month_of)(series, self.zone, now)

    def is_of(self, spender: Spender) -> bool:
        """Return whether it bounds what this one spends, whichever model serves it."""
        names: dict[str, tuple[str, ...]] = {
            BudgetScope.ALL: (self.subject,),
            BudgetScope.KEY: (spender.key_id, spender.caller),
            BudgetScope.PROJECT: (spender.project_id,),
            BudgetScope.USER: (spender.user_id,),
        }
        return self.subject.lower() in [name.lower() for name in names.get(self.scope, ())]

    def is_of_model(self, model: str, provider: str) -> bool:
        subject = self.subject.lower()
        if self.scope == PROVIDER_SCOPE:
            return subject == provider.lower()
        return self.scope == BudgetScope.MODEL and subject == model.lower()


@dataclass(frozen=True, slots=True)
class Bound:
    """The most that a model can use for a request; without a price, `nanousd` is None."""

    model: str
    provider: str
    tokens: int
    nanousd: int | None


@dataclass(frozen=True, slots=True)
class Hold:
    """What a request holds of a window. `models` are those whose usage counts; empty for any.

    `limits` are all that are counted there; it has to fit those that are hard.
    """

    window: Window
    limits: tuple[Limit, ...]
    tokens: int
    nanousd: int
    requests: int = 1
    models: tuple[str, ...] = ()

    def least(self, amount: str) -> int | None:
        """Return the lowest of the hard limits of an amount."""
        hard = [getattr(each, amount) for each in self.limits if each.is_hard]
        return min((each for each in hard if each is not None), default=None)

    @property
    def is_rate(self) -> bool:
        """Whether it counts what a model is sent, also if that fails."""
        return any(limit.period == MINUTE for limit in self.limits)

    def as_json(self) -> list[Any]:
        held = [str(self.window.id), self.tokens, self.nanousd, self.requests, [*self.models]]
        return [*held, self.is_rate] if self.is_rate else held

    def beside(self, other: Self) -> Self:
        """Return what this and another request hold together."""
        more = (each for each in other.limits if each not in self.limits)
        return replace(
            self,
            limits=(*self.limits, *more),
            tokens=self.tokens + other.tokens,
            nanousd=self.nanousd + other.nanousd,
            requests=self.requests + other.requests,
        )

    def including(self, limit: Limit, bound: Bound) -> Self:
        """Return the same for one more limit of its window, and one more model."""
        limits = self.limits if limit in self.limits else (*self.limits, limit)
        models = self.models
        if models and bound.model not in models:
            models = (*models, bound.model)
        return replace(
            self,
            limits=limits,
            models=models,
            tokens=max(self.tokens, bound.tokens),
            nanousd=max(self.nanousd, bound.nanousd or 0),
        )


def holds_of(
    limits: Iterable[Limit], spender: Spender, bounds: Sequence[Bound], now: datetime
) -> list[Hold]:
    """Return what a request has to hold of each window, in the order of their ids.

    Of windows that all its models share it holds what the dearest of them can use.
    """
    holds: dict[Any, Hold] = {}
    for limit in limits:
        is_shared = limit.is_of(spender)
        for bound in bounds:
            if not is_shared and not limit.is_of_model(bound.model, bound.provider):
                continue
            window = limit.window(now)
            models = () if is_shared else (bound.model,)
            first = Hold(window, (), 0, 0, models=models)
            holds[window.id] = holds.get(window.id, first).including(limit, bound)
    return sorted(holds.values(), key=lambda hold: hold.window.id)


def summed(holds: Iterable[Hold]) -> list[Hold]:
    """Return what several requests hold of each window together, in the order of their ids."""
    sums: dict[UUID, Hold] = {}
    for hold in holds:
        key = hold.window.id
        sums[key] = sums[key].beside(hold) if key in sums else hold
    return [sums[key] for key in sorted(sums)]


def needs_price(limits: Iterable[Limit], spender: Spender, bound: Bound) -> Limit | None:
    """Return a hard limit of the cost that a model without a price cannot be held to."""
    for limit in limits:
        applies = limit.is_of(spender) or limit.is_of_model(bound.model, bound.provider)
        if applies and limit.is_hard and limit.nanousd is not None and bound.nanousd is None:
            return limit
    return None
