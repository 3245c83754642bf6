"""Runs the database work of asynchronous code in a small thread pool."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connections

T = TypeVar("T")


class DatabaseThreads:
    """A few threads that give their connections back after every job."""

    def __init__(self, size: int = 4) -> None:
        self._pool = ThreadPoolExecutor(size, "database")

    def run(self, function: Callable[..., T], *args: object) -> asyncio.Future[T]:
        """Begin to run a function there; called on an event loop."""
        return asyncio.get_running_loop().run_in_executor(self._pool, _run, function, *args)

    def close(self) -> None:
        """Take no more jobs and forget those that have not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _run(function: Callable[..., T], *args: object) -> T:
    try:
        return function(*args)
    finally:
        connections.close_all()
