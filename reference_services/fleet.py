"""Runs all services, each as a child process, and starts again those that die."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from reference_services.console import say
from reference_services.lifetime import ends_on_signals, wait_for_the_end

FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 30.0
STEADY_SECONDS = 30.0
STOP_SECONDS = 8.0


@dataclass(frozen=True)
class ChildProcess:
    """The command and the environment of one service."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]


def backoff_seconds(deaths: int) -> float:
    """Return the pause before a child that died so many times in a row is started again."""
    return float(min(FIRST_BACKOFF_SECONDS * 2 ** min(deaths - 1, 10), LONGEST_BACKOFF_SECONDS))


def service_command(name: str, arguments: Sequence[str]) -> tuple[str, ...]:
    parent = ("--parent-pid", str(os.getpid()))
    return (sys.executable, "-m", "reference_services", name, *arguments, *parent)


async def run_fleet(children: Sequence[ChildProcess], *, parent_pid: int | None = None) -> None:
    """Keep the children running until a signal comes or this process's parent is gone."""
    ending = ends_on_signals()
    keepers = [asyncio.create_task(keep_running(child, ending=ending)) for child in children]
    await wait_for_the_end(ending, parent_pid=parent_pid)
    ending.set()
    await asyncio.gather(*keepers)


async def keep_running(
    child: ChildProcess, *, ending: asyncio.Event, clock: Callable[[], float] = time.monotonic
) -> None:
    """Start the child, and again whenever it dies, until the event is set; then stop it."""
    deaths = 0
    while not ending.is_set():
        started = clock()
        process = await asyncio.create_subprocess_exec(
            *child.command,
            env=dict(child.environment),
            # A Ctrl-C in the terminal reaches this process alone, which then stops its children.
            start_new_session=True,
        )
        if await _ended_first(process, ending):
            deaths = 1 if clock() - started >= STEADY_SECONDS else deaths + 1
            pause = backoff_seconds(deaths)
            say(f"{child.name} ended with {process.returncode}; starts again in {pause:g} s")
            await _pause(pause, ending)
        else:
            await _stop(process)


async def _ended_first(process: asyncio.subprocess.Process, ending: asyncio.Event) -> bool:
    death, signal = asyncio.create_task(process.wait()), asyncio.create_task(ending.wait())
    await asyncio.wait({death, signal}, return_when=asyncio.FIRST_COMPLETED)
    signal.cancel()
    if not death.done():
        death.cancel()
    return not ending.is_set()


async def _pause(seconds: float, ending: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(ending.wait(), seconds)


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Send SIGTERM, and SIGKILL to a child that does not end within some seconds."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
