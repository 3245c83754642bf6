"""Where actions and connections are, as calls know it: looked up once for all who ask at once."""

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

CACHE_SECONDS = 2.0
# How long the database may take to say where something is, and where it once said so already.
RESOLVE_SECONDS, KNOWN_SECONDS = 10.0, 2.0
MAX_CACHED = 5000


@dataclass(frozen=True, slots=True)
class CachedResolution:
    """A cached resolution, or one on its way, and the one `before` that still serves an outage."""

    until: float
    answer: asyncio.Future[ResolvedAction]
    before: ResolvedAction | None = None


class ResolverCache:
    """What one event loop knows; `resolver` asks the database."""

    def __init__(
        self, threads: DatabaseThreads, resolver: Resolver, *, clock: Callable[[], float]
    ) -> None:
        self._threads = threads
        self._resolver = resolver
        self._clock = clock
        self._cache: BoundedCache[tuple[CallTarget, str], CachedResolution] = BoundedCache(
            MAX_CACHED
        )
        self._queued: dict[tuple[CallTarget, str], asyncio.Task[CachedResolution]] = {}

    async def find(self, target: CallTarget, action: str, *, as_of: int = 0) -> ResolvedAction:
        """Where the action is and what it takes; at most two seconds old.

        What is kept from before the change `as_of` of the registry is looked up anew, and a
        connection for every call: nothing tells of its changes. Callers that ask at once share one
        look-up. While the database does not answer, what it last said holds.

        Raises:
            ServiceNotFoundError: it is not registered.
            RegistryUnreachableError: the database does not answer, and has not said it before.
        """
        key = (target, action)
        known = self._cache.get(key)
        if target.kind == "connection":
            return await self._answer(target, await self._look_up_now(key, known))
        if known is None or known.until < self._clock() or _failed(known.answer):
            known = self._ask(key, known)
        found = await self._answer(target, known)
        if found.as_of >= as_of:
            return found
        # Somebody else may have asked meanwhile, and that late enough.
        latest = self._cache.get(key, known)
        return await self._answer(target, self._ask(key, known) if latest is known else latest)

    async def _look_up_now(
        self, key: tuple[CallTarget, str], known: CachedResolution | None
    ) -> CachedResolution:
        """Begin a look-up, or share the one that begins when the one under way ends."""
        if known is None or known.answer.done():
            return self._ask(key, known)
        if key not in self._queued:
            self._queued[key] = asyncio.create_task(self._look_up_after(key, known))
        return await asyncio.shield(self._queued[key])

    async def _look_up_after(
        self, key: tuple[CallTarget, str], known: CachedResolution
    ) -> CachedResolution:
        await asyncio.wait([known.answer], timeout=KNOWN_SECONDS)
        del self._queued[key]
        return self._ask(key, known)

    def _ask(self, key: tuple[CallTarget, str], known: CachedResolution | None) -> CachedResolution:
        until = self._clock() + CACHE_SECONDS
        made = CachedResolution(until, self._look_up(*key), _last_good(known))
        self._cache[key] = made
        return made

    async def _answer(self, target: CallTarget, known: CachedResolution) -> ResolvedAction:
        if known.answer.done() and not _failed(known.answer):
            return known.answer.result()
        seconds = RESOLVE_SECONDS if known.before is None else KNOWN_SECONDS
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(known.answer)
        except (TimeoutError, OperationalError, InterfaceError) as error:
            if known.before is not None:
                return known.before
            why = str(error).splitlines()[0] if str(error) else f"no answer in {seconds:g} s"
            sentence = f"The registry cannot say where {target.name} is: {why}."
            raise RegistryUnreachableError(sentence, service=target.name) from None

    def _look_up(self, target: CallTarget, action: str) -> asyncio.Future[ResolvedAction]:
        if target.kind == "connection":
            return self._threads.run(resolve_connection, target.name, target.id)
        return self._threads.run(self._resolver, target, action)


def _failed(answer: asyncio.Future[ResolvedAction]) -> bool:
    return answer.done() and (answer.cancelled() or answer.exception() is not None)


def _last_good(known: CachedResolution | None) -> ResolvedAction | None:
    """What the database last said. That a service is gone is such an answer too."""
    if known is None or not known.answer.done() or known.answer.cancelled():
        return known.before if known is not None else None
    error = known.answer.exception()
    if error is None:
        return known.answer.result()
    return known.before if isinstance(error, OperationalError | InterfaceError) else None
