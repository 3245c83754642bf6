"""How a request ended, and what it used and cost (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any
from uuid import UUID

from model_orchestration.adapters.audio import USUAL_TOKENS_A_SECOND
from model_orchestration.adapters.base import estimate_tokens
from model_orchestration.choosing import RoutePlan, Target
from model_orchestration.models.request import RequestState, UsageSource
from model_orchestration.pricing import NO_USAGE, Usage, cost_of


@dataclass(frozen=True, slots=True)
class ModelAttempt:
    """A time that a model was asked, or was not as the hub knew better (`is_refused_here`)."""

    model: str
    milliseconds: float
    error: str = ""
    status: int | None = None
    is_refused_here: bool = False

    def as_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "milliseconds": self.milliseconds,
            "error": self.error or None,
            "status": self.status,
        }


@dataclass(frozen=True, slots=True)
class RequestOutcome:
    """How a request ended. Without a `target`, nobody served it."""

    id: UUID
    state: RequestState
    target: Target | None
    usage: Usage = NO_USAGE
    usage_source: UsageSource = UsageSource.NONE
    cost_nanousd: int = 0
    attempts: Sequence[ModelAttempt] = ()
    latency_ms: float = 0.0
    first_token_ms: float | None = None
    error_code: str = ""
    error_message: str = ""
    # Why the answer ended, as OpenAI's API tells it.
    finish_reason: str = ""
    # Why the target served it; empty where it is the one that was planned.
    choice_reason: str = ""
    # What was answered, where it is to be kept.
    answer: Mapping[str, Any] | None = field(default=None, repr=False)


def choice_reason_of(plan: RoutePlan, served: str, attempts: Sequence[ModelAttempt]) -> str:
    """Return why a model served a request: as planned, or after which others."""
    failed = {each.model: each.error for each in attempts if each.error and each.model != served}
    names = [target.model for target in plan.targets]
    before = [*failed, *(each for each in names[: names.index(served)] if each not in failed)]
    if not before:
        return f"{plan.reason}."
    told = ", ".join(f"{name} ({failed.get(name) or 'left alone'})" for name in before)
    return f"{plan.reason}, after {told}."


def finish_reason_of(body: Mapping[str, Any]) -> str:
    """Return why the first choice of an answer, or of a chunk of one, ended; empty if it did not.

    What a provider sends may be of any type.
    """
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    reason = first.get("finish_reason") if isinstance(first, dict) else None
    return reason if isinstance(reason, str) else ""


def charge(
    target: Target,
    told: Usage | None,
    *,
    input_tokens: int,
    text_bytes: int,
    audio_seconds: float = 0.0,
) -> tuple[Usage, UsageSource, int]:
    """Return what was used, who says so, and what it costs; counted where the provider told none.

    Reasoning that was not told, and what a caller did not wait for, cannot be counted.
    """
    source = UsageSource.PROVIDER
    if told is None:
        told = Usage(input_tokens, estimate_tokens(text_bytes), audio_seconds=audio_seconds)
        source = UsageSource.ESTIMATED
    price = target.price
    if told.audio_seconds and not told.total_tokens and price and price.per_second is None:
        # It tells the time, and is charged by tokens.
        told = replace(told, input_tokens=ceil(told.audio_seconds * USUAL_TOKENS_A_SECOND))
        source = UsageSource.ESTIMATED
    return told, source, cost_of(price, told) if price else 0
