"""Gathers what a breaker has to record while a write is under way, and writes it together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pybreaker
import structlog
from django.db import Error as DatabaseError

from registry.calls.circuits.transitions import BUCKETS, CallOutcome, OutcomeKind

logger = structlog.get_logger(__name__)

Write = Callable[[Sequence[CallOutcome]], Awaitable[None]]


class OutcomeBuffer(pybreaker.CircuitBreakerListener):
    """The outcomes of one breaker, in their order; used on one event loop.

    Successes on a circuit where all is well are only counted here, by their time. They go along
    with the next write, so that a failure is seen among the calls around it; a change of the
    circuit, which the breaker tells its listeners, makes them void.
    """

    def __init__(self, write: Write, *, clock: Callable[[], float]) -> None:
        self._write = write
        self._clock = clock
        self._pending: list[CallOutcome] = []
        self._batch: asyncio.Future[None] | None = None
        self._successes: deque[list[float]] = deque(maxlen=BUCKETS)
        self.writing: asyncio.Task[None] | None = None
        self.written_at = 0.0

    def count_success(self, bucket_seconds: float) -> None:
        """Remember a success without recording it."""
        now = self._clock()
        buckets = self._successes
        if buckets and now - buckets[-1][0] < bucket_seconds:
            buckets[-1][1] += 1
        else:
            buckets.append([now, 1])

    def state_change(self, *_: object) -> None:
        """Forget the successes that were counted before the change."""
        self._successes.clear()

    def add(self, outcome: CallOutcome) -> asyncio.Future[None]:
        """Record an outcome; the future is done once that has been tried."""
        last = self._pending[-1] if self._pending else None
        if last and (last.kind, last.generation) == (outcome.kind, outcome.generation):
            self._pending[-1] = replace(outcome, count=last.count + outcome.count)
        else:
            self._pending.append(outcome)
        if self._batch is None:
            self._batch = asyncio.get_running_loop().create_future()
        batch = self._batch
        if self.writing is None:
            self.writing = asyncio.create_task(self._write_all())
        return batch

    async def _write_all(self) -> None:
        try:
            while self._pending:
                outcomes, self._pending = self._pending, []
                batch, self._batch = self._batch, None
                try:
                    await self._write([*self._take_successes(outcomes[0].generation), *outcomes])
                except DatabaseError as error:
                    # The calls have their answers. What is lost is this much of what happened.
                    logger.warning("outcomes_not_recorded", error=str(error)[:500])
                except Exception:
                    logger.exception("outcomes_not_recorded")
                finally:
                    self.written_at = self._clock()
                    if batch is not None and not batch.done():
                        batch.set_result(None)
        finally:
            self.writing = None

    def _take_successes(self, generation: int) -> list[CallOutcome]:
        now = self._clock()
        outcomes = [
            CallOutcome(OutcomeKind.COUNTED, generation, count=int(count), age_seconds=now - moment)
            for moment, count in self._successes
        ]
        self._successes.clear()
        return outcomes
