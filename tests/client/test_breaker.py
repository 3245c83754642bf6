import asyncio

import httpx2
import pytest

from service_integration_client import (
    CircuitBreaker,
    CircuitOpenError,
    MaxRetriesExceededError,
    RequestTimeoutError,
    ResourceNotFoundError,
    ServiceUnavailableError,
)
from tests.client.fake_hub import FakeHub, answer, problem


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def make(clock, **options):
    return CircuitBreaker(2, 30, clock=clock, **options)


def fail(breaker, error=OSError):
    with pytest.raises(error), breaker.guard():
        raise error("it broke")


def half_open():
    """Return a breaker that opened, and lets one call try by now."""
    clock = Clock()
    breaker = make(clock)
    fail(breaker)
    fail(breaker)
    clock.now = 30
    return breaker


def test_opens_after_failures_in_a_row_and_says_why():
    clock = Clock()
    breaker = make(clock, name="planner")
    fail(breaker)
    with breaker.guard():
        pass
    fail(breaker)
    assert breaker.state == "CLOSED"
    fail(breaker)
    assert repr(breaker) == "CircuitBreaker('planner', OPEN)"
    clock.now = 10
    with pytest.raises(CircuitOpenError, match=r"20\.0 s more.*2 failures.*it broke") as caught:
        breaker.guard().__enter__()
    assert (caught.value.retry_after, caught.value.service_name) == (20, "planner")


def test_one_call_tries_and_closes_it():
    breaker = half_open()
    assert breaker.state == "HALF_OPEN"
    with breaker.guard(), pytest.raises(CircuitOpenError), breaker.guard():
        pass
    assert breaker.state == "CLOSED"


def test_trying_call_that_fails_opens_it_again():
    breaker = half_open()
    fail(breaker)
    assert breaker.state == "OPEN"
    breaker.reset()
    assert breaker.state == "CLOSED"


def test_cancelled_try_leaves_the_next_one_free():
    breaker = half_open()
    fail(breaker, asyncio.CancelledError)
    assert breaker.state == "HALF_OPEN"
    with breaker.guard():
        pass
    assert breaker.state == "CLOSED"


def test_call_that_ends_after_it_opened_says_nothing():
    breaker = make(Clock())
    late = breaker.guard()
    late.__enter__()
    fail(breaker)
    fail(breaker)
    late.__exit__(None, None, None)
    assert breaker.state == "OPEN"


def test_late_answers_are_failures():
    clock = Clock()
    breaker = make(clock, timeout=5)
    for _ in range(2):
        with breaker.guard(extra_seconds=1):
            clock.now += 6.5
    assert breaker.state == "OPEN"


@pytest.mark.parametrize("limits", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_limits_must_be_positive(limits):
    with pytest.raises(ValueError, match="greater than 0"):
        CircuitBreaker(*limits)


def opened_client(*answers):
    """Return a hub that is down, and a client whose breaker has opened."""
    hub = FakeHub(*answers)
    client = hub.client()
    with pytest.raises(MaxRetriesExceededError):
        client.create_workflow("w")
    with pytest.raises(CircuitOpenError):
        client.get_workflows()
    return hub, client


def test_open_breaker_refuses_without_a_connection():
    hub, client = opened_client(httpx2.ConnectError("refused"))
    made = len(hub.requests)
    with pytest.raises(ServiceUnavailableError, match="refused for"):
        client.get_workflows()
    assert (made, len(hub.requests)) == (5, 5)


def test_hub_that_is_back_closes_the_breaker():
    hub, client = opened_client(*[httpx2.ConnectError("refused")] * 5, answer(200, {"items": []}))
    hub.slept.append(client.circuit_breaker.recovery_timeout)
    assert client.get_workflows() == {"items": []}
    assert client.circuit_breaker.state == "CLOSED"


@pytest.mark.parametrize(
    ("response", "error", "state"),
    [
        (problem(503, "circuit_open", "No.", service="s"), MaxRetriesExceededError, "CLOSED"),
        (problem(404, "not_found", "No."), ResourceNotFoundError, "CLOSED"),
        (problem(504, "service_timeout", "Late."), RequestTimeoutError, "CLOSED"),
        (httpx2.ReadTimeout("late"), RequestTimeoutError, "OPEN"),
    ],
)
def test_only_the_hub_itself_being_down_counts(response, error, state):
    hub = FakeHub(response)
    client = hub.client()
    for _ in range(5):
        with pytest.raises(error):
            client.get_service("s")
    assert client.circuit_breaker.state == state


def test_breaker_of_the_guide_bounds_the_wait_for_an_answer():
    breaker = CircuitBreaker(failure_threshold=5, recovery_timeout=30, timeout=5)
    hub = FakeHub()
    client = hub.client(circuit_breaker=breaker)
    client.get_service("s")
    client.wait_for_execution("e", seconds=20)
    waits = [request.extensions["timeout"]["read"] for request in hub.requests]
    assert waits == [5, 30]
