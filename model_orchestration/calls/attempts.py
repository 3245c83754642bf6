"""Asks one model after the other, until one answers or nothing more is to be tried."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog
from django.utils import timezone

from core.exceptions import SchemaViolation
from model_orchestration.acceptance import AcceptedRequest
from model_orchestration.adapters.audio import encode_form
from model_orchestration.adapters.base import Adapter, WireRequest
from model_orchestration.adapters.by_provider import adapter_of
from model_orchestration.calls.pauses import pauses
from model_orchestration.catalog import pause
from model_orchestration.choosing import Target
from model_orchestration.exceptions import ModelError
from model_orchestration.failures import (
    Failure,
    error_of,
    failure_of,
    goes_on,
    wait_before_again,
)
from model_orchestration.models.route import ErrorClass
from model_orchestration.outcomes import ModelAttempt
from model_orchestration.paces import paces
from registry.calls.client import ServiceClient
from registry.calls.event_stream import TakeEvent
from registry.calls.request import RawBody
from registry.exceptions import CallError

logger = structlog.get_logger(__name__)

# What is asked at once needs no spread; what is asked again does.
JITTER = 0.25
# How old what is known of a connection may be, as all that is configured of models.
FRESH_SECONDS = 1.0


@dataclass(slots=True)
class OngoingRequest:
    """A request on its way: what was tried, and until when it may be, on the client's clock."""

    accepted: AcceptedRequest
    client: ServiceClient
    deadline: float
    started: float = field(default_factory=time.monotonic)
    attempts: list[ModelAttempt] = field(default_factory=list)

    @property
    def seconds_left(self) -> float:
        return self.deadline - time.monotonic()

    @property
    def milliseconds(self) -> float:
        return round((time.monotonic() - self.started) * 1000, 2)


Ask = Callable[[Target], Awaitable[Any]]


class AnswerUnusable(Exception):
    """What a provider answered is not of its API."""


class RequestMalformed(Exception):
    """What a caller sent cannot be put into the words of a provider."""


# What reading a document raises whose parts are of other types than its API says.
MALFORMED = (ValueError, TypeError, AttributeError, KeyError, IndexError)


async def ask_in_turn(ongoing: OngoingRequest, ask: Ask, *, has_begun: Callable[[], bool]) -> Any:
    """Return what `ask` returns for the first model that answers.

    Nothing is asked again once the answer `has_begun` to reach the caller.

    Raises:
        ModelError: no model answered, or the one that began broke off.
    """
    plan = ongoing.accepted.plan
    targets = pauses.order(plan.targets)
    error: ModelError | None = None
    for target in targets:
        asked = 0
        while len(ongoing.attempts) < plan.max_attempts:
            begun = time.monotonic()
            try:
                answer = await _ask_unless_paused(target, ask)
            except (CallError, AnswerUnusable, RequestMalformed, SchemaViolation) as failed:
                failure = _failure_of(failed, adapter_of(target.provider))
            else:
                _note(ongoing, target, begun)
                return answer
            asked += 1
            _note(ongoing, target, begun, failure)
            await _pause(ongoing.client, target, failure)
            paces.note_failure(target.model, stream=ongoing.accepted.call.stream)
            error = error_of(failure, model=target.model, provider=target.provider)
            if has_begun():
                raise error
            wait = wait_before_again(failure, attempts=asked)
            if wait is None or wait >= ongoing.seconds_left:
                break
            await asyncio.sleep(wait * random.uniform(1, 1 + JITTER))  # noqa: S311
        if not goes_on(failure, plan.fallback_on) or ongoing.seconds_left <= 0:
            break
    assert error is not None
    raise error


async def _pause(client: ServiceClient, target: Target, failure: Failure) -> None:
    """Have this and all other processes leave a model alone that wants it."""
    if seconds := pauses.note(target, failure):
        until = timezone.now() + timedelta(seconds=seconds)
        try:
            await client.in_database(pause, target, until)
        except Exception as error:  # the answer is not to wait for the database
            logger.warning("pause_not_shared", model=target.model, error=str(error)[:300])


async def _ask_unless_paused(target: Target, ask: Ask) -> Any:
    paused = pauses.seconds_left(target)
    if paused > 0:
        raise _Paused(paused)
    return await ask(target)


class _Paused(CallError):
    """The provider said when to come again, and that is still to come."""

    def __init__(self, seconds: float) -> None:
        super().__init__("It asked to be left alone for a while.", retry_after=seconds)


def _failure_of(error: Exception, adapter: Adapter) -> Failure:
    if isinstance(error, _Paused):
        return Failure(
            ErrorClass.UNAVAILABLE,
            error.message,
            retry_after=error.retry_after,
            is_refused_here=True,
        )
    if isinstance(error, CallError):
        return failure_of(error, adapter)
    if isinstance(error, RequestMalformed | SchemaViolation):
        return Failure(ErrorClass.INVALID, str(error), is_refused_here=True)
    return Failure(ErrorClass.UNAVAILABLE, f"What it answers cannot be used: {error}.")


def _note(
    ongoing: OngoingRequest, target: Target, begun: float, failure: Failure | None = None
) -> None:
    took = round((time.monotonic() - begun) * 1000, 2)
    error = failure.error_class.value if failure else ""
    status = failure.status if failure else None
    refused = failure is not None and failure.is_refused_here
    ongoing.attempts.append(ModelAttempt(target.model, took, error, status, refused))


async def send(ongoing: OngoingRequest, target: Target, *, take: TakeEvent | None = None) -> Any:
    """Send a request to a model and return the document that it answers. Raises: CallError."""
    accepted = ongoing.accepted
    call = accepted.call.including(target.defaults)
    most_output = accepted.most_output.get(target.model)
    try:
        wire = adapter_of(target.provider).request(
            call, model=target.sent_name, most_output=most_output
        )
    except MALFORMED as error:
        raise RequestMalformed(f"A part of it is of the wrong type ({error}).") from None
    headers = {**wire.headers, "X-Request-ID": accepted.request_id}
    if take is not None:
        headers |= {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
    result = await ongoing.client.call_connection(
        target.connection,
        wire.body,
        path=wire.path,
        headers=headers,
        deadline=ongoing.deadline,
        timeout_seconds=accepted.plan.deadline_seconds,
        actor=accepted.purpose.actor,
        key=target.connection_id,
        take=take,
        keeps_refusals=True,
        fresh_seconds=FRESH_SECONDS,
        raw=_form_of(wire),
    )
    return result.output


def _form_of(wire: WireRequest) -> RawBody | None:
    """Return what is sent where a file goes along; None where all is JSON."""
    if wire.file is None:
        return None
    boundary = uuid.uuid4().hex
    content = encode_form(
        wire.body,
        name=wire.file.name,
        media_type=wire.file.media_type,
        content=wire.file.content,
        boundary=boundary,
    )
    return RawBody(f"multipart/form-data; boundary={boundary}", content)
