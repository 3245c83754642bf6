"""Carries the pieces of a stream from the loop that makes them to the loop that sends them."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable

MOST_UNTAKEN = 64


class StreamBridge:
    """A bounded queue between two event loops.

    `on_abandoned` is called, on any thread, once nobody takes pieces any more.
    """

    def __init__(self, *, most: int = MOST_UNTAKEN) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._pieces: deque[bytes] = deque()
        self._is_finished = False
        self.is_abandoned = False
        self.on_abandoned: Callable[[], object] | None = None
        self._taker: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self._maker: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    # For who makes pieces

    async def put(self, piece: bytes) -> None:
        """Hand over a piece; waits while too many lie untaken. What nobody takes is dropped."""
        while True:
            with self._lock:
                if self.is_abandoned:
                    return
                if len(self._pieces) < self._most:
                    self._pieces.append(piece)
                    taker = self._taker
                    break
                room = asyncio.Event()
                self._maker = (asyncio.get_running_loop(), room)
            await room.wait()
        _wake(taker)

    def finish(self) -> None:
        """Say that nothing more comes."""
        with self._lock:
            self._is_finished = True
            taker = self._taker
        _wake(taker)

    # For who takes them

    async def take(self, seconds: float) -> bytes | None:
        """Return all the pieces that are there, or the next one; None at the end.

        Raises:
            TimeoutError: none came so soon.
        """
        while True:
            with self._lock:
                if self._pieces:
                    joined = b"".join(self._pieces)
                    self._pieces.clear()
                    maker, self._maker = self._maker, None
                    break
                if self._is_finished:
                    return None
                woken = asyncio.Event()
                self._taker = (asyncio.get_running_loop(), woken)
            async with asyncio.timeout(seconds):
                await woken.wait()
        _wake(maker)
        return joined

    def abandon(self) -> None:
        """Take nothing more."""
        with self._lock:
            was_over = self._is_finished or self.is_abandoned
            self.is_abandoned = True
            self._pieces.clear()
            maker, self._maker = self._maker, None
        _wake(maker)
        if not was_over and self.on_abandoned is not None:
            self.on_abandoned()


def _wake(waiter: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None) -> None:
    if waiter is not None and not waiter[0].is_closed():
        waiter[0].call_soon_threadsafe(waiter[1].set)
