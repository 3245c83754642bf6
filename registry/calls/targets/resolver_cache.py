"""Remembers where actions and connections are; one look-up serves all who ask at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from django.db import InterfaceError, OperationalError

from core.cache import BoundedCache
from registry.calls.database_threads import DatabaseThreads
from registry.calls.targets.connection_targets import resolve_connection
from registry.calls.targets.resolver import CallTarget, ResolvedAction
from registry.exceptions import RegistryUnreachableError

Resolver = Callable[[CallTarget, str], ResolvedAction]
Key = tuple[CallTarget, str]

CACHE_SECONDS = 2.0
# How long the database may take to say where something is, and where it once said so already.
RESOLVE_SECONDS, REFRESH_SECONDS = 10.0, 2.0
MAX_CACHED = 5000
# From this share of its time on, what is still fresh is looked up again.
RENEW_SHARE = 0.7


@dataclass(frozen=True, slots=True)
class CachedResolution:
    """A cached resolution, or one on its way, and the one `before` that still serves an outage."""

    until: float
    answer: asyncio.Future[ResolvedAction]
    before: ResolvedAction | None = None


class ResolverCache:
    """The resolved targets of one event loop; `resolver` asks the database."""

    def __init__(
        self, threads: DatabaseThreads, resolver: Resolver, *, clock: Callable[[], float]
    ) -> None:
        self._threads = threads
        self._resolver = resolver
        self._clock = clock
        self._cache: BoundedCache[Key, CachedResolution] = BoundedCache(MAX_CACHED)
        # Those that are looked up while an earlier answer serves.
        self._renewed: dict[Key, CachedResolution] = {}
        self._queued: dict[Key, asyncio.Task[CachedResolution]] = {}

    async def find(
        self, target: CallTarget, action: str, *, as_of: int = 0, fresh_seconds: float = 0.0
    ) -> ResolvedAction:
        """Return where the action is and what it takes; at most two seconds old.

        An answer from before the change `as_of` of the registry is looked up anew, and a
        connection for every call, unless one that is at most `fresh_seconds` old will do: nothing
        tells of its changes. Callers that ask at once share one look-up. While the database does
        not answer, its last answer holds.

        Raises:
            ServiceNotFoundError: it is not registered.
            RegistryUnreachableError: the database does not answer, and has not said it before.
        """
        key = (target, action)
        cached = self._cache.get(key)
        if target.kind == "connection":
            if cached is not None and self._is_fresh(key, cached, fresh_seconds):
                return cached.answer.result()
            return await self._answer(target, await self._look_up_now(key, cached))
        if cached is None or cached.until < self._clock() or _failed(cached.answer):
            cached = self._ask(key, cached)
        resolved = await self._answer(target, cached)
        if resolved.as_of >= as_of:
            return resolved
        # Somebody else may have asked meanwhile, and that late enough.
        latest = self._cache.get(key, cached)
        return await self._answer(target, self._ask(key, cached) if latest is cached else latest)

    def _is_fresh(self, key: Key, cached: CachedResolution, seconds: float) -> bool:
        """Return whether an answer is no older; one that soon will be is looked up meanwhile."""
        age = self._clock() + CACHE_SECONDS - cached.until
        if age >= seconds or not cached.answer.done() or _failed(cached.answer):
            return False
        if age >= seconds * RENEW_SHARE and key not in self._renewed:
            self._renew(key, cached)
        return True

    def _renew(self, key: Key, cached: CachedResolution) -> None:
        """Look up anew while what is known serves on."""
        answer = self._look_up(*key)
        entry = CachedResolution(self._clock() + CACHE_SECONDS, answer, _last_answer(cached))
        self._renewed[key] = entry
        answer.add_done_callback(lambda _: self._take_over(key))

    def _take_over(self, key: Key) -> None:
        self._cache[key] = self._renewed.pop(key)

    async def _look_up_now(self, key: Key, cached: CachedResolution | None) -> CachedResolution:
        """Begin a look-up, or share the one that begins when the one under way ends."""
        if cached is None or cached.answer.done():
            return self._ask(key, cached)
        if key not in self._queued:
            self._queued[key] = asyncio.create_task(self._look_up_after(key, cached))
        return await asyncio.shield(self._queued[key])

    async def _look_up_after(self, key: Key, cached: CachedResolution) -> CachedResolution:
        await asyncio.wait([cached.answer], timeout=REFRESH_SECONDS)
        del self._queued[key]
        return self._ask(key, cached)

    def _ask(self, key: Key, cached: CachedResolution | None) -> CachedResolution:
        until = self._clock() + CACHE_SECONDS
        entry = CachedResolution(until, self._look_up(*key), _last_answer(cached))
        self._cache[key] = entry
        return entry

    async def _answer(self, target: CallTarget, cached: CachedResolution) -> ResolvedAction:
        if cached.answer.done() and not _failed(cached.answer):
            return cached.answer.result()
        seconds = RESOLVE_SECONDS if cached.before is None else REFRESH_SECONDS
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(cached.answer)
        except (TimeoutError, OperationalError, InterfaceError) as error:
            if cached.before is not None:
                return cached.before
            reason = str(error).splitlines()[0] if str(error) else f"no answer in {seconds:g} s"
            sentence = f"The registry cannot say where {target.name} is: {reason}."
            raise RegistryUnreachableError(sentence, service=target.name) from None

    def _look_up(self, target: CallTarget, action: str) -> asyncio.Future[ResolvedAction]:
        if target.kind == "connection":
            return self._threads.run(resolve_connection, target.name, target.id)
        return self._threads.run(self._resolver, target, action)


def _failed(answer: asyncio.Future[ResolvedAction]) -> bool:
    return answer.done() and (answer.cancelled() or answer.exception() is not None)


def _last_answer(cached: CachedResolution | None) -> ResolvedAction | None:
    """Return the database's last answer; that a service is gone is one too, and is None."""
    if cached is None or not cached.answer.done() or cached.answer.cancelled():
        return cached.before if cached is not None else None
    error = cached.answer.exception()
    if error is None:
        return cached.answer.result()
    return cached.before if isinstance(error, OperationalError | InterfaceError) else None
