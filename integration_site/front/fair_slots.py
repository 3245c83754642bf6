"""Shares a number of slots fairly: whoever asks for many waits for itself, not the others."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque


class FairSlots:
    """Slots that callers take in turns, each its own in the order of arrival.

    No caller holds more than `share` of them, so that there is always one left for another. For one
    event loop.
    """

    def __init__(self, total: int, *, share: int) -> None:
        self._free = total
        self._share = share
        self._held: Counter[str] = Counter()
        self._queues: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    def take_free(self, caller: str) -> bool:
        """Take a slot if there is one for this caller now; return whether there was."""
        is_free = bool(self._free) and self._held[caller] < self._share
        if is_free:
            self._take(caller)
        return is_free

    async def take_turn(self, caller: str) -> None:
        """Wait for a slot."""
        turn = asyncio.get_running_loop().create_future()
        self._queues.setdefault(caller, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(caller)
            raise

    def _take(self, caller: str) -> None:
        self._free -= 1
        self._held[caller] += 1

    def give_back(self, caller: str) -> None:
        self._free += 1
        self._held[caller] -= 1
        if not self._held[caller]:
            del self._held[caller]
        self._hand_out()

    def _hand_out(self) -> None:
        """Give free slots to those who wait, a caller after the other."""
        for caller in list(self._queues):
            if not self._free:
                return
            if self._held[caller] >= self._share:
                continue
            queue = self._queues.pop(caller)
            while queue and queue[0].done():  # it gave up
                queue.popleft()
            if queue:
                self._take(caller)
                queue.popleft().set_result(None)
            if queue:
                self._queues[caller] = queue  # at the end of the round
