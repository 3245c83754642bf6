"""Ends a process on a signal, and with its parent."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from typing import Any

PR_SET_PDEATHSIG = 1
LOOK_AFTER_PARENT_SECONDS = 1.0


def ends_on_signals() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set."""
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    return ending


def die_with_parent() -> None:
    """Have Linux send SIGTERM when the parent dies, also by SIGKILL. Elsewhere it does nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


async def parent_is_gone(parent_pid: int) -> None:
    """Return once the process has another parent; the way that works on every system."""
    while os.getppid() == parent_pid:
        await asyncio.sleep(LOOK_AFTER_PARENT_SECONDS)


async def wait_for_the_end(ending: asyncio.Event, *, parent_pid: int | None) -> None:
    """Return when the event is set, or the parent is gone."""
    waits: list[asyncio.Task[Any]] = [asyncio.create_task(ending.wait())]
    if parent_pid is not None:
        waits.append(asyncio.create_task(parent_is_gone(parent_pid)))
    _, left = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in left:
        task.cancel()
