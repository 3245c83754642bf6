"""Limits of calls: the rate, the seats, by all workers together, and what is left without them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from registry.calls.database_threads import DatabaseThreads
from registry.calls.limits import store
from registry.calls.limits.counters import DatabaseCounters, LimitCounters, RedisCounters
from registry.calls.limits.limiter import Limiter
from registry.exceptions import RateLimitedError
from registry.models import CallRate, CallSeat
from registry.policies.rate_limits import CallLimits, limits_of, next_turn, validate_limits
from tests.support import servers
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)


# --- The rules ---


@given(
    gaps=st.lists(st.floats(0, 3), min_size=1, max_size=60),
    per_second=st.floats(0.1, 50),
    burst=st.integers(1, 10),
    wait=st.floats(0, 2),
)
def test_never_more_begin_than_the_rate_and_the_burst_allow(
    gaps: list[float], per_second: float, burst: int, wait: float
) -> None:
    limits = CallLimits(per_second, burst)
    now, paid, begun = 1000.0, 0.0, []
    for gap in gaps:
        now += gap
        turn = next_turn(paid, limits, now=now, wait_seconds=wait)
        if turn.granted:
            paid = turn.paid_until
            assert turn.seconds <= wait + 1e-5
            begun.append(now + turn.seconds)
    for first in range(len(begun)):
        for last in range(first, len(begun)):
            span = begun[last] - begun[first]
            assert last - first + 1 <= burst + span * per_second + 1e-3


def test_after_a_rest_the_burst_goes_at_once_and_the_next_waits_its_turn() -> None:
    limits, paid = CallLimits(per_second=2, burst=3), 0.0
    delays = []
    for _ in range(5):
        turn = next_turn(paid, limits, now=100.0, wait_seconds=10)
        paid = turn.paid_until
        delays.append(round(turn.seconds, 3))
    assert delays == [0, 0, 0, 0.5, 1.0]
    refused = next_turn(paid, limits, now=100.0, wait_seconds=1)
    assert (refused.granted, round(refused.seconds, 3)) == (False, 1.5)


@pytest.mark.parametrize(
    ("value", "limits"),
    [
        ({}, None),
        (None, None),
        ({"wait_seconds": 3}, None),
        ({"per_second": 2.5}, CallLimits(2.5, 3, 0, 5.0)),
        ({"per_second": 0.1, "burst": 4}, CallLimits(0.1, 4, 0, 5.0)),
        ({"max_concurrency": 2, "wait_seconds": 0}, CallLimits(0.0, 1, 2, 0.0)),
    ],
)
def test_what_a_row_says(value: Any, limits: CallLimits | None) -> None:
    assert limits_of(value) == limits


@pytest.mark.parametrize(
    "value",
    [
        [], {"per_minute": 1}, {"per_second": 0}, {"per_second": "1"}, {"per_second": True},
        {"burst": 2}, {"per_second": 1, "burst": 1.5}, {"max_concurrency": 0},
        {"wait_seconds": 61, "per_second": 1},
    ],
)  # fmt: skip
def test_what_cannot_be_a_limit_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        validate_limits(value)


# --- Kept by all workers together ---


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with servers.start_redis() as server:
        yield f"redis://127.0.0.1:{server.port}/0"


@pytest.fixture(params=["database", "redis"])
def make_counters(request: pytest.FixtureRequest) -> Any:
    """Each call makes the counters of another worker."""
    url = request.getfixturevalue("redis_url") if request.param == "redis" else ""
    return lambda threads: RedisCounters(url) if url else DatabaseCounters(threads)


@pytest.fixture
async def workers(make_counters: Any) -> AsyncIterator[list[Limiter]]:
    """The limiters of three workers."""
    threads = [DatabaseThreads() for _ in range(3)]
    made = [Limiter(t, clock=time.monotonic, counters=make_counters(t)) for t in threads]
    yield made
    for limiter in made:
        await limiter.close()
    for pool in threads:
        pool.close()


def subject() -> str:
    return str(uuid.uuid4())


async def begin(limiter: Limiter, key: str, limits: CallLimits) -> bool:
    try:
        async with limiter.within(key, limits, name="it", deadline=time.monotonic() + PATIENCE):
            return True
    except RateLimitedError:
        return False


async def test_the_rate_is_that_of_all_workers(workers: list[Limiter]) -> None:
    key, limits = subject(), CallLimits(per_second=0.01, burst=6, wait_seconds=0)
    tried = [begin(worker, key, limits) for worker in workers for _ in range(5)]
    assert sum(await asyncio.gather(*tried)) == 6
    assert await begin(workers[0], subject(), limits)  # another has its own


async def test_who_is_refused_is_told_when_to_come_back(workers: list[Limiter]) -> None:
    key, limits = subject(), CallLimits(per_second=0.01, burst=1, wait_seconds=0)
    assert await begin(workers[0], key, limits)
    with pytest.raises(RateLimitedError, match=r"at most 0\.01 times a second") as caught:
        async with workers[1].within(key, limits, name="it", deadline=time.monotonic() + PATIENCE):
            pass
    assert caught.value.code == "rate_limited"
    assert not caught.value.permanent
    assert 80 < (caught.value.retry_after or 0) <= 160


async def test_calls_wait_for_their_turn_in_order(workers: list[Limiter]) -> None:
    key, limits = subject(), CallLimits(per_second=50, burst=1, wait_seconds=60)
    assert await asyncio.gather(*(begin(w, key, limits) for w in workers)) == [True] * 3


async def test_nobody_waits_beyond_the_deadline(workers: list[Limiter]) -> None:
    key, limits = subject(), CallLimits(per_second=0.01, burst=1, wait_seconds=60)
    assert await begin(workers[0], key, limits)
    with pytest.raises(RateLimitedError):
        async with workers[0].within(key, limits, name="it", deadline=time.monotonic() + 1):
            pass


async def test_so_many_at_once_and_no_more(workers: list[Limiter]) -> None:
    key, limits = subject(), CallLimits(max_concurrency=4, wait_seconds=60)
    under_way, most = 0, 0
    full = asyncio.Event()

    async def call(worker: Limiter) -> None:
        nonlocal under_way, most
        async with worker.within(key, limits, name="it", deadline=time.monotonic() + PATIENCE):
            under_way += 1
            most = max(most, under_way)
            if under_way == 4:
                full.set()
            await full.wait()  # nobody leaves before all seats were taken
            await asyncio.sleep(0.01)
            under_way -= 1

    await asyncio.gather(*(call(worker) for worker in workers for _ in range(6)))
    assert most == 4


async def test_a_full_house_refuses_who_does_not_wait(workers: list[Limiter]) -> None:
    key, limits = subject(), CallLimits(max_concurrency=1, wait_seconds=0)
    one, other, _ = workers
    async with one.within(key, limits, name="it", deadline=time.monotonic() + PATIENCE):
        assert not await begin(other, key, limits)
    patient = CallLimits(max_concurrency=1, wait_seconds=60)
    assert await begin(other, key, patient)


async def test_the_seat_of_a_worker_that_is_gone_is_free_after_its_lease(
    make_counters: Any,
) -> None:
    threads = DatabaseThreads()
    counters: LimitCounters = make_counters(threads)
    key = subject()
    assert await counters.take_seat(key, 1, "gone", 0.0)
    assert await counters.take_seat(key, 1, "next", 30.0)
    assert not await counters.take_seat(key, 1, "third", 30.0)
    await counters.renew([(key, "next"), (key, "gone")], 30.0)
    await counters.leave(key, "gone")  # too late: it is another's
    assert not await counters.take_seat(key, 1, "third", 30.0)
    await counters.leave(key, "next")
    assert await counters.take_seat(key, 1, "third", 30.0)
    await counters.close()
    threads.close()


HOLDER = """
import asyncio, sys
import django
django.setup()
from registry.calls.limits.counters import RedisCounters

async def hold():
    print(await RedisCounters(sys.argv[1]).take_seat(sys.argv[2], 1, "killed", 2.0), flush=True)
    await asyncio.sleep(60)

asyncio.run(hold())
"""


def test_the_seat_of_a_process_that_was_killed_is_free_after_its_lease(
    redis_url: str, project_root: Path
) -> None:
    key = subject()
    command = [sys.executable, "-c", HOLDER, redis_url, key]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=project_root) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "True"
        holder.kill()

    async def sit() -> tuple[bool, bool]:
        counters = RedisCounters(redis_url)
        at_once = await counters.take_seat(key, 1, "next", 30.0)
        sat = at_once
        for _ in range(100):
            sat = sat or await counters.take_seat(key, 1, "next", 30.0)
            await asyncio.sleep(0 if sat else 0.05)
        await counters.close()
        return at_once, sat

    assert asyncio.run(sit()) == (False, True)


async def test_a_lower_limit_holds_at_once(make_counters: Any) -> None:
    threads = DatabaseThreads()
    counters: LimitCounters = make_counters(threads)
    key = subject()
    for number in range(20):
        assert await counters.take_seat(key, 20, f"owner-{number}", 30.0)
    assert not await counters.take_seat(key, 20, "late", 30.0)
    assert await counters.take_seat(key, 21, "late", 30.0)
    assert not await counters.take_seat(key, 5, "later", 30.0)
    await counters.close()
    threads.close()


async def test_a_cancelled_call_gives_its_seat_back(workers: list[Limiter]) -> None:
    key, limits = subject(), CallLimits(max_concurrency=1, wait_seconds=60)
    entered = asyncio.Event()

    async def call() -> None:
        async with workers[0].within(key, limits, name="it", deadline=time.monotonic() + PATIENCE):
            entered.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(call())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await begin(workers[1], key, limits)


def test_threads_of_many_processes_get_what_there_is_and_no_more() -> None:
    key, limits = subject(), CallLimits(per_second=0.001, burst=7)
    with ThreadPoolExecutor(8) as pool:
        turns = list(pool.map(lambda _: _in_thread(key, limits), range(24)))
    assert sum(turns) == 7


def _in_thread(key: str, limits: CallLimits) -> bool:
    from django.db import connections

    try:
        return store.take_turn(key, limits, 0.0).granted
    finally:
        connections.close_all()


# --- Without the shared count ---


async def test_while_redis_is_away_each_process_keeps_the_limits_alone() -> None:
    away = RedisCounters(f"redis://127.0.0.1:{servers.free_port()}/0")
    threads = DatabaseThreads()
    limiter = Limiter(threads, clock=time.monotonic, counters=away)
    key, limits = subject(), CallLimits(per_second=0.01, burst=3, wait_seconds=0)
    assert sum([await begin(limiter, key, limits) for _ in range(6)]) == 3
    seats = CallLimits(max_concurrency=1, wait_seconds=0)
    async with limiter.within(key, seats, name="it", deadline=time.monotonic() + PATIENCE):
        assert not await begin(limiter, key, seats)
    assert await begin(limiter, key, seats)
    await limiter.close()
    threads.close()


def test_what_counts_for_nothing_any_more_is_forgotten() -> None:
    store.take_turn(subject(), CallLimits(per_second=1), 0.0)
    assert store.take_seat(subject(), 1, "owner", 0.0)
    assert store.forget_limits(older_than=timedelta(hours=1)) == 0
    assert store.forget_limits(older_than=timedelta(seconds=-60)) == 2
    assert not CallRate.objects.exists()
    assert not CallSeat.objects.exists()
