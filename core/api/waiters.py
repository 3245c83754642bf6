"""Callers that wait for what the database will show: one thread of a process looks for them all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future
from functools import partial
from typing import Any, Generic, TypeVar

import structlog
from django.db import connection

from core.api.stopping import on_stopping
from core.db.file_changes import FileChanges
from core.news import own_news

logger = structlog.get_logger(__name__)

K = TypeVar("K")
# Returns those of the keys that waiting is over for; asks the database once for all of them.
Look = Callable[[Collection[K]], Iterable[K]]

# Where news are heard, one may be lost; where they are not, this is how late an answer may be.
HEARING_SECONDS, LOOK_SECONDS = 2.0, 0.25
# After a look that failed.
RETRY_SECONDS = 0.5
# To see whether SQLite's file has changed takes some microseconds.
SEE_SECONDS = 0.02
# Times that are up within so long of each other are seen to together.
TICK_SECONDS = 0.05


class Waiters(Generic[K]):
    """Futures of those who wait, by what they wait for; its thread begins with the first of them.

    A future is True once `look` has found what it is for, or it was woken, and False when its time
    was up before, or the process stops.
    """

    def __init__(self, name: str, look: Look[K]) -> None:
        self._name = name
        self._look = look
        self._condition = threading.Condition()
        self._futures: dict[K, dict[Future[bool], float]] = {}
        self._next_end = float("inf")
        self._is_due = False
        self._is_stopped = False
        self._thread: threading.Thread | None = None
        on_stopping(self.stop)

    def wait(self, key: K, *, seconds: float) -> Future[bool]:
        """Return the future of one who waits for a key, at most so long."""
        future: Future[bool] = Future()
        with self._condition:
            if self._is_stopped or seconds <= 0:
                future.set_result(False)
                return future
            ends = time.monotonic() + seconds
            self._futures.setdefault(key, {})[future] = ends
            self._next_end = min(self._next_end, ends)
            self._start()
            # It may have come between the caller's own look and this moment.
            self._look_soon()
        future.add_done_callback(partial(self._forget_cancelled, key))
        return future

    def _forget_cancelled(self, key: K, future: Future[bool]) -> None:
        if not future.cancelled():
            return
        with self._condition:
            futures = self._futures.get(key, {})
            futures.pop(future, None)
            if not futures:
                self._futures.pop(key, None)

    def wake(self, keys: Iterable[K]) -> None:
        """Answer those who wait for these keys."""
        with self._condition:
            woken = [future for key in keys for future in self._futures.pop(key, ())]
        _answer(woken, True)

    def look_now(self) -> None:
        """Have the thread look: something of what is waited for may have come."""
        with self._condition:
            self._look_soon()

    def stop(self) -> None:
        """Answer all who wait; nobody waits from now on."""
        with self._condition:
            self._is_stopped = True
            left = [future for futures in self._futures.values() for future in futures]
            self._futures.clear()
        _answer(left, False)

    def __len__(self) -> int:
        """Return how many wait."""
        with self._condition:
            return sum(map(len, self._futures.values()))

    def _look_soon(self) -> None:
        if self._futures:
            self._is_due = True
            self._condition.notify_all()

    def _start(self) -> None:
        # A process that was forked has the thread's record, and not the thread.
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def _run(self) -> None:
        file = own_file()
        looked_at = 0.0
        while True:
            is_due = self._wait_until_due(looked_at, sees=file is not None)
            try:
                if is_due or (file is not None and file.are_new()):
                    looked_at = time.monotonic()
                    self._look_for_all()
            except Exception as error:  # whatever it is, it is looked for again
                logger.warning("waiters_not_seen_to", waiters=self._name, error=str(error)[:300])
                time.sleep(RETRY_SECONDS)
                self.look_now()
            finally:
                if file is None:
                    connection.close()  # who waits must not use up the pool
            self._end_overdue()

    def _wait_until_due(self, looked_at: float, *, sees: bool) -> bool:
        """Wait for a reason to look, or to end somebody's time; return whether it is to look."""
        with self._condition:
            if not self._futures:
                self._condition.wait_for(lambda: bool(self._futures))
            pause = HEARING_SECONDS if own_news().hears or sees else LOOK_SECONDS
            now = time.monotonic()
            until = min(looked_at + pause, max(self._next_end, now + TICK_SECONDS))
            if not self._is_due:
                self._condition.wait(min(SEE_SECONDS, until - now) if sees else until - now)
            is_due, self._is_due = self._is_due, False
            return is_due or time.monotonic() >= looked_at + pause

    def _look_for_all(self) -> None:
        with self._condition:
            keys = list(self._futures)
        if keys:
            self.wake(self._look(keys))

    def _end_overdue(self) -> None:
        now = time.monotonic()
        if now < self._next_end:
            return
        with self._condition:
            overdue = [
                (key, future)
                for key, futures in self._futures.items()
                for future, ends in futures.items()
                if ends <= now
            ]
            for key, future in overdue:
                del self._futures[key][future]
                if not self._futures[key]:
                    del self._futures[key]
            ends = (end for futures in self._futures.values() for end in futures.values())
            self._next_end = min(ends, default=float("inf"))
        _answer([future for _, future in overdue], False)


def own_file() -> FileChanges | None:
    """Return what sees changes of the database's file; None where it has a server."""
    return FileChanges() if connection.vendor == "sqlite" else None


def _answer(futures: Iterable[Future[Any]], result: bool) -> None:
    for future in futures:
        # Who has given up cancelled it.
        if future.set_running_or_notify_cancel():
            future.set_result(result)
