"""Keeps the limits of services and connections together with all workers.

While the shared counters do not answer, each process keeps the limits on its own: calls go on, at
worst as often as allowed times the number of processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import redis
import structlog
from django.db import Error as DatabaseError

from registry.calls.database_threads import DatabaseThreads
from registry.calls.limits.counters import LimitCounters, LocalCounters, make_counters
from registry.exceptions import RateLimitedError
from registry.policies.rate_limits import CallLimits, CallTurn

logger = structlog.get_logger(__name__)

T = TypeVar("T")

# A seat is free this long after its worker is gone.
LEASE_SECONDS = 30.0
ANSWER_SECONDS = 2.0
# The shared counters are not asked for this long after they did not answer.
PAUSE_SECONDS = 2.0
SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 0.5
RETRY_SECONDS = 1.0
CLOSE_SECONDS = 2.0
_ERRORS = (DatabaseError, redis.RedisError, OSError, TimeoutError)


class Limiter:
    """Lets calls begin when their limits allow it; used on one event loop."""

    def __init__(
        self,
        threads: DatabaseThreads,
        *,
        clock: Callable[[], float],
        counters: LimitCounters | None = None,
    ) -> None:
        self._threads = threads
        self._clock = clock
        self._shared = counters
        self._local = LocalCounters(clock)
        self._away_until = 0.0
        self._held: dict[str, str] = {}
        self._renewal: asyncio.Task[None] | None = None
        self._jobs: set[asyncio.Task[Any]] = set()
        self._owner = f"{socket.gethostname()[:40]}:{os.getpid()}"

    @contextlib.asynccontextmanager
    async def within(
        self, subject_id: str, limits: CallLimits, *, name: str, deadline: float
    ) -> AsyncIterator[None]:
        """Hold what a call takes of its limits until the block ends.

        `deadline` is on the limiter's clock: nobody waits for a turn beyond it.

        Raises:
            RateLimitedError: its turn is too far off; nothing was sent.
        """
        until = min(self._clock() + limits.wait_seconds, deadline)
        if limits.per_second:
            await self._take_turn(subject_id, limits, name, until)
        if not limits.max_concurrency:
            yield
            return
        owner = await self._take_seat(subject_id, limits, name, until)
        try:
            yield
        finally:
            self._leave(subject_id, owner)

    async def _take_turn(
        self, subject_id: str, limits: CallLimits, name: str, until: float
    ) -> None:
        wait = max(until - self._clock(), 0.0)
        turn: CallTurn = await self._ask(lambda t: t.take_turn(subject_id, limits, wait))
        if not turn.granted:
            raise RateLimitedError(
                f"'{name}' is called at most {limits.per_second:g} times a second.",
                service=name,
                retry_after=_spread(turn.seconds),
            )
        await asyncio.sleep(turn.seconds)

    async def _take_seat(self, subject_id: str, limits: CallLimits, name: str, until: float) -> str:
        owner = f"{self._owner}:{uuid.uuid4().hex[:16]}"
        pause = SHORTEST_PAUSE
        most = limits.max_concurrency
        try:
            while not await self._ask(
                lambda t: t.take_seat(subject_id, most, owner, LEASE_SECONDS)
            ):
                left = until - self._clock()
                if left <= 0:
                    raise RateLimitedError(
                        f"'{name}' is called at most {most} times at once.",
                        service=name,
                        retry_after=_spread(RETRY_SECONDS),
                    )
                await asyncio.sleep(min(left, pause * random.uniform(0.5, 1)))  # noqa: S311
                pause = min(pause * 2, LONGEST_PAUSE)
        except asyncio.CancelledError:
            # It may have been given in the moment in which nobody waited for it any more.
            self._leave(subject_id, owner)
            raise
        self._held[owner] = subject_id
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renew())
        return owner

    def _leave(self, subject_id: str, owner: str) -> None:
        """Give a seat back; not waited for."""
        self._held.pop(owner, None)
        self._local.free(subject_id, owner)
        self._keep(self._give_back(subject_id, owner))

    async def _give_back(self, subject_id: str, owner: str) -> None:
        with contextlib.suppress(*_ERRORS):  # its lease ends by itself
            await asyncio.shield(asyncio.ensure_future(self._counters.leave(subject_id, owner)))

    async def _renew(self) -> None:
        while self._held:
            await asyncio.sleep(LEASE_SECONDS / 3)
            seats = [(subject_id, owner) for owner, subject_id in self._held.items()]
            await self._local.renew(seats, LEASE_SECONDS)
            try:
                await self._counters.renew(seats, LEASE_SECONDS)
            except _ERRORS as error:
                logger.warning("seats_not_renewed", error=str(error)[:300])

    # The counters

    @property
    def _counters(self) -> LimitCounters:
        if self._shared is None:
            self._shared = make_counters(self._threads)
        return self._shared

    async def _ask(self, question: Callable[[LimitCounters], Awaitable[T]]) -> T:
        if self._clock() >= self._away_until:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    return await question(self._counters)
            except _ERRORS as error:
                self._away_until = self._clock() + PAUSE_SECONDS
                logger.warning("limits_kept_alone", error=str(error)[:300])
        return await question(self._local)

    def _keep(self, job: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(job)
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    async def close(self) -> None:
        """Give back what is still to be given back."""
        if self._renewal is not None:
            self._renewal.cancel()
        if self._jobs:
            await asyncio.wait(self._jobs, timeout=CLOSE_SECONDS)
        if self._shared is not None:
            await self._shared.close()


def _spread(seconds: float) -> float:
    """Return a wait so that callers refused together come back spread over half of it."""
    return round(seconds + random.uniform(0, max(seconds / 2, 0.1)), 3)  # noqa: S311
