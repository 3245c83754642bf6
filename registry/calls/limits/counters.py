"""Counts calls against their limits: in Redis, in the database, or in this process alone."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Protocol

import redis.asyncio
from django.conf import settings

from registry.calls.database_threads import DatabaseThreads
from registry.calls.limits import store
from registry.policies.rate_limits import CallLimits, CallTurn, next_turn

ANSWER_SECONDS = 1.0

# Both by the time of the server, so that no clock of a worker matters.
_TURN = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
local interval, tolerance, wait = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local behind = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local delay = math.max(behind - now - tolerance, 0)
if delay > wait + 0.000001 then return {0, string.format('%.6f', delay)} end
local paid = behind + interval
local life = math.ceil((paid - now) * 1000) + 1000
redis.call('SET', KEYS[1], string.format('%.6f', paid), 'PX', life)
return {1, string.format('%.6f', delay)}
"""
_SEAT = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), ARGV[2])
redis.call('PEXPIRE', KEYS[1], math.ceil(tonumber(ARGV[3]) * 1000) + 1000)
return 1
"""
_RENEW = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
if redis.call('ZADD', KEYS[1], 'XX', 'CH', now + tonumber(ARGV[2]), ARGV[1]) == 0 then return 0 end
redis.call('PEXPIRE', KEYS[1], math.ceil(tonumber(ARGV[2]) * 1000) + 1000)
return 1
"""


class LimitCounters(Protocol):
    """Counts turns and seats; `seats` are pairs of subject and owner."""

    async def take_turn(self, subject_id: str, limits: CallLimits, wait: float) -> CallTurn: ...
    async def take_seat(self, subject_id: str, most: int, owner: str, lease: float) -> bool: ...
    async def renew(self, seats: Sequence[tuple[str, str]], lease: float) -> None: ...
    async def leave(self, subject_id: str, owner: str) -> None: ...
    async def close(self) -> None: ...


def make_counters(threads: DatabaseThreads) -> LimitCounters:
    """Return those of Redis where the settings name one, else of the database."""
    return RedisCounters(settings.REDIS_URL) if settings.REDIS_URL else DatabaseCounters(threads)


class RedisCounters:
    """Turns are a key that expires with what it counts, seats a sorted set by the end of each."""

    def __init__(self, url: str) -> None:
        self._prefix = f"{settings.SERVICE_NAME}:limits:"
        self._redis = redis.asyncio.Redis.from_url(
            url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS
        )
        self._turn = self._redis.register_script(_TURN)
        self._seat = self._redis.register_script(_SEAT)
        self._renew = self._redis.register_script(_RENEW)

    async def take_turn(self, subject_id: str, limits: CallLimits, wait: float) -> CallTurn:
        arguments = [limits.interval_seconds, limits.tolerance_seconds, wait]
        granted, seconds = await self._turn(keys=[self._key("rate", subject_id)], args=arguments)
        return CallTurn(bool(granted), float(seconds))

    async def take_seat(self, subject_id: str, most: int, owner: str, lease: float) -> bool:
        keys = [self._key("seats", subject_id)]
        return bool(await self._seat(keys=keys, args=[most, owner, lease]))

    async def renew(self, seats: Sequence[tuple[str, str]], lease: float) -> None:
        for subject_id, owner in seats:
            await self._renew(keys=[self._key("seats", subject_id)], args=[owner, lease])

    async def leave(self, subject_id: str, owner: str) -> None:
        await self._redis.zrem(self._key("seats", subject_id), owner)

    async def close(self) -> None:
        await self._redis.aclose()

    def _key(self, kind: str, subject_id: str) -> str:
        return f"{self._prefix}{kind}:{subject_id}"


class DatabaseCounters:
    """Rows that are changed under their lock."""

    def __init__(self, threads: DatabaseThreads) -> None:
        self._threads = threads

    async def take_turn(self, subject_id: str, limits: CallLimits, wait: float) -> CallTurn:
        return await self._threads.run(store.take_turn, subject_id, limits, wait)

    async def take_seat(self, subject_id: str, most: int, owner: str, lease: float) -> bool:
        return await self._threads.run(store.take_seat, subject_id, most, owner, lease)

    async def renew(self, seats: Sequence[tuple[str, str]], lease: float) -> None:
        await self._threads.run(store.renew_seats, [owner for _, owner in seats], lease)

    async def leave(self, subject_id: str, owner: str) -> None:
        await self._threads.run(store.leave_seat, owner)

    async def close(self) -> None:
        """Leave the threads to the client, whose they are."""


class LocalCounters:
    """Those of this process alone, for as long as the shared ones do not answer."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._paid: dict[str, float] = {}
        self._seats: defaultdict[str, dict[str, float]] = defaultdict(dict)

    async def take_turn(self, subject_id: str, limits: CallLimits, wait: float) -> CallTurn:
        paid = self._paid.get(subject_id, 0.0)
        turn = next_turn(paid, limits, now=self._clock(), wait_seconds=wait)
        self._paid[subject_id] = turn.paid_until
        return turn

    async def take_seat(self, subject_id: str, most: int, owner: str, lease: float) -> bool:
        seats, now = self._seats[subject_id], self._clock()
        for expired in [taken_by for taken_by, until in seats.items() if until <= now]:
            del seats[expired]
        if len(seats) >= most:
            return False
        seats[owner] = now + lease
        return True

    async def renew(self, seats: Sequence[tuple[str, str]], lease: float) -> None:
        for subject_id, owner in seats:
            if owner in self._seats.get(subject_id, {}):
                self._seats[subject_id][owner] = self._clock() + lease

    async def leave(self, subject_id: str, owner: str) -> None:
        self.free(subject_id, owner)

    def free(self, subject_id: str, owner: str) -> None:
        """Give a seat back at once."""
        seats = self._seats.get(subject_id, {})
        seats.pop(owner, None)
        if not seats:
            self._seats.pop(subject_id, None)

    async def close(self) -> None:
        """There is nothing to close."""
