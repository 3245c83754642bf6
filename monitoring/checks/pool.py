"""Carries out looks on one event loop: so many at once in all, so few at one host."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

AT_ONCE = 200
PER_HOST = 2


class Hosted(Protocol):
    """What goes to a host."""

    @property
    def host(self) -> str: ...


T = TypeVar("T", bound=Hosted)


class LookPool(Generic[T]):
    """Gives looks to at most `at_once` workers; what a host has no room for waits for its turn.

    A host that hangs holds up nobody but itself. Lives on one event loop.
    """

    def __init__(
        self,
        work: Callable[[T], Awaitable[None]],
        *,
        at_once: int = AT_ONCE,
        per_host: int = PER_HOST,
    ) -> None:
        self._work = work
        self._at_once, self._per_host = at_once, per_host
        self._ready: deque[T] = deque()
        self._held: dict[str, deque[T]] = {}
        self._busy: dict[str, int] = defaultdict(int)
        self._workers: set[asyncio.Task[None]] = set()

    def add(self, look: T) -> None:
        """Take a look whose time has come."""
        if self._busy[look.host] >= self._per_host:
            self._held.setdefault(look.host, deque()).append(look)
            return
        self._busy[look.host] += 1
        self._ready.append(look)
        if len(self._workers) < self._at_once:
            worker = asyncio.get_running_loop().create_task(self._run())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def _run(self) -> None:
        while self._ready:
            look = self._ready.popleft()
            try:
                await self._work(look)
            finally:
                self._release(look.host)

    def _release(self, host: str) -> None:
        """Let the next one that waits for the host go, in its place."""
        held = self._held.get(host)
        if held:
            self._ready.append(held.popleft())
            return
        self._held.pop(host, None)
        self._busy[host] -= 1
        if not self._busy[host]:
            del self._busy[host]
