"""Keeps the breakers of one event loop and their rows up to date with each other.

What changed in any row is asked for at most once a second, by one query for all breakers, and only
while calls are made; a steady stream of calls does not wait for it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import structlog

from core.cache import BoundedCache
from registry.calls.circuits import store
from registry.calls.circuits.breaker import SharedBreaker
from registry.calls.circuits.store import CircuitReading
from registry.calls.circuits.transitions import CallOutcome, Circuit, after_lapse
from registry.calls.database_threads import DatabaseThreads
from registry.policies.circuit_profile import Profile

logger = structlog.get_logger(__name__)

T = TypeVar("T")

FRESH_SECONDS = 1.0
# From here on the rows are read again while calls still go by what was read.
RENEW_SECONDS = 0.7
# A database that does not answer must not hold calls up: then what was read last decides.
LONGEST_WAIT_SECONDS = 1.0
# A probe's lease ends this much after its call has to have ended.
LEASE_MARGIN_SECONDS = 5.0
CLOSE_SECONDS = 2.0
MAX_BREAKERS = 10_000


class BreakerSet:
    """The breakers of one event loop, by the instance or connection that each guards.

    `clock` gives monotonic seconds.
    """

    def __init__(self, threads: DatabaseThreads, *, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._threads = threads
        self._breakers: BoundedCache[str, SharedBreaker] = BoundedCache(MAX_BREAKERS)
        self._renew_at = self._fresh_until = 0.0
        self._since: datetime | None = None
        self._as_of = 0
        self._renewal: asyncio.Task[None] | None = None
        self._jobs: set[asyncio.Future[Any]] = set()
        self._owner = f"{socket.gethostname()[:40]}:{os.getpid()}"

    def breaker(self, guarded_id: str, profile: Profile) -> SharedBreaker:
        """Return the breaker of an instance or connection, with these rules from now on."""
        breaker = self._breakers.get(guarded_id)
        if breaker is None:
            breaker = SharedBreaker(guarded_id, profile, breakers=self)
            self._breakers[guarded_id] = breaker
        breaker.profile = profile
        return breaker

    # Freshness

    def is_fresh(self) -> bool:
        """Return whether every loaded breaker is at most a second old."""
        now = self.clock()
        if now >= self._renew_at:
            if now >= self._fresh_until:
                return False
            self._renew()
        return True

    async def catch_up(self, as_of: int) -> None:
        """Ask again what changed, once for each change of the registry: it may be an order."""
        if as_of <= self._as_of:
            return
        if self._renewal is not None and not self._renewal.done():
            await self._wait_for_renewal()  # which may have been asked before that change
        await self._wait_for_renewal()
        self._as_of = max(self._as_of, as_of)

    async def refresh(self, breaker: SharedBreaker) -> None:
        """Bring a breaker up to date, if that is needed and the database answers."""
        if breaker.is_loaded:
            if not self.is_fresh():
                await self._wait_for_renewal()
            return
        if breaker.loading is None and self.clock() >= breaker.load_again_at:
            breaker.loading = asyncio.create_task(self._load(breaker))
        if breaker.loading is not None:
            await asyncio.shield(breaker.loading)

    async def _load(self, breaker: SharedBreaker) -> None:
        asked_at = self.clock()
        readings = await self._ask(store.load, [breaker.guarded_id])
        if self._since is None and readings:
            self._since = readings[0].read_at
            self._stay_fresh(asked_at)
        breaker.load_again_at = asked_at + FRESH_SECONDS
        breaker.loading = None

    async def _wait_for_renewal(self) -> None:
        try:
            await _within(LONGEST_WAIT_SECONDS, asyncio.shield(self._renew()))
        except TimeoutError:
            logger.warning("circuits_read_late")
            self._stay_fresh(self.clock())

    def _stay_fresh(self, asked_at: float) -> None:
        self._renew_at = asked_at + RENEW_SECONDS
        self._fresh_until = asked_at + FRESH_SECONDS

    def _renew(self) -> asyncio.Task[None]:
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._read_changes())
        return self._renewal

    async def _read_changes(self) -> None:
        asked_at = self.clock()
        try:
            if self._since is not None:
                self._update(await self._threads.run(store.changed_since, self._since))
        except Exception as error:
            logger.warning("circuits_not_read", error=str(error)[:500])
            asked_at = self.clock()
        self._stay_fresh(asked_at)

    def _update(self, readings: Sequence[CircuitReading | None]) -> None:
        for reading in filter(None, readings):
            if self._since is not None:
                self._since = max(self._since, reading.updated_at)
            breaker = self._breakers.get(reading.guarded_id)
            if breaker is not None:
                breaker.update(reading)

    async def _ask(self, function: Callable[..., Any], *args: Any) -> list[CircuitReading]:
        """Read or change rows; nothing when the database does not answer in time."""
        try:
            readings = await _within(LONGEST_WAIT_SECONDS, self._threads.run(function, *args))
        except Exception as error:
            logger.warning("circuit_not_asked", error=str(error)[:500])
            return []
        self._update(readings)
        return readings

    # Probes

    async def claim_probe(
        self, breaker: SharedBreaker, *, deadline_seconds: float
    ) -> Circuit | None:
        """Try to become the one who may call: the circuit with the claim, or None."""
        owner = f"{self._owner}:{uuid.uuid4().hex[:16]}"
        lease = deadline_seconds + LEASE_MARGIN_SECONDS
        job = self._threads.run(_claim_or_read, breaker.guarded_id, owner, lease)
        try:
            reading = await _within(LONGEST_WAIT_SECONDS, asyncio.shield(job))
        except BaseException as error:
            # It may be claimed yet: nobody would call, so it is given back as soon as it is.
            job.add_done_callback(lambda _: self.release_probe(breaker, owner))
            if not isinstance(error, Exception):
                raise
            logger.warning("probe_not_claimed", error=str(error)[:500])
            return None
        self._update([reading])
        claimed = reading and reading.circuit
        return claimed if claimed and claimed.probe_owner == owner else None

    def release_probe(self, breaker: SharedBreaker, owner: str) -> None:
        """Give a probe back that told nothing; not waited for."""
        release = partial(store.release_probe, breaker.guarded_id, owner=owner)
        self._keep(self._threads.run(release))
        breaker.forget_probe()

    async def end_control(self, breaker: SharedBreaker) -> None:
        """Close a circuit that was held by an operator until now."""
        await self._ask(_end_control, breaker.guarded_id)

    # Outcomes

    async def record(self, guarded_id: str, outcomes: Sequence[CallOutcome]) -> None:
        """Write outcomes of a breaker to its row. Raises: DatabaseError."""
        breaker = self._breakers.get(guarded_id)
        if breaker is not None:
            profile = breaker.profile
            reading = await self._threads.run(store.record_outcomes, guarded_id, outcomes, profile)
            self._update([reading])

    async def wait_for(self, recorded: Awaitable[None]) -> None:
        """Wait until an outcome is recorded, but not longer than a call may be held up."""
        try:
            await _within(LONGEST_WAIT_SECONDS, asyncio.shield(recorded))
        except TimeoutError:
            logger.warning("outcome_recorded_late")

    def _keep(self, job: asyncio.Future[Any]) -> None:
        self._jobs.add(job)
        job.add_done_callback(self._forget)

    def _forget(self, job: asyncio.Future[Any]) -> None:
        self._jobs.discard(job)
        if not job.cancelled() and (error := job.exception()) is not None:
            logger.warning("probe_not_released", error=str(error)[:500])

    async def close(self) -> None:
        """Let what is to be recorded be recorded."""
        writing = [b.outcomes.writing for b in self._breakers.values() if b.outcomes.writing]
        unfinished = {*writing, *self._jobs, *([self._renewal] if self._renewal else [])}
        if unfinished:
            await asyncio.wait(unfinished, timeout=CLOSE_SECONDS)


async def _within(seconds: float, awaitable: Awaitable[T]) -> T:
    async with asyncio.timeout(seconds):
        return await awaitable


def _claim_or_read(guarded_id: str, owner: str, lease_seconds: float) -> CircuitReading | None:
    claimed = store.claim_probe(guarded_id, owner=owner, lease_seconds=lease_seconds)
    return claimed or next(iter(store.load([guarded_id])), None)


def _end_control(guarded_id: str) -> list[CircuitReading]:
    changed = store.change(guarded_id, lambda circuit, now: after_lapse(circuit, now=now))
    return [changed] if changed else []
