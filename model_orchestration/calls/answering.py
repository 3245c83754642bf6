"""Has a model answer a request, and settles what that cost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import Any
from weakref import WeakKeyDictionary

from model_orchestration.acceptance import AcceptedRequest
from model_orchestration.adapters.audio import likely_seconds
from model_orchestration.adapters.base import BYTES_PER_TOKEN, ModelAnswer
from model_orchestration.adapters.by_provider import adapter_of
from model_orchestration.calls.attempts import (
    MALFORMED,
    AnswerUnusable,
    OngoingRequest,
    ask_in_turn,
    send,
)
from model_orchestration.choosing import Target
from model_orchestration.content_store import ContentWriter, SaidText
from model_orchestration.dialects import openai_usage
from model_orchestration.exceptions import ModelError
from model_orchestration.models.fields import usd_of
from model_orchestration.models.request import RequestState
from model_orchestration.outcomes import (
    RequestOutcome,
    charge,
    choice_reason_of,
    finish_reason_of,
)
from model_orchestration.paces import paces
from model_orchestration.pricing import Usage
from model_orchestration.settlement import SettlementWriter
from registry.calls.blocking_client import on_shared_loop
from registry.calls.client import ServiceClient

# What a text takes beside itself while it waits to be kept.
_TEXT_OVERHEAD = 1000


@dataclass(frozen=True, slots=True)
class RecordWriters:
    """What writes how requests of a client ended, and what was said in them."""

    settlements: SettlementWriter
    contents: ContentWriter

    def close(self) -> None:
        self.settlements.close()
        self.contents.close()


_writers: WeakKeyDictionary[ServiceClient, RecordWriters] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Served:
    """An answer in OpenAI's form, which model gave it, and what it cost."""

    body: dict[str, Any]
    target: Target
    usage: Usage
    cost_nanousd: int
    attempts: int
    latency_ms: float
    accepted: AcceptedRequest
    reason: str
    native: Mapping[str, Any] | None = None

    @property
    def cost(self) -> Decimal:
        return usd_of(self.cost_nanousd)

    @property
    def told_body(self) -> dict[str, Any]:
        """The answer with why that model gave it."""
        return {**self.body, "model_reason": self.reason}


def begin_answer(accepted: AcceptedRequest) -> Future[Served]:
    """Begin to have a request answered; what it cost is settled before the answer is there."""
    return on_shared_loop(lambda client: answer(client, accepted))


def ongoing_of(client: ServiceClient, accepted: AcceptedRequest) -> OngoingRequest:
    return OngoingRequest(accepted, client, time.monotonic() + accepted.plan.deadline_seconds)


async def settle_outcome(
    client: ServiceClient, accepted: AcceptedRequest, outcome: RequestOutcome
) -> None:
    """Have an outcome written, whatever becomes of who waits for it.

    What was said is kept meanwhile, where it is to be; nobody waits for that.
    """
    writers = _writers.get(client)
    if writers is None:
        writers = _writers[client] = RecordWriters(SettlementWriter(), ContentWriter())
        client.close_too(writers.close)
    if accepted.content.keeps_text:
        writers.contents.put(_said(accepted, outcome))
    await asyncio.shield(asyncio.ensure_future(writers.settlements.write(outcome)))


def _said(accepted: AcceptedRequest, outcome: RequestOutcome) -> SaidText:
    tokens = accepted.estimated_input + outcome.usage.output_tokens
    file = accepted.call.file
    size = tokens * BYTES_PER_TOKEN + _TEXT_OVERHEAD + (len(file.content) if file else 0)
    return SaidText(accepted.id, accepted.content, accepted.call, outcome.answer, size)


async def answer(client: ServiceClient, accepted: AcceptedRequest) -> Served:
    """Return the answer to a request, once what it cost is settled. Raises: ModelError."""
    ongoing = ongoing_of(client, accepted)

    async def ask(target: Target) -> tuple[Target, ModelAnswer]:
        begun = ongoing.milliseconds
        document = await send(ongoing, target)
        paces.note(target.model, ongoing.milliseconds - begun, stream=False)
        try:
            return target, adapter_of(target.provider).answer(accepted.call, document)
        except MALFORMED as error:
            raise AnswerUnusable(str(error)) from None

    try:
        target, given = await ask_in_turn(ongoing, ask, has_begun=lambda: False)
    except ModelError as error:
        await settle_outcome(client, accepted, failed(ongoing, error))
        raise
    except asyncio.CancelledError:
        left = ModelError("The caller left, or the process stops.")
        await settle_outcome(client, accepted, failed(ongoing, left))
        raise
    except Exception:
        unknown = ModelError("Something went wrong here.")
        await settle_outcome(client, accepted, failed(ongoing, unknown))
        raise
    file = accepted.call.file
    usage, source, cost = charge(
        target,
        given.usage,
        input_tokens=accepted.estimated_input,
        text_bytes=_text_bytes(given.body),
        audio_seconds=likely_seconds(file.content) if file is not None else 0.0,
    )
    reason = choice_reason_of(accepted.plan, target.model, ongoing.attempts)
    outcome = RequestOutcome(
        accepted.id, RequestState.SETTLED, target, usage, source, cost, ongoing.attempts,
        ongoing.milliseconds, finish_reason=finish_reason_of(given.body), choice_reason=reason,
        answer=given.body,
    )  # fmt: skip
    await settle_outcome(client, accepted, outcome)
    return Served(
        _finished(given.body, target, usage, cost), target, usage, cost,
        len(ongoing.attempts), ongoing.milliseconds, accepted, reason, given.native,
    )  # fmt: skip


async def give_up(client: ServiceClient, accepted: AcceptedRequest) -> None:
    """Settle a request that is not sent: who asked left."""
    left = ModelError("The caller left, or the process stops.")
    await settle_outcome(client, accepted, failed(ongoing_of(client, accepted), left))


def failed(ongoing: OngoingRequest, error: ModelError) -> RequestOutcome:
    """Return the outcome of what nobody answered."""
    last = ongoing.attempts[-1].model if ongoing.attempts else ""
    targets = ongoing.accepted.plan.targets
    target = next((each for each in targets if each.model == last), None)
    return RequestOutcome(
        ongoing.accepted.id, RequestState.FAILED, target, attempts=ongoing.attempts,
        latency_ms=ongoing.milliseconds, error_code=error.code,
        error_message=ongoing.accepted.content.error(error.message),
    )  # fmt: skip


def _finished(body: dict[str, Any], target: Target, usage: Usage, cost: int) -> dict[str, Any]:
    """Return an answer with the model that gave it, as callers know it, and what it cost."""
    told = body.get("usage")
    if not isinstance(told, dict):
        told = openai_usage(usage, cost)
        if usage.audio_seconds:
            told = {"type": "duration", "seconds": ceil(usage.audio_seconds)}
    return {**body, "model": target.model, "usage": {**told, "cost": float(usd_of(cost))}}


def _text_bytes(body: dict[str, Any]) -> int:
    """Return how many bytes of text an answer has, for an estimate."""
    texts = [body.get("text")]
    for choice in body.get("choices") or []:
        message = choice.get("message") or {}
        texts += [choice.get("text"), message.get("content")]
        tools = message.get("tool_calls") or []
        texts += [(tool.get("function") or {}).get("arguments") for tool in tools]
    return sum(len(text.encode()) for text in texts if isinstance(text, str))
