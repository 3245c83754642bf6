"""All that is configured, as it was at most a second ago: read at once, not for each request."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Q
from django.db.models.signals import post_delete, post_save
from django.utils import timezone

from core.news import own_news
from model_orchestration.choosing import ModelChoices, RouteRules, Target
from model_orchestration.contents import USUAL_RULES, ContentRules
from model_orchestration.limits import MINUTE, PROVIDER_SCOPE, Limit
from model_orchestration.models import (
    BudgetPeriod,
    BudgetScope,
    ContentPolicy,
    Model,
    ModelBudget,
    ModelPrice,
    ModelRoute,
    OnExceed,
    ProviderQuota,
)
from model_orchestration.models.content import OTHERS
from model_orchestration.models.fields import nanos_of
from model_orchestration.pricing import Price

FRESH_SECONDS = 1.0
# What is told to all processes once one of them paused a model.
PAUSED = "model_paused"


@dataclass(frozen=True, slots=True)
class Catalog:
    """What may be asked for, and within which limits."""

    choices: ModelChoices
    limits: tuple[Limit, ...]
    # By the names of projects in lower case.
    contents: Mapping[str, ContentRules] = field(default_factory=dict)

    def content_of(self, project: str) -> ContentRules:
        """Return what is kept of what is said in a project."""
        usual = self.contents.get(OTHERS, USUAL_RULES)
        return self.contents.get(project.lower(), usual)


_reading = threading.Lock()
_known: tuple[float, Catalog] | None = None


def current_catalog() -> Catalog:
    """Return what is configured; what this process changed at once, what others did within 1 s."""
    global _known
    known = _known
    if known is not None and time.monotonic() < known[0] + FRESH_SECONDS:
        return known[1]
    with _reading:
        if _known is not known and _known is not None:
            return _known[1]  # somebody else has read it meanwhile
        begun = time.monotonic()
        catalog = read_catalog(timezone.now())
        _known = (begun, catalog)
        return catalog


def forget(**_: object) -> None:
    """Have the next request read what is configured."""
    global _known
    _known = None


def forget_on_changes() -> None:
    for table in (ContentPolicy, Model, ModelBudget, ModelPrice, ModelRoute, ProviderQuota):
        post_save.connect(forget, sender=table)
        post_delete.connect(forget, sender=table)
    own_news().hear(PAUSED, lambda _: forget())


def pause(target: Target, until: datetime) -> None:
    """Have no process ask a provider for a model until then, however it is called here."""
    rows = Model.objects.filter(connection__id=target.connection_id)
    names = Q(provider_model=target.sent_name) | Q(provider_model="", name=target.sent_name)
    later = Q(paused_until=None) | Q(paused_until__lt=until)
    rows.filter(names & later).update(paused_until=until)
    own_news().tell(PAUSED)


def read_catalog(now: datetime) -> Catalog:
    """Read what is configured, in six queries whatever there is."""
    prices = prices_at(now)
    models: dict[str, Target] = {}
    for row in Model.objects.with_parts():
        target = target_of(row, prices.get(row.pk))
        models.update({alias.lower(): target for alias in row.aliases})
        models[row.name.lower()] = target
    routes = {row.name.lower(): _route_of(row) for row in ModelRoute.objects.all()}
    limits = [
        *(each for row in ProviderQuota.objects.all() for each in limits_of_quota(row)),
        *(limit_of_budget(row) for row in ModelBudget.objects.all()),
        *(each for target in unique_of(models) for each in rates_of(target)),
    ]
    contents = {row.name.lower(): _content_of(row) for row in ContentPolicy.objects.all()}
    return Catalog(ModelChoices(models, routes), tuple(limits), contents)


def unique_of(models: Mapping[str, Target]) -> Collection[Target]:
    """Return each model once, whatever aliases it has."""
    return {target.model: target for target in models.values()}.values()


def prices_at(now: datetime) -> dict[object, Price]:
    """Return the prices that hold now, by the model."""
    rows = ModelPrice.objects.filter(valid_from__lte=now).order_by("valid_from")
    return {row.model_id: price_of(row) for row in rows}


def price_of(row: ModelPrice) -> Price:
    return Price(
        row.input, row.output, row.cached_input, row.cache_write, row.reasoning,
        row.per_image, row.per_second,
    )  # fmt: skip


def target_of(row: Model, price: Price | None = None) -> Target:
    """Return a model as it is asked."""
    if price is None and row.cost_per_token is not None:
        price = Price.per_token(row.cost_per_token)
    return Target(
        model=row.name,
        provider=row.provider,
        connection=row.connection.name,
        connection_id=str(row.connection.pk),
        sent_name=row.sent_name,
        status=row.status,
        capabilities=tuple(row.capabilities),
        max_tokens=row.max_tokens,
        token_limit=row.token_limit,
        price=price,
        rpm=row.rpm,
        tpm=row.tpm,
        paused_until=row.paused_until,
        replacement=row.replacement,
        configuration=row.configuration,
    )


def _route_of(row: ModelRoute) -> RouteRules:
    targets = tuple((each["model"], each.get("weight", 1)) for each in row.targets)
    return RouteRules(
        row.name, row.strategy, targets, frozenset(row.fallback_on), row.max_attempts,
        row.deadline_seconds,
    )  # fmt: skip


def _content_of(row: ContentPolicy) -> ContentRules:
    patterns = tuple((each["name"], each["pattern"]) for each in row.patterns)
    return ContentRules(row.keeps, row.retention_days, patterns)


def limits_of_quota(row: ProviderQuota) -> Iterator[Limit]:
    """Yield the limits of a day and of a month, where there are any."""
    for period, tokens, cost in (
        (BudgetPeriod.DAY, row.daily_token_limit, row.daily_cost_limit),
        (BudgetPeriod.MONTH, row.monthly_token_limit, row.monthly_cost_limit),
    ):
        if tokens is None and cost is None:
            continue
        yield Limit(
            f"{row.name} ({period.label.lower()})",
            PROVIDER_SCOPE,
            row.provider,
            period,
            row.time_zone,
            tokens=tokens,
            nanousd=None if cost is None else nanos_of(cost),
            is_hard=row.on_exceed == OnExceed.REJECT,
            warn_at=tuple(row.warn_at),
        )


def rates_of(target: Target) -> Iterator[Limit]:
    """Yield the limit of what a model is sent in a minute, if there is one."""
    if target.rpm is not None or target.tpm is not None:
        yield Limit(
            target.model,
            BudgetScope.MODEL,
            target.model,
            MINUTE,
            tokens=target.tpm,
            requests=target.rpm,
        )


def limit_of_budget(row: ModelBudget) -> Limit:
    return Limit(
        row.name,
        row.scope,
        row.subject,
        row.period,
        row.time_zone,
        row.rolling_seconds,
        row.token_limit,
        None if row.cost_limit is None else nanos_of(row.cost_limit),
        row.request_limit,
        row.on_exceed == OnExceed.REJECT,
        tuple(row.warn_at),
        str(row.pk),
    )
