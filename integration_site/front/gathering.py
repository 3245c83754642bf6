"""Gathers requests into batches, as a group commit does, without waiting for more to come."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog
from django.db import connections

from core.api.exchange import WebAnswer, WebRequest
from integration_site.front.application import refuse

logger = structlog.get_logger(__name__)

HandleMany = Callable[[Sequence[WebRequest]], Sequence[WebAnswer | None]]
_Waiting = tuple[WebRequest, "asyncio.Future[WebAnswer | None]"]
# More than any number of connections that beat or start something at the same time.
MOST_WAITING = 4096
RETRY_SECONDS = 1


def end_database_threads(executor: ThreadPoolExecutor) -> None:
    """End the thread of an executor once its work is done; its connection is given back."""
    executor.submit(connections.close_all)
    executor.shutdown(wait=False)


class Gatherer:
    """Answers requests in batches: those that arrive while one is worked on form the next.

    `handle_many` is called with at most `most` requests, in the order of their arrival, in a
    thread of the gatherer's own; `threads` is how many batches are worked on at once. It returns
    once what it did is committed, with an answer for each request, or None to have Django asked
    for it. If it raises, nothing was done, and Django is asked for all of them. For one event loop.
    """

    def __init__(
        self,
        handle_many: HandleMany,
        *,
        most: int = 256,
        waiting: int = MOST_WAITING,
        threads: int = 1,
        name: str = "gatherer",
    ) -> None:
        self._handle_many = handle_many
        self._most = most
        self._most_waiting = waiting
        self._free = threads
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._waiting: deque[_Waiting] = deque()
        self._is_beginning = False

    async def answer(self, request: WebRequest) -> WebAnswer | None:
        """Return the answer to a request of the next batch; 503 where too many wait for it."""
        if len(self._waiting) >= self._most_waiting:
            sentence = f"Too many requests of this kind wait. Try again in {RETRY_SECONDS} s."
            return refuse(request, 503, sentence, **{"Retry-After": str(RETRY_SECONDS)})
        loop = asyncio.get_running_loop()
        answered = loop.create_future()
        self._waiting.append((request, answered))
        if self._free and not self._is_beginning:
            # Those that the loop has read already come along.
            self._is_beginning = True
            loop.call_soon(self._begin, loop)
        return await answered

    def close(self) -> None:
        """Take no more batches; what runs is finished, and connections are given back."""
        end_database_threads(self._executor)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_beginning = False
        while self._free and self._waiting:
            size = min(self._most, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(size)]
            self._free -= 1
            self._executor.submit(self._work, loop, batch)

    def _work(self, loop: asyncio.AbstractEventLoop, batch: list[_Waiting]) -> None:
        """Answer a batch, in a thread that keeps its connection to the database."""
        try:
            answers = self._handle_many([request for request, _ in batch])
        except Exception as error:
            logger.warning("batch_passed_on", requests=len(batch), error=str(error)[:300])
            answers = [None] * len(batch)
            connections.close_all()
        with contextlib.suppress(RuntimeError):  # the loop ended meanwhile
            loop.call_soon_threadsafe(self._finish, loop, batch, answers)

    def _finish(
        self,
        loop: asyncio.AbstractEventLoop,
        batch: list[_Waiting],
        answers: Sequence[WebAnswer | None],
    ) -> None:
        self._free += 1
        self._begin(loop)
        for (_, answered), answer in zip(batch, answers, strict=True):
            if not answered.done():  # its caller is gone
                answered.set_result(answer)
