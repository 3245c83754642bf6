"""Measures the cost of a circuit breaker: `./dev bench breaker`.

Microseconds that guarding adds to a call on a closed circuit, and what 64 calls at once take with
and without a breaker: from coroutines of one event loop, and from 64 threads that wait for theirs.
A plain pybreaker, whose lock is held while calling, stands beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import TYPE_CHECKING, Any

import pybreaker

from benchmarks.testbed.django_setup import set_up_migrated
from benchmarks.testbed.printing import say

if TYPE_CHECKING:
    from registry.calls.circuits.breaker import SharedBreaker

MANY = 64
PAUSE_SECONDS = 0.01

Call = Callable[[], Awaitable[object]]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="./dev bench breaker", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=50_000, help="in each round")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="si-bench-") as directory:
        instance_id = prepare_database(directory)
        asyncio.run(measure(instance_id, options.rounds, options.calls))
    return 0


def prepare_database(directory: str) -> str:
    """Make an empty SQLite database with one instance; return its id."""
    set_up_migrated({"DATA_DIR": directory})
    from registry.models import Service, ServiceInstance

    service = Service.objects.create(name="bench")
    instance = ServiceInstance.objects.create(service=service, url="http://127.0.0.1:9")
    return str(instance.pk)


async def measure(instance_id: str, rounds: int, calls: int) -> None:
    from registry.calls.circuits.breaker_set import BreakerSet
    from registry.calls.database_threads import DatabaseThreads
    from registry.policies.circuit_profile import PROFILES

    threads = DatabaseThreads()
    circuits = BreakerSet(threads, clock=time.monotonic)
    breaker = circuits.breaker(instance_id, PROFILES["NON_CRITICAL"])
    await breaker.call(nothing)
    added = [await time_calls(breaker, calls) for _ in range(rounds)]
    say_figures(
        "One call after the other", f"{median(added):.2f} µs added by the breaker (at most 20)"
    )
    for name, run in (("coroutines", at_once), ("threads", from_threads)):
        plain = [await run(pause) for _ in range(rounds)]
        guarded = [await run(lambda: breaker.call(pause)) for _ in range(rounds)]
        share = (median(guarded) / median(plain) - 1) * 100
        say_figures(
            f"{MANY} {name}, 10 calls of 10 ms each",
            f"{median(plain) * 1000:.0f} ms without, {median(guarded) * 1000:.0f} ms with"
            f" ({share:+.1f} %, at most +10 %)",
        )
    locked = with_plain_pybreaker()
    say_figures(
        f"{MANY} threads, 1 call of 10 ms each", f"{locked * 1000:.0f} ms with a plain pybreaker"
    )
    await circuits.close()
    threads.close()


def say_figures(subject: str, figures: str) -> None:
    say(f"{subject:<38} {figures}")


async def nothing() -> None:
    """Answers at once."""


async def pause() -> None:
    await asyncio.sleep(PAUSE_SECONDS)


async def time_calls(breaker: SharedBreaker, calls: int) -> float:
    """Return the microseconds that guarding adds to one call."""
    bare = await timed(nothing, calls)
    return (await timed(lambda: breaker.call(nothing), calls) - bare) / calls * 1e6


async def timed(call: Call, calls: int) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        await call()
    return time.perf_counter() - started


async def at_once(call: Call) -> float:
    """Return the seconds for 64 coroutines with ten calls each."""
    started = time.perf_counter()
    await asyncio.gather(*(timed(call, 10) for _ in range(MANY)))
    return time.perf_counter() - started


async def from_threads(call: Call) -> float:
    """Return the seconds for 64 threads with ten calls each, made on this loop as in the hub."""
    loop = asyncio.get_running_loop()

    def wait_for_calls() -> None:
        asyncio.run_coroutine_threadsafe(timed(call, 10), loop).result()

    with ThreadPoolExecutor(MANY) as pool:
        started = time.perf_counter()
        await asyncio.gather(*(loop.run_in_executor(pool, wait_for_calls) for _ in range(MANY)))
        return time.perf_counter() - started


def with_plain_pybreaker() -> float:
    """Return the seconds for one call from each of 64 threads."""
    breaker = pybreaker.CircuitBreaker()
    callers: list[Any] = [
        threading.Thread(target=breaker.call, args=(time.sleep, PAUSE_SECONDS)) for _ in range(MANY)
    ]
    started = time.perf_counter()
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    return time.perf_counter() - started


if __name__ == "__main__":
    raise SystemExit(main())
