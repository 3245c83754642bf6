"""Gathers requests into batches, as a group commit does, without waiting for more to come."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from core.api.exchange import WebAnswer, WebRequest
from core.batches import Batches
from integration_site.front.application import refuse

logger = structlog.get_logger(__name__)

HandleMany = Callable[[Sequence[WebRequest]], Sequence[WebAnswer | None]]
# More than any number of connections that beat or start something at the same time.
MOST_WAITING = 4096
RETRY_SECONDS = 1


class Gatherer:
    """Answers requests in batches: those that arrive while one is worked on form the next.

    `handle_many` is called as `Batches` does. It returns once what it did is committed, with an
    answer for each request, or None to have Django asked for it. If it raises, nothing was done,
    and Django is asked for all of them. For one event loop.
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
        self._most_waiting = waiting
        self._batches = Batches(self._handle, most=most, threads=threads, name=name)

    async def answer(self, request: WebRequest) -> WebAnswer | None:
        """Return the answer to a request of the next batch; 503 where too many wait for it."""
        if len(self._batches) >= self._most_waiting:
            sentence = f"Too many requests of this kind wait. Try again in {RETRY_SECONDS} s."
            return refuse(request, 503, sentence, **{"Retry-After": str(RETRY_SECONDS)})
        try:
            return await self._batches.join(request)
        except Exception:
            return None  # it was logged

    def close(self) -> None:
        """Take no more batches; what runs is finished, and connections are given back."""
        self._batches.close()

    def _handle(self, requests: Sequence[WebRequest]) -> Sequence[WebAnswer | None]:
        try:
            return self._handle_many(requests)
        except Exception as error:
            logger.warning("batch_passed_on", requests=len(requests), error=str(error)[:300])
            raise
