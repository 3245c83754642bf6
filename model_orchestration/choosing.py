"""Which models may serve a request, and in which order they are asked.

Pure, but for what `paces` knows of how soon they answered.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.suggestions import did_you_mean
from model_orchestration.exceptions import InvalidModelRequest, ModelInactive, ModelNotFound
from model_orchestration.models.model import ModelStatus, RequestType
from model_orchestration.models.route import RouteStrategy, usual_fallbacks
from model_orchestration.paces import fastest_first, paces
from model_orchestration.pricing import Price

# The name that is asked for where a caller names none.
DEFAULT = "default"
DEFAULT_DEADLINE_SECONDS = 120.0
DEFAULT_ATTEMPTS = 4


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
    replacement: str = ""
    configuration: Mapping[str, Any] = field(default_factory=dict)
    weight: int = 1

    @property
    def defaults(self) -> Mapping[str, Any]:
        """The fields that a request has unless it says otherwise."""
        return self.configuration.get("defaults") or {}


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """The models that may serve a request, in their order, and how long is tried."""

    targets: tuple[Target, ...]
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
class ModelChoices:
    """All that callers may ask for: models by id and alias, and routes, in lower case."""

    models: Mapping[str, Target]
    routes: Mapping[str, RouteRules]

    def plan(
        self, asked: str, request_type: RequestType, *, input_tokens: int, stream: bool = False
    ) -> RoutePlan:
        """Return the models that may serve what is asked for, in the order in which they are asked.

        Raises:
            ModelNotFound: there is no such model or route.
            ModelInactive: it is not served.
            InvalidModelRequest: no model of it can do that.
        """
        name = asked.strip().lower()
        if (target := self.models.get(name)) is not None:
            _refuse_unfit(target, request_type)
            seconds = target.configuration.get("timeout_seconds", DEFAULT_DEADLINE_SECONDS)
            return RoutePlan((target,), deadline_seconds=float(seconds))
        if (route := self.routes.get(name)) is None:
            raise not_found(asked, [*self.models, *self.routes])
        named = [(self.models.get(model.lower()), weight) for model, weight in route.targets]
        present = [(target, weight) for target, weight in named if target is not None]
        fit = [pair for pair in present if _fits(pair[0], request_type)]
        if not fit:
            sentence = f"No model of the route '{route.name}' serves {request_type.value}."
            raise InvalidModelRequest.at("model", sentence)
        ordered = order(fit, route.strategy, stream=stream)
        # What is surely too long for a model is not sent to it, if another one may take it.
        roomy = [t for t in ordered if t.token_limit is None or input_tokens <= t.token_limit]
        return RoutePlan(
            tuple(roomy or ordered),
            route.name,
            route.fallback_on,
            route.max_attempts,
            route.deadline_seconds,
        )

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


def _cheapness(target: Target) -> tuple[bool, Any]:
    price = target.price
    return (price is None, price.input + price.output if price is not None else 0)


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
