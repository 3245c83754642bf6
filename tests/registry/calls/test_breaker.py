"""Circuit breakers shared by workers through the database.

Each fault of a plain pybreaker that the design rules out is shown on a plain one beside ours: the
tests named `test_plain_...` assert that it misbehaves, so that those after them prove something.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pybreaker
import pytest
import time_machine
from django.db import connection

from core.mediator import mediator
from registry.calls.circuits import store
from registry.calls.circuits.breaker import CallRefused, RowStorage, tells_nothing
from registry.calls.circuits.breaker_set import FRESH_SECONDS
from registry.calls.circuits.transitions import CallOutcome, OutcomeKind
from registry.calls.database_threads import DatabaseThreads
from registry.exceptions import (
    ServiceConnectionError,
    ServiceNotReachedError,
    ServiceResponseError,
    ServiceTimeoutError,
    ServiceUnavailableError,
)
from registry.models import CircuitBreakerState, ServiceInstance
from registry.policies.circuit_profile import Profile
from tests.support.breakers import (
    PROFILE,
    Clock,
    call,
    circuits,
    fail,
    fail_times,
    in_database,
    let_time_pass,
    make_instance,
    read_again,
    row_of,
    succeed,
)
from tests.support.forking import run_forks
from tests.support.waiting import PATIENCE, until_async

pytestmark = pytest.mark.django_db(transaction=True)
MINUTE = timedelta(seconds=61)


@pytest.fixture
def instance_id() -> str:
    return str(make_instance().pk)


@pytest.fixture
def changes():
    """The payloads of the changes that are published."""
    with mediator.recording("circuit_changed") as payloads:
        yield payloads


def states_of(changes):
    return [(change["old_state"], change["new_state"]) for change in changes]


def status_error(status, kind=ServiceResponseError):
    return kind(f"It answered {status}.", upstream_status=status)


# --- A lock is held while calling ---


def test_plain_breaker_lets_calls_wait_for_each_other():
    breaker, together = pybreaker.CircuitBreaker(), threading.Barrier(2)
    caught = []

    def guarded():
        try:
            breaker.call(together.wait, 0.2)
        except (threading.BrokenBarrierError, pybreaker.CircuitBreakerError) as error:
            caught.append(error)

    callers = [threading.Thread(target=guarded) for _ in range(2)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(caught) == 2


async def test_calls_run_side_by_side(instance_id):
    everybody = asyncio.Barrier(64)
    async with circuits() as found, asyncio.timeout(PATIENCE):
        breaker = found.breaker(instance_id, PROFILE)
        calls = [breaker.call(everybody.wait) for _ in range(64)]
        assert len(await asyncio.gather(*calls)) == 64


# --- Every process probes ---


def two_plain_breakers(**options):
    """Two processes that share a storage."""
    shared = pybreaker.CircuitMemoryStorage(pybreaker.STATE_CLOSED)
    return [pybreaker.CircuitBreaker(state_storage=shared, **options) for _ in range(2)]


def test_plain_breakers_probe_in_every_process_at_once():
    one, other = two_plain_breakers(fail_max=1, reset_timeout=0)
    with pytest.raises(pybreaker.CircuitBreakerError):
        one.call(int, "x")
    inside = []

    def probe():
        inside.append("one")
        other.call(inside.append, "other")

    one.call(probe)
    assert inside == ["one", "other"]


async def test_one_process_probes_and_the_others_are_refused(instance_id):
    async with circuits() as here, circuits() as there:
        one, other = here.breaker(instance_id, PROFILE), there.breaker(instance_id, PROFILE)
        await fail_times(one, 3)
        await let_time_pass(one, retry_at=MINUTE)
        await read_again(here)

        async def probe():
            refusal = await call(other)
            assert isinstance(refusal, CallRefused)
            assert refusal.retry_after < 3
            return [await call(one), await call(one)]

        second, third = await one.call(probe)
        assert isinstance(second, CallRefused)
        assert isinstance(third, CallRefused)
        assert await call(one) == "fine"


@pytest.mark.on_servers
def test_among_eight_processes_one_probes_at_a_time(instance_id, backend, tmp_path, in_full):
    openings = 1000 if in_full and backend == "postgres" else 40
    store.load([instance_id])
    at_once = replace(PROFILE, recovery_seconds=0.0, max_recovery_seconds=0.0)
    store.record_outcomes(instance_id, [CallOutcome(OutcomeKind.FAILURE, 0, count=3)], at_once)
    name = str(connection.settings_dict["NAME"])
    arguments = [name, instance_id, str(openings), str(tmp_path)]
    told = [line.split() for line in run_forks("tests.support.breaker_process", 8, *arguments)]
    assert len(told) == 8
    calls = [int(made) for made, _ in told]
    row = CircuitBreakerState.objects.get(instance_id=instance_id)
    assert sum(int(overlaps) for _, overlaps in told) == 0
    assert row.open_count >= openings
    # Each opening but the first took one probe, whose claim and end each raised the generation.
    assert sum(calls) == row.open_count - 1
    assert row.generation == 2 * row.open_count - 1
    assert sum(1 for made in calls if made) > 1


# --- Counters are reset by who merely notices ---


def test_plain_breaker_resets_the_counter_when_it_notices_a_change():
    one, other = two_plain_breakers(fail_max=3)
    one.open()
    assert other.state.name == pybreaker.STATE_OPEN
    one.close()
    with pytest.raises(ValueError, match="invalid literal"):
        one.call(int, "x")
    assert one.fail_counter == 1
    assert other.state.name == pybreaker.STATE_CLOSED
    assert one.fail_counter == 0


async def test_noticing_a_change_leaves_the_counters(instance_id):
    async with circuits() as here, circuits() as there:
        one, other = here.breaker(instance_id, PROFILE), there.breaker(instance_id, PROFILE)
        await fail_times(one, 2)
        await there.refresh(other)
        assert other.circuit.failure_count == 2
        assert other.state == pybreaker.STATE_CLOSED
        assert (await row_of(one)).failure_count == 2


async def test_failures_of_all_processes_are_one_row(instance_id):
    async with circuits() as here, circuits() as there:
        one, other = here.breaker(instance_id, PROFILE), there.breaker(instance_id, PROFILE)
        await fail_times(one, 1)
        await fail_times(other, 1)
        await fail_times(one, 1)
        assert (await row_of(one)).state == "OPEN"


async def test_failures_at_once_are_all_counted(instance_id):
    profile = Profile(
        failure_threshold=64, minimum_calls=1000, recovery_seconds=60, timeout_seconds=10
    )
    async with circuits() as here, circuits() as there:
        both = [found.breaker(instance_id, profile) for found in (here, there)]
        await asyncio.gather(*(call(breaker, fail) for breaker in both for _ in range(31)))
        assert (await row_of(both[0])).failure_count == 62
        await asyncio.gather(*(call(breaker, fail) for breaker in both))
        assert (await row_of(both[0])).state == "OPEN"


# --- No failure rate ---


def test_plain_breaker_never_opens_while_successes_come_between():
    breaker = pybreaker.CircuitBreaker(fail_max=3)
    for _ in range(100):
        with pytest.raises(ValueError, match="invalid literal"):
            breaker.call(int, "x")
        breaker.call(int, "1")
    assert breaker.current_state == pybreaker.STATE_CLOSED


async def test_half_of_the_calls_failing_opens_it(instance_id):
    async with circuits() as found:
        breaker = found.breaker(instance_id, PROFILE)
        for _ in range(10):
            await call(breaker)
            await call(breaker, fail)
        row = await row_of(breaker)
        assert row.state == "OPEN"
        assert row.cause.startswith("10 of 20 calls within 60 s failed.")


async def test_successes_before_a_failure_are_part_of_its_window(instance_id):
    async with circuits() as found:
        breaker = found.breaker(instance_id, PROFILE)
        for _ in range(50):
            await call(breaker)
        assert (await row_of(breaker)).window == []
        await fail_times(breaker, 1)
        calls = [bucket[1:] for bucket in (await row_of(breaker)).window]
        assert [sum(column) for column in zip(*calls, strict=True)] == [51, 1, 0]


async def test_successes_from_before_a_change_are_not_part_of_its_window(instance_id):
    async with circuits() as here, circuits() as there:
        one, other = here.breaker(instance_id, PROFILE), there.breaker(instance_id, PROFILE)
        for _ in range(5):
            await call(one)
        await fail_times(other, 3)
        await let_time_pass(other, retry_at=MINUTE)
        await read_again(there)
        assert await call(other) == "fine"
        await read_again(here)
        await fail_times(one, 1)
        assert [bucket[1:] for bucket in (await row_of(one)).window] == [[1, 1, 0]]


async def test_slow_calls_open_it(instance_id):
    clock = Clock()

    async def dawdle():
        clock.seconds += 11

    async with circuits(clock) as found:
        breaker = found.breaker(instance_id, PROFILE)
        for _ in range(20):
            await call(breaker, dawdle)
        row = await row_of(breaker)
        assert (row.state, row.cause) == ("OPEN", "20 of 20 calls within 60 s took over 10 s.")


async def test_a_call_that_was_given_more_time_is_not_slow_within_it(instance_id):
    clock = Clock()

    async def dawdle():
        clock.seconds += 11

    async with circuits(clock) as found:
        breaker = found.breaker(instance_id, PROFILE)
        for _ in range(20):
            await breaker.call(dawdle, slow_seconds=30.0)
        assert (await row_of(breaker)).state == "CLOSED"


# --- Late results count ---


def test_plain_breaker_counts_results_of_an_older_state():
    one, other = two_plain_breakers(fail_max=3)

    def late():
        other.open()
        other.close()
        int("x")

    with pytest.raises(ValueError, match="invalid literal"):
        one.call(late)
    assert one.fail_counter == 1


async def test_late_results_are_dropped(instance_id):
    async with circuits() as here, circuits() as there:
        one, other = here.breaker(instance_id, PROFILE), there.breaker(instance_id, PROFILE)
        let_go = asyncio.Event()

        async def late():
            await let_go.wait()
            await fail()

        calls = [asyncio.create_task(call(one, late)) for _ in range(5)]
        await until_async(lambda: one.is_loaded)
        await fail_times(other, 3)
        await let_time_pass(other, retry_at=MINUTE)
        await read_again(there)
        assert await call(other) == "fine"
        let_go.set()
        await asyncio.gather(*calls)
        row = await row_of(one)
        assert (row.state, row.failure_count, row.generation) == ("CLOSED", 0, 3)


# --- BaseException counts, and a probe is lost ---


def test_plain_breaker_counts_being_cancelled():
    breaker = pybreaker.CircuitBreaker(fail_max=1)

    def cancelled():
        raise asyncio.CancelledError

    with pytest.raises(pybreaker.CircuitBreakerError):
        breaker.call(cancelled)
    assert breaker.current_state == pybreaker.STATE_OPEN


class Stop(BaseException):
    """What ends a program."""


async def stop():
    raise Stop


async def test_being_cancelled_or_stopped_counts_for_nothing(instance_id):
    async with circuits() as found:
        breaker = found.breaker(instance_id, PROFILE)
        for _ in range(5):
            running = asyncio.create_task(breaker.call(asyncio.sleep, 30))
            await asyncio.sleep(0.02)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            with pytest.raises(Stop):
                await breaker.call(stop)
        row = await row_of(breaker)
        assert (row.state, row.failure_count, row.window) == ("CLOSED", 0, [])


async def open_and_due(found, instance_id):
    """A breaker whose next call is a probe."""
    breaker = found.breaker(instance_id, PROFILE)
    await fail_times(breaker, 3)
    await let_time_pass(breaker, retry_at=MINUTE)
    await read_again(found)
    return breaker


async def is_given_back(breaker):
    row = await row_of(breaker)
    return row.state == "HALF_OPEN" and row.probe_owner == ""


async def test_a_cancelled_probe_is_given_back(instance_id):
    async with circuits() as found:
        breaker = await open_and_due(found, instance_id)
        inside = asyncio.Event()

        async def hang():
            inside.set()
            await asyncio.sleep(30)

        probe = asyncio.create_task(breaker.call(hang))
        await inside.wait()
        probe.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probe
        await until_async(lambda: is_given_back(breaker))
        row = await row_of(breaker)
        assert (row.state, row.probe_owner, row.probe_until) == ("HALF_OPEN", "", None)
        assert await call(breaker) == "fine"
        assert (await row_of(breaker)).state == "CLOSED"


async def test_a_probe_cancelled_while_it_claims_is_given_back(instance_id, monkeypatch):
    claiming, go_on = threading.Event(), threading.Event()
    claim = store.claim_probe

    def slow_claim(*args, **options):
        claiming.set()
        go_on.wait(PATIENCE)
        return claim(*args, **options)

    async with circuits() as found:
        breaker = await open_and_due(found, instance_id)
        monkeypatch.setattr(store, "claim_probe", slow_claim)
        probe = asyncio.create_task(breaker.call(succeed))
        await asyncio.to_thread(claiming.wait, 5)
        probe.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probe
        go_on.set()
        await until_async(lambda: is_given_back(breaker))


async def test_a_fault_of_ours_gives_the_probe_back(instance_id):
    async def broken():
        raise ZeroDivisionError

    async with circuits() as found:
        breaker = await open_and_due(found, instance_id)
        assert isinstance(await call(breaker, broken), ZeroDivisionError)
        await until_async(lambda: is_given_back(breaker))


async def test_the_probe_of_a_worker_that_died_is_taken_over_and_its_result_dropped(instance_id):
    async with circuits() as here, circuits() as there:
        one, other = await open_and_due(here, instance_id), there.breaker(instance_id, PROFILE)

        async def stall():
            await let_time_pass(one, probe_until=timedelta(minutes=5))
            assert await call(other) == "fine"
            await fail()

        assert isinstance(await call(one, stall), ServiceUnavailableError)
        row = await row_of(one)
        assert (row.state, row.failure_count, row.generation) == ("CLOSED", 0, 4)


# --- What counts ---


def test_plain_breaker_takes_an_excluded_error_for_a_success():
    breaker = pybreaker.CircuitBreaker(fail_max=3, exclude=[KeyError])
    for _ in range(2):
        with pytest.raises(ValueError, match="invalid literal"):
            breaker.call(int, "x")
    with pytest.raises(KeyError):
        breaker.call({}.__getitem__, "x")
    assert breaker.fail_counter == 0


async def test_a_refused_request_neither_counts_nor_makes_good(instance_id):
    async def refuse():
        raise status_error(404)

    async with circuits() as found:
        breaker = found.breaker(instance_id, PROFILE)
        await fail_times(breaker, 2)
        for _ in range(5):
            await call(breaker, refuse)
        assert (await row_of(breaker)).failure_count == 2


async def test_a_probe_that_is_refused_was_answered_and_closes_it(instance_id):
    async def refuse():
        raise status_error(422)

    async with circuits() as found:
        breaker = await open_and_due(found, instance_id)
        await call(breaker, refuse)
        assert (await row_of(breaker)).state == "CLOSED"


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 409, 410, 422, 451, 499])
def test_refusals_say_nothing_of_the_instance(status):
    assert tells_nothing(status_error(status))


@pytest.mark.parametrize(
    "error",
    [
        *[status_error(status) for status in (200, 408, 429, 500, 501, 504, 599)],
        *[status_error(status, ServiceUnavailableError) for status in (502, 503)],
        ServiceResponseError("It broke off."),
        ServiceTimeoutError("No answer."),
        ServiceConnectionError("It broke."),
        ServiceNotReachedError("Nobody listens."),
    ],
)
def test_failures_of_the_instance_count(error):
    assert not tells_nothing(error)


def test_our_own_faults_say_nothing_of_the_instance():
    assert tells_nothing(ZeroDivisionError())


# --- Clocks ---


def test_plain_breaker_believes_a_wall_clock_that_jumps():
    breaker = pybreaker.CircuitBreaker(fail_max=1, reset_timeout=3600)
    breaker.open()
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=2)):
        assert breaker.call(int, "1") == 1


class FakeRedis(dict):
    """As much of Redis as one value needs."""

    def set(self, key, value):
        self[key] = str(value).encode()

    setnx = dict.setdefault


def test_plain_breaker_shares_whole_seconds_only():
    storage = pybreaker.CircuitRedisStorage("closed", FakeRedis(), cluster_mode=True)
    storage.opened_at = datetime(2026, 3, 4, 12, 0, 0, 999_999, tzinfo=UTC)
    assert storage.opened_at == datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)


async def test_a_wall_clock_that_jumps_changes_nothing(instance_id):
    async with circuits() as found:
        breaker = found.breaker(instance_id, PROFILE)
        with time_machine.travel(datetime.now(UTC) + timedelta(hours=2)):
            await fail_times(breaker, 3)
        row = await row_of(breaker)
        assert abs(row.opened_at - datetime.now(UTC)) < timedelta(minutes=1)
        assert row.retry_at - row.opened_at == timedelta(seconds=60)
        with time_machine.travel(datetime.now(UTC) + timedelta(hours=2)):
            assert isinstance(await call(breaker), CallRefused)


def test_plain_breaker_stays_open_equally_long_however_often_it_fails():
    breaker = pybreaker.CircuitBreaker(fail_max=1, reset_timeout=60)
    for opening in range(1, 4):
        breaker.open()
        with (
            time_machine.travel(datetime.now(UTC) + opening * MINUTE),
            pytest.raises(pybreaker.CircuitBreakerError, match="Trial call failed"),
        ):
            breaker.call(int, "x")


async def test_each_failed_probe_doubles_the_opening(instance_id):
    async with circuits() as found:
        breaker, spans = await open_and_due(found, instance_id), []
        for _ in range(4):
            await fail_times(breaker, 1)
            row = await row_of(breaker)
            spans.append((row.retry_at - row.opened_at).total_seconds())
            await let_time_pass(breaker, retry_at=timedelta(minutes=6))
            await read_again(found)
        assert spans == [120, 240, 300, 300]


# --- An open circuit ---


async def test_open_breaker_refuses_without_calling(instance_id):
    async with circuits() as found:
        breaker = found.breaker(instance_id, PROFILE)
        await fail_times(breaker, 3)
        refusal = await call(breaker, pytest.fail)
        assert isinstance(refusal, CallRefused)
        assert isinstance(refusal, pybreaker.CircuitBreakerError)
        assert str(refusal) == "3 failures in a row. The last: It answered 503."
        assert 55 < refusal.retry_after <= 66


async def test_waiting_callers_come_back_spread(instance_id):
    async with circuits() as found:
        breaker = found.breaker(instance_id, PROFILE)
        await fail_times(breaker, 3)
        waits = {(await call(breaker)).retry_after for _ in range(20)}
        assert max(waits) - min(waits) > 0.5


async def test_every_change_is_published_once(instance_id, changes):
    async with circuits() as here, circuits() as there:
        one = await open_and_due(here, instance_id)
        await fail_times(one, 1)
        await let_time_pass(one, retry_at=timedelta(minutes=6))
        other = there.breaker(instance_id, PROFILE)
        assert await call(other) == "fine"
    assert states_of(changes) == [
        ("CLOSED", "OPEN"),
        ("OPEN", "HALF_OPEN"),
        ("HALF_OPEN", "OPEN"),
        ("OPEN", "HALF_OPEN"),
        ("HALF_OPEN", "CLOSED"),
    ]


# --- What it costs ---


@pytest.fixture
def questions(monkeypatch):
    """What breakers ask of the database, by the names of the functions."""
    seen, run = [], DatabaseThreads.run

    def noted(self, function, *args):
        seen.append(getattr(function, "func", function).__name__)
        return run(self, function, *args)

    monkeypatch.setattr(DatabaseThreads, "run", noted)
    return seen


async def test_a_healthy_circuit_costs_no_query(instance_id, questions):
    async with circuits(Clock()) as found:
        breaker = found.breaker(instance_id, PROFILE)
        await call(breaker)
        assert questions == ["load"]
        for _ in range(1000):
            await call(breaker)
        assert questions == ["load"]


async def test_what_is_known_is_at_most_a_second_old_and_asked_for_once(instance_id, questions):
    clock = Clock()
    async with circuits(clock) as found:
        breakers = [found.breaker(instance_id, PROFILE) for _ in range(3)]
        await call(breakers[0])
        clock.seconds += FRESH_SECONDS
        await asyncio.gather(*(call(breaker) for breaker in breakers for _ in range(50)))
        assert questions == ["load", "changed_since"]


async def test_a_steady_stream_of_calls_does_not_wait_for_the_question(instance_id, questions):
    clock = Clock()
    async with circuits(clock) as found:
        breaker = found.breaker(instance_id, PROFILE)
        await call(breaker)
        clock.seconds += 0.8
        await call(breaker)
        assert questions == ["load"]
        await until_async(lambda: len(questions) > 1)
        assert questions == ["load", "changed_since"]


async def test_an_open_circuit_costs_no_query_either(instance_id, questions):
    async with circuits(Clock()) as found:
        breaker = found.breaker(instance_id, PROFILE)
        await fail_times(breaker, 3)
        questions.clear()
        for _ in range(100):
            assert isinstance(await call(breaker), CallRefused)
        assert questions == []


async def test_what_another_process_changed_is_seen_within_a_second(instance_id):
    clock = Clock()
    async with circuits(clock) as here, circuits() as there:
        one, other = here.breaker(instance_id, PROFILE), there.breaker(instance_id, PROFILE)
        assert await call(one) == "fine"
        await fail_times(other, 3)
        clock.seconds += FRESH_SECONDS
        assert isinstance(await call(one), CallRefused)


async def test_a_database_that_is_gone_does_not_stop_calls(instance_id, monkeypatch):
    def gone(*_, **__):
        raise connection.Database.OperationalError("the server closed the connection")

    for name in ("load", "changed_since", "record_outcomes"):
        monkeypatch.setattr(store, name, gone)
    async with circuits() as found:
        breaker = found.breaker(instance_id, PROFILE)
        assert await call(breaker) == "fine"
        await fail_times(breaker, 4)
        assert await call(breaker) == "fine"


async def test_an_instance_that_was_removed_does_not_stop_calls(instance_id):
    async with circuits() as found:
        breaker = found.breaker(instance_id, PROFILE)
        await call(breaker)
        await in_database(ServiceInstance.objects.all().delete)
        await fail_times(breaker, 4)
        unknown = found.breaker("01a1fc26-7575-709d-99bb-b55376a95c0a", PROFILE)
        assert await call(unknown) == "fine"


async def test_a_changed_profile_is_followed(instance_id):
    async with circuits() as found:
        breaker = found.breaker(instance_id, PROFILE)
        await fail_times(breaker, 1)
        strict = Profile(failure_threshold=2, recovery_seconds=60, timeout_seconds=10)
        assert found.breaker(instance_id, strict) is breaker
        await fail_times(breaker, 1)
        assert (await row_of(breaker)).state == "OPEN"


@pytest.mark.parametrize("change", ["open", "close", "half_open"])
def test_pybreaker_cannot_change_what_only_the_row_says(change):
    standard = pybreaker.CircuitBreaker(state_storage=RowStorage("planner"))
    with pytest.raises(TypeError, match=r"through registry\.calls\.circuits only"):
        getattr(standard, change)()
    assert standard.current_state == pybreaker.STATE_CLOSED


async def test_an_open_circuit_is_refused_and_shown_as_pybreaker_does(instance_id):
    async with circuits() as found:
        breaker = found.breaker(instance_id, PROFILE)
        assert breaker.state == pybreaker.STATE_CLOSED
        await fail_times(breaker, 3)
        assert breaker.state == pybreaker.STATE_OPEN
        assert isinstance(await call(breaker), pybreaker.CircuitBreakerError)
