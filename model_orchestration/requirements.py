"""What callers require of a model that they do not name (pure)."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from core.db.vocabulary import Vocabulary
from core.json import strict
from core.suggestions import did_you_mean
from model_orchestration.exceptions import InvalidModelRequest
from model_orchestration.models.model import ModelProvider, RequestType

FIELD = "requirements"
# What is asked for where any model will do that meets what is required.
AUTO = "auto"
MOST = 10**12


class Preference(Vocabulary):
    """By what one of the models is chosen that meet the requirements."""

    PRICE = "PRICE", "The lowest price"
    QUALITY = "QUALITY", "The best quality, by feedback"
    LATENCY = "LATENCY", "The soonest answers lately"


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a model has to be; None where it does not matter. Prices are of a million tokens."""

    capabilities: tuple[RequestType, ...] = ()
    provider: ModelProvider | None = None
    context_tokens: int | None = None
    max_price: Decimal | None = None
    max_cost: Decimal | None = None
    min_quality: float | None = None
    max_latency_ms: float | None = None
    prefer: Preference | None = None

    @property
    def asks_for_quality(self) -> bool:
        return self.min_quality is not None or self.prefer == Preference.QUALITY


def read_requirements(body: Mapping[str, Any]) -> Requirements | None:
    """Return what a body requires of models; None if nothing. Raises: InvalidModelRequest."""
    given = body.get(FIELD)
    if given is None:
        return None
    if isinstance(given, str):  # all of a form is text
        with contextlib.suppress(strict.JSONRefused):
            given = strict.parse(given)
    if not isinstance(given, dict):
        raise InvalidModelRequest.at(FIELD, f"Must be an object of: {', '.join(_READERS)}.")
    read: dict[str, Any] = {}
    for name, value in given.items():
        where = f"{FIELD}.{name[:50]}"
        if name not in _READERS:
            sentence = f"There is no such requirement{did_you_mean(name, _READERS)}"
            raise InvalidModelRequest.at(where, f"{sentence} Known: {', '.join(_READERS)}.")
        if value is None:
            continue
        try:
            field, read_value = _READERS[name]
            read[field] = read_value(value)
        except ValueError as error:
            raise InvalidModelRequest.at(where, str(error)) from None
    return Requirements(**read)


def _capabilities(value: Any) -> tuple[RequestType, ...]:
    listed = value if isinstance(value, list) else [value]
    return tuple(RequestType.parse(each) for each in listed)


def _count(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= MOST:
        raise ValueError("Must be a whole number from 1 on.")
    return value


def _number(value: Any, most: float = MOST) -> float:
    is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= most:
        raise ValueError(f"Must be a number from 0 to {most}.")
    return float(value)


def _amount(value: Any) -> Decimal:
    return Decimal(str(_number(value)))


def _share(value: Any) -> float:
    return _number(value, most=1)


_READERS: Mapping[str, tuple[str, Any]] = {
    "capability": ("capabilities", _capabilities),
    "provider": ("provider", ModelProvider.parse),
    "context_tokens": ("context_tokens", _count),
    "max_price": ("max_price", _amount),
    "max_cost": ("max_cost", _amount),
    "min_quality": ("min_quality", _share),
    "max_latency_ms": ("max_latency_ms", _number),
    "prefer": ("prefer", Preference.parse),
}
