"""Waiting for what others do: other threads, tasks, processes and servers.

One bound for all of it, which a loaded machine keeps too. It is reached only where something does
not happen, so its length costs nothing; how quick the product is, benchmarks say, and no test.
"""

import asyncio
import linecache
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

PATIENCE = 60.0


def until(
    condition: Callable[[], Any],
    what: str = "",
    *,
    tail: Callable[[], str] = str,
    seconds: float = PATIENCE,
    every: float = 0.01,
) -> Any:
    """Return what the condition gives, once that is true.

    Raises:
        AssertionError: it did not become true; with what was waited for, the last answer, and what
            `tail` says then, such as the end of a log.
    """
    frame, bound = sys._getframe(1), time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < bound, _complaint(what, frame, seconds, found, tail)
        threading.Event().wait(every)
    return found


async def until_async(
    condition: Callable[[], Awaitable[Any] | Any],
    what: str = "",
    *,
    tail: Callable[[], str] = str,
    seconds: float = PATIENCE,
    every: float = 0.005,
) -> Any:
    """Return what the condition gives, once that is true, and let other tasks run meanwhile.

    Raises:
        AssertionError: as of `until`.
    """
    frame, bound = sys._getframe(1), time.monotonic() + seconds
    while True:
        found = condition()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return found
        assert time.monotonic() < bound, _complaint(what, frame, seconds, found, tail)
        await asyncio.sleep(every)


def _complaint(
    what: str, frame: FrameType, seconds: float, found: object, tail: Callable[[], str]
) -> str:
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
    text = f"It did not happen within {seconds:g} s: {what or line}\nThe last answer: {found!r}"
    more = tail()
    return f"{text}\n{more}" if more else text
