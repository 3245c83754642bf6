"""Which models may serve a request, and in which order they are asked.

Pure, but for what `paces` knows of how soon they answered.
"""

from __future__ import annotations

import json
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from core.suggestions import did_you_mean
from model_orchestration.exceptions import InvalidModelRequest, ModelInactive, ModelNotFound
from model_orchestration.models.model import ModelStatus, RequestType
from model_orchestration.models.performance import UNRATED_QUALITY
from model_orchestration.models.route import RouteStrategy, usual_fallbacks
from model_orchestration.paces import fastest_first, paces
from model_orchestration.pricing import Price
from model_orchestration.requirements import AUTO, FIELD, Preference, Requirements

# The name that is asked for where a caller names none.
DEFAULT = "default"
DEFAULT_DEADLINE_SECONDS = 120.0
DEFAULT_ATTEMPTS = 4
# Of a refusal of what no model meets.
MOST_TOLD = 5


@dataclass(frozen=True, slots=True)
class Target:
    """A model as it is asked; without a price, nobody said what it costs."""

    model: str
    provider: str
    connection: str
    connection_id: str
    sent_name: str
    status: str = ModelStatus.ACTIVE
    capabilities: tuple[str, ...] = ()
    max_tokens: int | None = None
    token_limit: int | None = None
    price: Price | None = None
    rpm: int | None = None
    tpm: int | None = None
    paused_until: datetime | None = None
    replacement: str = ""
    configuration: Mapping[str, Any] = field(default_factory=dict)
    weight: int = 1

    @property
    def defaults(self) -> Mapping[str, Any]:
        """The fields that a request has unless it says otherwise."""
        return self.configuration.get("defaults") or {}


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """The models that may serve a request, in their order, why, and how long is tried."""

    targets: tuple[Target, ...]
    reason: str
    route: str = ""
    fallback_on: frozenset[str] = frozenset(usual_fallbacks())
    max_attempts: int = DEFAULT_ATTEMPTS
    deadline_seconds: float = DEFAULT_DEADLINE_SECONDS


@dataclass(frozen=True, slots=True)
class RouteRules:
    """A route as its row says."""

    name: str
    strategy: str
    targets: tuple[tuple[str, int], ...]
    fallback_on: frozenset[str]
    max_attempts: int
    deadline_seconds: float


@dataclass(frozen=True, slots=True)
class Wish:
    """What the models of a request have to be, and what is known of them.

    `qualities` are the mean ratings of models by their names in lower case.
    """

    input_tokens: int
    stream: bool = False
    requirements: Requirements | None = None
    qualities: Mapping[str, float] = field(default_factory=dict)

    @property
    def preference(self) -> Preference | None:
        return self.requirements.prefer if self.requirements else None

    def meeting(self, targets: Sequence[Target]) -> list[Target]:
        """Return the models that are what is required. Raises: InvalidModelRequest."""
        lacks = [(target, self._lack_of(target)) for target in targets]
        kept = [target for target, lack in lacks if not lack]
        if not kept:
            told = "; ".join(f"'{target.model}' {lack}" for target, lack in lacks[:MOST_TOLD])
            more = f"; and {len(lacks) - MOST_TOLD} more do not" if len(lacks) > MOST_TOLD else ""
            raise InvalidModelRequest.at(FIELD, f"No model meets them: {told}{more}.")
        return kept

    def ordered(self, targets: Sequence[Target], preference: Preference) -> list[Target]:
        """Return models, what is preferred first; of the same quality, the cheaper."""
        strategy = RouteStrategy.CHEAPEST
        if preference == Preference.LATENCY:
            strategy = RouteStrategy.FASTEST
        ordered = order([(target, 1) for target in targets], strategy, stream=self.stream)
        if preference == Preference.QUALITY:
            ordered.sort(key=lambda target: -self._quality_of(target))
        return ordered

    def roomy(self, targets: Sequence[Target]) -> tuple[Target, ...]:
        """Return the models for which the input is surely not too long, or else all."""
        roomy = [
            each
            for each in targets
            if each.token_limit is None or self.input_tokens <= each.token_limit
        ]
        return tuple(roomy or targets)

    def _lack_of(self, target: Target) -> str:
        """Return in which way a model is not what is required; empty if it is."""
        required = self.requirements
        if required is None:
            return ""
        lack = _lack_of_kind(target, required) or _lack_of_price(target, required.max_price)
        if lack:
            return lack
        quality = self._quality_of(target)
        if required.min_quality is not None and quality < required.min_quality:
            return f"is of the quality {quality:.2f}"
        pace = paces.of(target.model, stream=self.stream)
        if required.max_latency_ms is not None and pace > required.max_latency_ms:
            return f"answered after {pace:.0f} ms lately"
        return ""

    def _quality_of(self, target: Target) -> float:
        return self.qualities.get(target.model.lower(), UNRATED_QUALITY)


def _lack_of_kind(target: Target, required: Requirements) -> str:
    if required.provider is not None and target.provider != required.provider:
        return f"is of {target.provider}"
    for capability in required.capabilities:
        if capability not in target.capabilities:
            return f"does not serve {capability.value}"
    limit, least = target.token_limit, required.context_tokens
    is_short = least is not None and limit is not None and limit < least
    return f"takes {limit} tokens" if is_short else ""


def _lack_of_price(target: Target, most: Decimal | None) -> str:
    if most is None:
        return ""
    if target.price is None:
        return "has no price"
    dearest = max(target.price.dearest_input, target.price.dearest_output)
    return f"costs {dearest.normalize():f} USD for a million tokens" if dearest > most else ""


# Why the first model of a plan is the first.
_ROUTE_REASONS: Mapping[str, str] = {
    RouteStrategy.PRIORITY: "The first",
    RouteStrategy.WEIGHTED: "Drawn by weight",
    RouteStrategy.CHEAPEST: "The cheapest",
    RouteStrategy.FASTEST: "The fastest lately",
}
_REASONS: Mapping[Preference, str] = {
    Preference.PRICE: "The cheapest",
    Preference.QUALITY: "The best by feedback",
    Preference.LATENCY: "The fastest lately",
}


@dataclass(frozen=True, slots=True)
class ModelChoices:
    """All that callers may ask for: models by id and alias, and routes, in lower case."""

    models: Mapping[str, Target]
    routes: Mapping[str, RouteRules]

    def plan(self, asked: str, request_type: RequestType, wish: Wish) -> RoutePlan:
        """Return the models that may serve what is asked for, in the order in which they are asked.

        Raises:
            ModelNotFound: there is no such model or route.
            ModelInactive: it is not served.
            InvalidModelRequest: no model of it can do that, or meets what is required.
        """
        name = asked.strip().lower()
        if (target := self.models.get(name)) is not None:
            _refuse_unfit(target, request_type)
            wish.meeting([target])
            seconds = target.configuration.get("timeout_seconds", DEFAULT_DEADLINE_SECONDS)
            reason = "It was asked for"
            if name != target.model.lower():
                reason += f" as {json.dumps(asked.strip())}"
            return RoutePlan((target,), reason, deadline_seconds=float(seconds))
        if (route := self.routes.get(name)) is not None:
            return self._plan_route(route, request_type, wish)
        if name == AUTO:
            return self._plan_any(request_type, wish)
        raise not_found(asked, [*self.models, *self.routes])

    def _plan_route(self, route: RouteRules, request_type: RequestType, wish: Wish) -> RoutePlan:
        named = [(self.models.get(model.lower()), weight) for model, weight in route.targets]
        present = [(target, weight) for target, weight in named if target is not None]
        fit = [pair for pair in present if _fits(pair[0], request_type)]
        if not fit:
            sentence = f"No model of the route '{route.name}' serves {request_type.value}."
            raise InvalidModelRequest.at("model", sentence)
        meeting = wish.meeting([target for target, _ in fit])
        if wish.preference is None:
            pairs = [pair for pair in fit if pair[0] in meeting]
            ordered = order(pairs, route.strategy, stream=wish.stream)
            reason = f"{_ROUTE_REASONS[route.strategy]} of the route '{route.name}'"
        else:
            ordered = wish.ordered(meeting, wish.preference)
            reason = f"{_REASONS[wish.preference]} of the route '{route.name}'"
        return RoutePlan(
            wish.roomy(ordered),
            reason,
            route.name,
            route.fallback_on,
            route.max_attempts,
            route.deadline_seconds,
        )

    def _plan_any(self, request_type: RequestType, wish: Wish) -> RoutePlan:
        every = {target.model: target for target in self.models.values()}
        fit = [
            target
            for target in every.values()
            if target.status == ModelStatus.ACTIVE and request_type in target.capabilities
        ]
        if not fit:
            raise InvalidModelRequest.at("model", f"No model serves {request_type.value}.")
        meeting = wish.meeting(fit)
        preference = wish.preference or Preference.PRICE
        ordered = wish.roomy(wish.ordered(meeting, preference))
        which = f"{len(meeting)} models" if len(meeting) > 1 else "the one model"
        verb = "meet" if len(meeting) > 1 else "meets"
        reason = f"{_REASONS[preference]} of {which} that {verb} the requirements"
        # As many as are asked at most: a dear one that is never asked would have its cost reserved.
        return RoutePlan(ordered[:DEFAULT_ATTEMPTS], reason)

    def usual_model(self, request_type: RequestType, provider: str) -> str:
        """Return what is asked where a caller names no model: what is called `default`, or the
        one model, of the provider if one is named, that serves such requests.

        Raises:
            InvalidModelRequest: there is none, or more than one.
        """
        if not provider and (DEFAULT in self.models or DEFAULT in self.routes):
            return DEFAULT
        names = {
            target.model
            for target in self.models.values()
            if _fits(target, request_type) and provider.upper() in ("", target.provider)
        }
        if len(names) == 1:
            return names.pop()
        of_it = f" of {provider}" if provider else ""
        raise InvalidModelRequest.at(
            "model_id",
            f"Say which model: {len(names)}{of_it} serve {request_type.value}."
            f" Which one is usual says a route or an alias '{DEFAULT}'.",
        )


def order(
    targets: Sequence[tuple[Target, int]],
    strategy: str,
    chance: random.Random = random.Random(),  # noqa: B008, S311 (shared, and no secret)
    *,
    stream: bool = False,
) -> list[Target]:
    """Return models in the order in which a strategy asks them."""
    if strategy == RouteStrategy.WEIGHTED:
        # Efraimidis and Spirakis: the largest of u ** (1/w) first draws by weight, without return.
        drawn = [(chance.random() ** (1 / weight), target) for target, weight in targets if weight]
        last = [target for target, weight in targets if not weight]
        return [target for _, target in sorted(drawn, key=lambda each: -each[0])] + last
    if strategy == RouteStrategy.CHEAPEST:
        return sorted((target for target, _ in targets), key=_cheapness)
    if strategy == RouteStrategy.FASTEST:
        known = [paces.of(target.model, stream=stream) for target, _ in targets]
        return [targets[place][0] for place in fastest_first(known, chance)]
    return [target for target, _ in targets]


def _cheapness(target: Target) -> tuple[Any, ...]:
    price = target.price
    if price is None:
        return (True,)
    return (False, price.input + price.output, price.per_image or 0, price.per_second or 0)


def _fits(target: Target, request_type: RequestType) -> bool:
    return target.status != ModelStatus.INACTIVE and request_type in target.capabilities


def _refuse_unfit(target: Target, request_type: RequestType) -> None:
    if target.status == ModelStatus.INACTIVE:
        instead = f" Ask for '{target.replacement}'." if target.replacement else ""
        raise ModelInactive(f"The model '{target.model}' is not served.{instead}")
    if request_type not in target.capabilities:
        listed = ", ".join(target.capabilities)
        sentence = f"'{target.model}' does not serve {request_type.value}. It serves: {listed}."
        raise InvalidModelRequest.at("model", sentence)


def not_found(asked: str, names: Collection[str]) -> ModelNotFound:
    close = did_you_mean(asked, sorted(names))
    return ModelNotFound(f"There is no model '{asked[:100]}'{close}", param="model")
