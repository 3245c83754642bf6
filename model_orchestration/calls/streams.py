"""Has a model answer a request piece by piece, and settles it however it ends."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from model_orchestration.acceptance import AcceptedRequest
from model_orchestration.adapters.base import StreamFailed, StreamReader
from model_orchestration.adapters.by_provider import adapter_of
from model_orchestration.calls.answering import failed, ongoing_of, settle_outcome
from model_orchestration.calls.attempts import (
    MALFORMED,
    AnswerUnusable,
    OngoingRequest,
    ask_in_turn,
    send,
)
from model_orchestration.calls.bridge import StreamBridge
from model_orchestration.choosing import Target
from model_orchestration.contents import StreamedText
from model_orchestration.exceptions import ModelError, StreamCut
from model_orchestration.models.model import ModelProvider
from model_orchestration.models.request import RequestState
from model_orchestration.outcomes import (
    RequestOutcome,
    charge,
    choice_reason_of,
    finish_reason_of,
)
from model_orchestration.paces import paces
from model_orchestration.pricing import Usage
from registry.calls.blocking_client import on_shared_loop
from registry.calls.client import ServiceClient
from registry.calls.event_stream import StreamEvent

logger = structlog.get_logger(__name__)

# How long the rest of a stream is read whose caller left, to learn what it cost.
DRAIN_SECONDS = 30.0
CANCEL, DRAIN = "CANCEL", "DRAIN"
# These charge for what nobody waits for any more.
_DRAINED = (ModelProvider.ANTHROPIC, ModelProvider.CUSTOM)


class StreamWriter(Protocol):
    """Writes a stream in the dialect of the route that was called."""

    def refusal(self, error: ModelError) -> dict[str, Any]:
        """Return the body that tells that nothing is answered."""

    def chunk(self, chunk: dict[str, Any]) -> bytes:
        """Return what a chunk of OpenAI's form becomes."""

    def end(self, usage: Usage, cost_nanousd: int) -> bytes:
        """Return what follows the last chunk of a whole answer."""

    def error(self, error: ModelError) -> bytes:
        """Return what tells that the answer broke off."""


@dataclass(frozen=True, slots=True)
class OpenedStream:
    """A stream whose first piece is there: which model gives it, why, and at which attempt."""

    target: Target
    attempts: int
    reason: str


class ModelStream:
    """An answer in pieces. `opened` is done with the first piece, or fails where none comes."""

    def __init__(self, accepted: AcceptedRequest, writer: StreamWriter) -> None:
        self.accepted = accepted
        self.bridge = StreamBridge()
        self.opened: Future[OpenedStream] = Future()
        self.writer = writer
        self._target: Target | None = None
        self._reader: StreamReader | None = None
        self._asked_ms = 0.0
        self._first_ms: float | None = None
        self._finish_reason = ""
        self._text = StreamedText() if accepted.content.keeps_text else None

    def begin(self) -> None:
        """Begin to have it answered on the loop of all calls of this process."""
        on_shared_loop(self._run).add_done_callback(self._ended)

    def begin_with(self, client: ServiceClient) -> None:
        """Begin to have it answered by a client of the running loop."""
        asyncio.ensure_future(self._run(client)).add_done_callback(self._ended)

    def _ended(self, _: object) -> None:
        """See to it that nobody waits for what does not come."""
        if not self.opened.done():
            error = ModelError("The process stops before it could answer.", retry_after=1.0)
            self.opened.set_exception(error)
        self.bridge.finish()

    async def _run(self, client: ServiceClient) -> None:
        task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        assert task is not None
        self.bridge.on_abandoned = lambda: loop.call_soon_threadsafe(self._leave, task)
        if self.bridge.is_abandoned:
            self._leave(task)
        ongoing = ongoing_of(client, self.accepted)
        try:
            await ask_in_turn(ongoing, lambda t: self._ask(ongoing, t), has_begun=self._has_begun)
        except ModelError as error:
            await self._fail(ongoing, error)
        except asyncio.CancelledError:
            task.uncancel()
            outcome = self._outcome(ongoing, RequestState.ABANDONED)
            await settle_outcome(client, self.accepted, outcome)
        except Exception as error:
            logger.exception("stream_not_answered", request_id=self.accepted.request_id)
            await self._fail(ongoing, ModelError(f"Something went wrong here: {error}"[:200]))
        else:
            await self._complete(ongoing)

    def _leave(self, task: asyncio.Task[Any]) -> None:
        """End, or read on for a while, as the caller left."""
        if self._on_disconnect == CANCEL:
            task.cancel()
        else:
            asyncio.get_running_loop().call_later(DRAIN_SECONDS, task.cancel)

    @property
    def _on_disconnect(self) -> str:
        if self._target is None:
            return CANCEL
        usual = DRAIN if self._target.provider in _DRAINED else CANCEL
        return str(self._target.configuration.get("on_disconnect", usual)).upper()

    def _has_begun(self) -> bool:
        return self._first_ms is not None

    async def _ask(self, ongoing: OngoingRequest, target: Target) -> None:
        self._target, self._asked_ms = target, ongoing.milliseconds
        adapter = adapter_of(target.provider)
        reader = self._reader = adapter.reader(self.accepted.call)

        async def take(event: StreamEvent) -> None:
            try:
                chunks = reader.feed(event.name, event.data)
            except (StreamFailed, *MALFORMED) as error:
                raise AnswerUnusable(str(error)) from None
            for chunk in chunks:
                self._finish_reason = finish_reason_of(chunk) or self._finish_reason
                if self._text is not None:
                    self._text.add(chunk)
                await self._pass_on({**chunk, "model": target.model}, ongoing, target)

        document = await send(ongoing, target, take=take)
        if document:  # it answers whole though it was asked for a stream
            raise AnswerUnusable("it is no stream")
        if not reader.is_complete:
            raise AnswerUnusable("the stream ended before its end")

    async def _pass_on(
        self, chunk: dict[str, Any], ongoing: OngoingRequest, target: Target
    ) -> None:
        piece = self.writer.chunk(chunk)
        if self._first_ms is None:
            self._first_ms = ongoing.milliseconds
            paces.note(target.model, self._first_ms - self._asked_ms, stream=True)
            attempts = len(ongoing.attempts) + 1
            self.opened.set_result(OpenedStream(target, attempts, self._reason(ongoing, target)))
        await self.bridge.put(piece)

    async def _complete(self, ongoing: OngoingRequest) -> None:
        is_left = self.bridge.is_abandoned
        state = RequestState.ABANDONED if is_left else RequestState.SETTLED
        outcome = self._outcome(ongoing, state)
        await settle_outcome(ongoing.client, self.accepted, outcome)
        if not self.opened.done():
            assert self._target is not None
            reason = self._reason(ongoing, self._target)
            self.opened.set_result(OpenedStream(self._target, len(ongoing.attempts), reason))
        await self.bridge.put(self.writer.end(outcome.usage, outcome.cost_nanousd))

    def _reason(self, ongoing: OngoingRequest, target: Target) -> str:
        return choice_reason_of(self.accepted.plan, target.model, ongoing.attempts)

    async def _fail(self, ongoing: OngoingRequest, error: ModelError) -> None:
        if not self._has_begun():
            await settle_outcome(ongoing.client, self.accepted, failed(ongoing, error))
            with suppress(Exception):
                self.opened.set_exception(error)
            return
        cut = StreamCut(f"The answer broke off. {error.message}", **error.details)
        outcome = self._outcome(ongoing, RequestState.CUT, cut)
        await settle_outcome(ongoing.client, self.accepted, outcome)
        await self.bridge.put(self.writer.error(cut))

    def _outcome(
        self, ongoing: OngoingRequest, state: RequestState, error: ModelError | None = None
    ) -> RequestOutcome:
        accepted, target, reader = self.accepted, self._target, self._reader
        if target is None or reader is None:
            return RequestOutcome(accepted.id, state, None, latency_ms=ongoing.milliseconds)
        usage, source, cost = charge(
            target,
            reader.usage,
            input_tokens=accepted.estimated_input,
            text_bytes=reader.text_bytes,
        )
        return RequestOutcome(
            accepted.id, state, target, usage, source, cost, ongoing.attempts,
            ongoing.milliseconds, self._first_ms,
            error.code if error else "", accepted.content.error(error.message) if error else "",
            self._finish_reason, choice_reason=self._reason(ongoing, target),
            answer=self._text.answer if self._text is not None else None,
        )  # fmt: skip
