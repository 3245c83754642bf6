"""Requests to models: answered on the loop of the front, so that no thread waits for a model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import structlog

from core.api.exchange import STREAM_KEY, Headers, StreamSlot, WebAnswer, WebRequest, WebStream
from core.batches import Batches
from core.exceptions import IntegrationError
from integration_site.front.application import caller_of
from integration_site.front.django_pool import DjangoPool
from integration_site.front.keeping import Reads
from model_orchestration.acceptance import AcceptedRequest, Admission, AskedRequest, admit_many
from model_orchestration.api.calling import head_of
from model_orchestration.api.direct import DIALECTS, DirectRequest, read_direct
from model_orchestration.calls.answering import answer, give_up
from model_orchestration.calls.bridge import StreamBridge
from model_orchestration.calls.streams import ModelStream
from model_orchestration.dialects import retry_headers
from model_orchestration.exceptions import ModelError
from registry.calls.loop_client import client_of_loop

logger = structlog.get_logger(__name__)

PATHS = tuple(DIALECTS)
STREAM_HEADERS = (
    ("Content-Type", "text/event-stream"),
    ("Cache-Control", "no-store"),
    ("X-Accel-Buffering", "no"),  # nginx would collect it
)
# What nothing comes of for so long is told to be alive, or proxies drop it.
PING_SECONDS = 15.0


class ModelCalls:
    """Admits requests together, in a thread of its own, and answers each on the running loop.

    What is unusual is left to Django, and a stream that Django begins is sent from here too.
    """

    def __init__(self, django: DjangoPool, reads: Reads) -> None:
        self._django = django
        self._reads = reads
        self._admissions: Batches[AskedRequest, Admission] = Batches(admit_many, name="models")
        self._leaving: set[asyncio.Task[Any]] = set()

    def close(self) -> None:
        """Admit no more."""
        self._admissions.close()

    async def answer(self, request: WebRequest) -> WebAnswer | WebStream | None:
        if request.method != "POST":
            return None
        await self._reads.learn_key(request)
        direct = read_direct(request)
        if direct is None:
            return await self._ask_django(request)
        try:
            with request.set_aside():
                return await self._answer(direct)
        except IntegrationError as error:
            return direct.refusal(error)
        except Exception as error:
            logger.exception("model_not_asked", request_id=request.request_id)
            return direct.refusal(error)

    async def _answer(self, direct: DirectRequest) -> WebAnswer | WebStream:
        accepted = await self._admit(direct.asked)
        client = client_of_loop()
        if not accepted.call.stream:
            return direct.answer(await answer(client, accepted))
        stream = ModelStream(accepted, direct.writer())
        stream.begin_with(client)
        return await _opened(stream, direct.plain.counted)

    async def _admit(self, asked: AskedRequest) -> AcceptedRequest:
        """Admit a request; whoever left meanwhile gives back what it holds.

        Raises:
            IntegrationError: it is refused.
        """
        joined = asyncio.ensure_future(self._admissions.join(asked))
        try:
            admitted = await asyncio.shield(joined)
        except asyncio.CancelledError:
            joined.add_done_callback(self._give_up)
            raise
        if isinstance(admitted, IntegrationError):
            raise admitted
        return admitted

    def _give_up(self, joined: asyncio.Future[Admission]) -> None:
        if joined.cancelled() or joined.exception() is not None:
            return
        if isinstance(admitted := joined.result(), AcceptedRequest):
            task = asyncio.ensure_future(give_up(client_of_loop(), admitted))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def _ask_django(self, request: WebRequest) -> WebAnswer | WebStream | None:
        if b'"stream"' not in request.body:
            return None
        slot = request.environ[STREAM_KEY] = StreamSlot()
        begun = await self._django.answer(request, caller=caller_of(request))
        stream: ModelStream | None = slot.stream
        if stream is None:
            return begun
        rate = tuple(pair for pair in begun.headers if pair[0].startswith("RateLimit-"))
        try:
            with request.set_aside():
                return await _opened(stream, rate)
        except ModelError as error:
            return _refusal(stream, error, rate)


async def _opened(stream: ModelStream, rate: Headers) -> WebStream:
    """Return a stream once its first piece is there. Raises: ModelError."""
    try:
        opened = await asyncio.wrap_future(stream.opened)
    except ModelError:
        raise
    except BaseException:
        stream.bridge.abandon()
        raise
    head = head_of(
        stream.accepted,
        model=opened.target.model,
        reason=opened.reason,
        attempts=opened.attempts,
    )
    return WebStream(_parts(stream.bridge), (*STREAM_HEADERS, *head.items(), *rate))


async def _parts(bridge: StreamBridge) -> AsyncGenerator[bytes]:
    try:
        while True:
            try:
                piece = await bridge.take(PING_SECONDS)
            except TimeoutError:
                piece = b": ping\n\n"
            if piece is None:
                return
            yield piece
    finally:
        bridge.abandon()


def _refusal(stream: ModelStream, error: ModelError, rate: Headers) -> WebAnswer:
    headers = (("Content-Type", "application/json"), *retry_headers(error.retry_after).items())
    body = json.dumps(stream.writer.refusal(error)).encode()
    return WebAnswer(error.status_code, (*headers, *rate), body)
