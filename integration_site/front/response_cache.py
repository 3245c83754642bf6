"""Values that are given again, for a second at most and until what they tell of changes."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from math import inf
from typing import Generic, TypeVar

from core.news import ChangeIndex

V = TypeVar("V")

# An answer is given for so long, and made anew ahead by who asks in the second half of it.
LONGEST_SECONDS, AHEAD_SECONDS = 1.0, 0.5
MOST_BYTES = 32 * 1024 * 1024
# What an answer takes beside its body: key, headers and the objects around them.
OVERHEAD_BYTES = 2_000


@dataclass(frozen=True, slots=True)
class Made(Generic[V]):
    """A value that was made, of about so many bytes.

    It changes with changes of its `subjects` alone, or of anything where there are none. One that
    is not `for_all` is kept for nobody else than who had it made. `read_at` is when the oldest part
    of it was read, where that was before it was begun.
    """

    value: V
    size: int
    subjects: frozenset[str] = frozenset()
    for_all: bool = True
    read_at: float = inf


@dataclass(slots=True)
class _Kept(Generic[V]):
    """A value; `change` was the newest one, and `at` the time, before it was begun."""

    made: Made[V]
    change: int
    at: float

    @property
    def size(self) -> int:
        return self.made.size + OVERHEAD_BYTES


@dataclass(slots=True)
class _Making(Generic[V]):
    change: int
    at: float
    task: asyncio.Task[Made[V]]


class ResponseCache(Generic[V]):
    """Values by key, the one used longest ago dropped first beyond so many bytes.

    Each is made by one at a time, for all who ask meanwhile. For one event loop.
    """

    def __init__(
        self,
        changes: ChangeIndex,
        *,
        most_bytes: int = MOST_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._changes = changes
        self._most_bytes = most_bytes
        self._clock = clock
        self._values: OrderedDict[Hashable, _Kept[V]] = OrderedDict()
        self._bytes = 0
        self._making: dict[Hashable, _Making[V]] = {}
        self._clearing: asyncio.TimerHandle | None = None

    async def get(self, key: Hashable, make: Callable[[], Awaitable[Made[V]]]) -> V | None:
        """Return a value that was true when it was asked for or within the second before.

        None where the one that was made meanwhile is for somebody else.
        """
        kept = self._values.get(key)
        if kept is not None and self._holds(kept.change, kept.at, kept.made.subjects):
            if self._clock() >= kept.at + AHEAD_SECONDS and key not in self._making:
                self._begin(key, make)
            self._values.move_to_end(key)
            return kept.made.value
        making = self._making.get(key)
        if making is not None and not self._holds(making.change, making.at):
            # It may have read before the change that this caller knows of.
            await asyncio.wait([making.task])
            making = self._making.get(key)
        is_own = making is None
        making = making or self._begin(key, make)
        made = await asyncio.shield(making.task)
        return made.value if is_own or made.for_all else None

    def _holds(self, change: int, at: float, subjects: frozenset[str] = frozenset()) -> bool:
        if self._clock() >= at + LONGEST_SECONDS:
            return False
        return self._changes.is_unchanged(change, subjects)

    def _begin(self, key: Hashable, make: Callable[[], Awaitable[Made[V]]]) -> _Making[V]:
        change, at = self._changes.latest, self._clock()
        task = asyncio.ensure_future(self._make(key, make, change, at))
        making = self._making[key] = _Making(change, at, task)
        return making

    async def _make(
        self, key: Hashable, make: Callable[[], Awaitable[Made[V]]], change: int, at: float
    ) -> Made[V]:
        try:
            made = await make()
        finally:
            del self._making[key]
        self._drop(key)
        if made.for_all:
            self._keep(key, _Kept(made, change, min(at, made.read_at)))
        return made

    def _keep(self, key: Hashable, kept: _Kept[V]) -> None:
        self._values[key] = kept
        self._bytes += kept.size
        while self._bytes > self._most_bytes:
            self._drop(next(iter(self._values)))
        if self._clearing is None:
            loop = asyncio.get_running_loop()
            self._clearing = loop.call_later(LONGEST_SECONDS, self._clear)

    def _drop(self, key: Hashable) -> None:
        kept = self._values.pop(key, None)
        if kept is not None:
            self._bytes -= kept.size

    def _clear(self) -> None:
        """Drop what is too old for anybody: an idle process keeps nothing."""
        self._clearing = None
        now = self._clock()
        for key in [k for k, c in self._values.items() if now >= c.at + LONGEST_SECONDS]:
            self._drop(key)
        if self._values:
            loop = asyncio.get_running_loop()
            self._clearing = loop.call_later(LONGEST_SECONDS, self._clear)
