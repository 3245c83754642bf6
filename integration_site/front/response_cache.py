"""Values that are given again, for a second at most and until what they tell of changes."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from math import inf
from typing import Generic, TypeVar

from core.news import EVERYTHING, ChangeIndex, Concern

V = TypeVar("V")

# An answer is given for so long, and made anew ahead by who asks in the second half of it.
LONGEST_SECONDS, AHEAD_SECONDS = 1.0, 0.5
# What others change again and again is made anew so often.
REST_SECONDS = 0.02
MOST_BYTES = 32 * 1024 * 1024
# What an answer takes beside its body: key, headers and the objects around them.
OVERHEAD_BYTES = 2_000


@dataclass(frozen=True, slots=True)
class Made(Generic[V]):
    """A value that was made, of about so many bytes; it changes with its `concern` alone.

    One that is not `for_all` is kept for nobody else than who had it made. `read_at` is when the
    oldest part of it was read, where that was before it was begun.
    """

    value: V
    size: int
    concern: Concern = EVERYTHING
    for_all: bool = True
    read_at: float = inf


@dataclass(slots=True)
class _Kept(Generic[V]):
    """A value that no change until `change` touches; `at` is the time before it was begun."""

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

        It is no older than what this process told. What others told has it made anew; meanwhile the
        old one is given. None where the one that was made meanwhile is for somebody else.
        """
        kept = self._find(key, make)
        if kept is not None:
            return kept.made.value
        making = self._making.get(key)
        if making is not None and not self._is_true(making):
            # It may have read before the change that this caller knows of.
            await asyncio.wait([making.task])
            kept = self._find(key, make)
            if kept is not None:
                return kept.made.value
            making = self._making.get(key)
        is_own = making is None
        making = making or self._begin(key, make)
        made = await asyncio.shield(making.task)
        return made.value if is_own or made.for_all else None

    def _find(self, key: Hashable, make: Callable[[], Awaitable[Made[V]]]) -> _Kept[V] | None:
        """Return what may be given now; what is no longer new is made anew."""
        kept, now = self._values.get(key), self._clock()
        if kept is None or now >= kept.at + LONGEST_SECONDS:
            return None
        latest = self._changes.latest
        if self._changes.is_unchanged(kept.change, kept.made.concern):
            kept.change = latest  # what came until now need not be looked at again
            is_old = now >= kept.at + AHEAD_SECONDS
        elif self._changes.is_unchanged(kept.change, kept.made.concern, own=True):
            is_old = now >= kept.at + REST_SECONDS
        else:
            return None
        if is_old and key not in self._making:
            self._begin(key, make)
        self._values.move_to_end(key)
        return kept

    def _is_true(self, making: _Making[V]) -> bool:
        """Return whether what is being made will be true for who asks for it now."""
        is_young = self._clock() < making.at + LONGEST_SECONDS
        return is_young and self._changes.is_unchanged(making.change)

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
