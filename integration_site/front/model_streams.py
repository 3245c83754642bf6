"""Streams of models' answers: Django admits a request and begins it, and no thread waits for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

from core.api.exchange import STREAM_KEY, StreamSlot, WebAnswer, WebRequest, WebStream
from integration_site.front.application import caller_of
from integration_site.front.django_pool import DjangoPool
from model_orchestration.api.calling import head_of
from model_orchestration.calls.bridge import StreamBridge
from model_orchestration.calls.streams import ModelStream
from model_orchestration.dialects import retry_headers
from model_orchestration.exceptions import ModelError

STREAMED_PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/messages")
HEADERS = (
    ("Content-Type", "text/event-stream"),
    ("Cache-Control", "no-store"),
    ("X-Accel-Buffering", "no"),  # nginx would collect it
)
# What nothing comes of for so long is told to be alive, or proxies drop it.
PING_SECONDS = 15.0


class ModelStreams:
    """Answers requests for streams; those that ask for a whole answer are left to Django."""

    def __init__(self, django: DjangoPool) -> None:
        self._django = django

    async def answer(self, request: WebRequest) -> WebAnswer | WebStream | None:
        if request.method != "POST" or b'"stream"' not in request.body:
            return None
        slot = request.environ[STREAM_KEY] = StreamSlot()
        answer = await self._django.answer(request, caller=caller_of(request))
        stream: ModelStream | None = slot.stream
        if stream is None:
            return answer
        rate = tuple(pair for pair in answer.headers if pair[0].startswith("RateLimit-"))
        try:
            with request.set_aside():
                opened = await asyncio.wrap_future(stream.opened)
        except ModelError as error:
            return _refusal(stream, error, rate)
        except BaseException:
            stream.bridge.abandon()
            raise
        head = head_of(stream.accepted, model=opened.target.model, attempts=opened.attempts)
        return WebStream(_parts(stream.bridge), (*HEADERS, *head.items(), *rate))


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


def _refusal(stream: ModelStream, error: ModelError, rate: Any) -> WebAnswer:
    headers = (("Content-Type", "application/json"), *retry_headers(error.retry_after).items())
    body = json.dumps(stream.writer.refusal(error)).encode()
    return WebAnswer(error.status_code, (*headers, *rate), body)
