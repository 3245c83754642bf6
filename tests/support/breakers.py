"""Instances, breakers and calls for the tests of circuit breakers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import F

from registry.calls.circuits.breaker import SharedBreaker
from registry.calls.circuits.breaker_set import BreakerSet
from registry.calls.database_threads import DatabaseThreads
from registry.exceptions import ServiceUnavailableError
from registry.models import CircuitBreakerState, ServiceInstance
from registry.policies.circuit_profile import Profile
from tests import factories

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
PROFILE = Profile(failure_threshold=3, recovery_seconds=60.0, timeout_seconds=10.0)


class Clock:
    """Monotonic seconds that only pass when told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def make_instance(url: str = "http://planner:8000", **fields: Any) -> ServiceInstance:
    return factories.make_service(urls=(url,), **fields).instances.get()


@contextlib.asynccontextmanager
async def circuits(clock: Any = time.monotonic) -> AsyncIterator[BreakerSet]:
    """Breakers as a worker process has them."""
    threads = DatabaseThreads()
    breakers = BreakerSet(threads, clock=clock)
    try:
        yield breakers
    finally:
        await breakers.close()
        threads.close()


async def succeed() -> str:
    return "fine"


async def fail() -> None:
    raise ServiceUnavailableError("It answered 503.")


async def call(breaker: SharedBreaker, function: Any = succeed, *args: Any) -> Any:
    """The result of a guarded call, or the error it ended with."""
    try:
        return await breaker.call(function, *args)
    except Exception as error:
        return error


async def fail_times(breaker: SharedBreaker, count: int) -> None:
    for _ in range(count):
        assert isinstance(await call(breaker, fail), ServiceUnavailableError)


async def in_database(function: Any, *args: Any) -> Any:
    threads = DatabaseThreads(1)
    try:
        return await threads.run(function, *args)
    finally:
        threads.close()


async def row_of(breaker: SharedBreaker) -> CircuitBreakerState:
    return await in_database(
        lambda: CircuitBreakerState.objects.get(instance_id=UUID(breaker.guarded_id))
    )


async def let_time_pass(breaker: SharedBreaker, **columns: Any) -> None:
    """Set moments of the row back by so many timedeltas, as if time had passed."""

    def change() -> None:
        rows = CircuitBreakerState.objects.filter(instance_id=UUID(breaker.guarded_id))
        rows.update(**{name: F(name) - past for name, past in columns.items()})

    await in_database(change)


async def read_again(breakers: BreakerSet) -> None:
    """Read what changed in the rows now, and not when a second is over."""
    await breakers.catch_up(time.monotonic_ns())
