"""Answers that are given again, for at most a second and until what they tell of changes."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass

from core.api.exchange import WebAnswer
from core.news import ChangeIndex

# An answer is given for so long, and made anew ahead by who asks in the second half of it.
LONGEST_SECONDS, AHEAD_SECONDS = 1.0, 0.5
MOST_BYTES = 32 * 1024 * 1024
# What an answer takes beside its body: key, headers and the objects around them.
OVERHEAD_BYTES = 2_000
KEPT_STATUSES = (200, 304)

# Gives an answer, and whose changes alone make it another one; none for those of any.
Make = Callable[[], Awaitable[tuple[WebAnswer, frozenset[str]]]]


@dataclass(slots=True)
class CachedAnswer:
    """An answer; `change` was the newest one, and `at` the time, before it was begun."""

    answer: WebAnswer
    subjects: frozenset[str]
    change: int
    at: float

    @property
    def size(self) -> int:
        return len(self.answer.body) + OVERHEAD_BYTES


@dataclass(slots=True)
class _Making:
    change: int
    at: float
    task: asyncio.Task[WebAnswer]


class ResponseCache:
    """Answers by key, the one used longest ago dropped first beyond so many bytes.

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
        self._answers: OrderedDict[Hashable, CachedAnswer] = OrderedDict()
        self._bytes = 0
        self._making: dict[Hashable, _Making] = {}
        self._clearing: asyncio.TimerHandle | None = None

    async def answer(self, key: Hashable, make: Make) -> tuple[WebAnswer, bool]:
        """Return an answer that was true when it was asked for or within the second before.

        Second: whether it is for everybody who asks by this key; else only for who made it.
        """
        cached = self._answers.get(key)
        if cached is not None and self._holds(cached.change, cached.at, cached.subjects):
            if self._clock() >= cached.at + AHEAD_SECONDS and key not in self._making:
                self._begin(key, make)
            self._answers.move_to_end(key)
            return cached.answer, True
        making = self._making.get(key)
        if making is not None and not self._holds(making.change, making.at):
            # It may have read before the change that this caller knows of.
            await asyncio.wait([making.task])
            making = self._making.get(key)
        own = making is None
        making = making or self._begin(key, make)
        answer = await asyncio.shield(making.task)
        return answer, own or answer.status in KEPT_STATUSES

    def _holds(self, change: int, at: float, subjects: frozenset[str] = frozenset()) -> bool:
        if self._clock() >= at + LONGEST_SECONDS:
            return False
        return self._changes.is_unchanged(change, subjects)

    def _begin(self, key: Hashable, make: Make) -> _Making:
        change, at = self._changes.latest, self._clock()
        task = asyncio.ensure_future(self._make(key, make, change, at))
        making = self._making[key] = _Making(change, at, task)
        return making

    async def _make(self, key: Hashable, make: Make, change: int, at: float) -> WebAnswer:
        try:
            answer, subjects = await make()
        finally:
            del self._making[key]
        if answer.status in KEPT_STATUSES:
            self._keep(key, CachedAnswer(answer, subjects, change, at))
        else:
            self._drop(key)
        return answer

    def _keep(self, key: Hashable, cached: CachedAnswer) -> None:
        self._drop(key)
        self._answers[key] = cached
        self._bytes += cached.size
        while self._bytes > self._most_bytes:
            self._drop(next(iter(self._answers)))
        if self._clearing is None:
            loop = asyncio.get_running_loop()
            self._clearing = loop.call_later(LONGEST_SECONDS, self._clear)

    def _drop(self, key: Hashable) -> None:
        cached = self._answers.pop(key, None)
        if cached is not None:
            self._bytes -= cached.size

    def _clear(self) -> None:
        """Drop what is too old for anybody: an idle process keeps nothing."""
        self._clearing = None
        now = self._clock()
        for key in [k for k, c in self._answers.items() if now >= c.at + LONGEST_SECONDS]:
            self._drop(key)
        if self._answers:
            loop = asyncio.get_running_loop()
            self._clearing = loop.call_later(LONGEST_SECONDS, self._clear)
