"""Works on items in batches, as a group commit does, without waiting for more to come."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from django.db import connections

T = TypeVar("T")
R = TypeVar("R")


def end_database_threads(executor: ThreadPoolExecutor) -> None:
    """End the thread of an executor once its work is done; its connection is given back."""
    executor.submit(connections.close_all)
    executor.shutdown(wait=False)


class Batches(Generic[T, R]):
    """Has items worked on in batches: those that come while one is worked on form the next.

    `work` is called with at most `most` items, in the order in which they came, in a thread that
    keeps its connection to the database; `threads` is how many batches are worked on at once. It
    returns a result for each item; what it raises is raised to all who wait. For one event loop.
    """

    def __init__(
        self,
        work: Callable[[Sequence[T]], Sequence[R]],
        *,
        most: int = 256,
        threads: int = 1,
        name: str = "batches",
    ) -> None:
        self._work = work
        self._most = most
        self._free = threads
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._is_beginning = False

    def __len__(self) -> int:
        """How many wait for a batch to begin."""
        return len(self._waiting)

    async def join(self, item: T) -> R:
        """Return the result of an item of the next batch."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[R] = loop.create_future()
        self._waiting.append((item, done))
        if self._free and not self._is_beginning:
            # Those that the loop has read already come along.
            self._is_beginning = True
            loop.call_soon(self._begin, loop)
        return await done

    def close(self) -> None:
        """Take no more batches; what runs is finished, and connections are given back."""
        end_database_threads(self._executor)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_beginning = False
        while self._free and self._waiting:
            size = min(self._most, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(size)]
            self._free -= 1
            self._executor.submit(self._work_on, loop, batch)

    def _work_on(
        self, loop: asyncio.AbstractEventLoop, batch: list[tuple[T, asyncio.Future[R]]]
    ) -> None:
        results: Sequence[R] | Exception
        try:
            results = self._work([item for item, _ in batch])
        except Exception as error:
            results = error
            connections.close_all()
        with contextlib.suppress(RuntimeError):  # the loop ended meanwhile
            loop.call_soon_threadsafe(self._finish, loop, batch, results)

    def _finish(
        self,
        loop: asyncio.AbstractEventLoop,
        batch: list[tuple[T, asyncio.Future[R]]],
        results: Sequence[R] | Exception,
    ) -> None:
        self._free += 1
        self._begin(loop)
        for place, (_, done) in enumerate(batch):
            if done.done():  # who waited is gone
                continue
            if isinstance(results, Exception):
                done.set_exception(results)
            else:
                done.set_result(results[place])
