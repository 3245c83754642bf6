"""How many requests a minute a key may send: the decision, the counts, and what callers see."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
import redis
from django.conf import settings as hub_settings
from hypothesis import given
from hypothesis import strategies as st

from core.request_rates import counter as counter_module
from core.request_rates.counter import RedisCounts, RequestCounter
from core.request_rates.sliding_window import WINDOW_SECONDS, decide
from tests import factories
from tests.support.waiting import PATIENCE

LIST = "/registry/services"
MINUTE = 1_000_000
START = float(MINUTE * WINDOW_SECONDS)


# The decision


@pytest.mark.parametrize(
    ("previous", "current", "elapsed", "allowed", "remaining", "reset"),
    [
        (0, 0, 0, True, 9, 60),
        (0, 9, 30, True, 0, 30),
        (0, 10, 30, False, 0, 31),  # at 60 s, a bit of the ten has left the window
        (10, 0, 0, False, 0, 1),
        (10, 0, 30, True, 4, 30),
        (10, 5, 30, False, 0, 1),
        (20, 0, 15, False, 0, 16),
        (10, 9, 59.5, True, 0, 1),
        (0, 20, 59, False, 0, 32),  # more than the limit, as others let through: half must leave
        (10_000, 0, 59, False, 0, 1),
    ],
)
def test_window_slides(
    previous: int, current: int, elapsed: float, allowed: bool, remaining: int, reset: int
) -> None:
    decision = decide(10, previous=previous, current=current, elapsed=elapsed)
    assert (decision.allowed, decision.remaining, decision.reset_seconds) == (
        allowed, remaining, reset,
    )  # fmt: skip


@given(
    st.integers(1, 1000), st.integers(0, 2000), st.integers(0, 2000),
    st.floats(0, 59.99, allow_nan=False),
)  # fmt: skip
def test_refusal_says_a_time_at_which_a_request_is_taken(
    limit: int, previous: int, current: int, elapsed: float
) -> None:
    decision = decide(limit, previous=previous, current=current, elapsed=elapsed)
    if decision.allowed:
        assert 0 <= decision.remaining < limit
        return
    after = elapsed + decision.reset_seconds
    if after >= 2 * WINDOW_SECONDS:
        later = decide(limit, previous=0, current=0, elapsed=0)
    elif after >= WINDOW_SECONDS:
        later = decide(limit, previous=current, current=0, elapsed=after - WINDOW_SECONDS)
    else:
        later = decide(limit, previous=previous, current=current, elapsed=after)
    assert later.allowed


def test_headers_are_those_of_the_draft() -> None:
    allowed = decide(10, previous=0, current=0, elapsed=15)
    assert allowed.headers() == {
        "RateLimit-Limit": "10",
        "RateLimit-Policy": "10;w=60",
        "RateLimit-Remaining": "9",
        "RateLimit-Reset": "45",
    }
    refused = decide(10, previous=0, current=10, elapsed=15)
    assert refused.headers()["Retry-After"] == refused.headers()["RateLimit-Reset"] == "46"


# The counts of one process


def admitted(counter: RequestCounter, times: Iterable[float], *, limit: int = 10) -> int:
    return sum(counter.admit("key", limit, at).allowed for at in times)


@given(st.integers(1, 50), st.lists(st.floats(0, 600, allow_nan=False), max_size=200))
def test_no_sixty_seconds_have_more_than_twice_the_limit(limit: int, offsets: list[float]) -> None:
    counter = RequestCounter()
    times = sorted(START + offset for offset in offsets)
    passed = [at for at in times if counter.admit("key", limit, at).allowed]
    for at in passed:
        assert sum(at <= other < at + WINDOW_SECONDS for other in passed) <= 2 * limit


def test_steady_caller_gets_its_rate() -> None:
    """Ten a minute, asked for twenty times a minute over ten minutes."""
    times = [START + 3 * number for number in range(200)]
    assert 95 <= admitted(RequestCounter(), times) <= 110


def test_keys_have_limits_of_their_own() -> None:
    counter = RequestCounter()
    assert admitted(counter, [START] * 30) == 10
    assert counter.admit("other", 10, START).allowed
    assert not counter.admit("key", 10, START).allowed
    assert counter.admit("key", 20, START).allowed  # raised meanwhile


def test_idle_keys_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counter_module, "MOST_KEYS", 100)
    counter = RequestCounter()
    for number in range(1000):
        counter.admit(f"key-{number}", 10, START + number * WINDOW_SECONDS)
    assert len(counter._windows) <= 100


# Several processes


class OneServer:
    """What Redis keeps, for several counters; away while `is_away`."""

    def __init__(self) -> None:
        self.numbers: dict[Any, int] = {}
        self.is_away = False

    def add(self, counted: Mapping[Any, int], asked: Iterable[Any]) -> dict[Any, int]:
        if self.is_away:
            raise redis.ConnectionError("away")
        for slot, number in counted.items():
            self.numbers[slot] = self.numbers.get(slot, 0) + number
        return {slot: self.numbers.get(slot, 0) for slot in asked}


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let counters share when the test says so, and not by their threads."""
    monkeypatch.setattr(RequestCounter, "_share_on", lambda self: None)


@pytest.mark.usefixtures("by_hand")
def test_processes_share_a_limit() -> None:
    server = OneServer()
    first, second = RequestCounter(server), RequestCounter(server)
    assert admitted(first, [START] * 6) == 6
    assert admitted(second, [START] * 2) == 2
    first.share()
    second.share()
    assert (
        admitted(second, [START] * 10) == 1
    )  # the first one is taken to go on three times as fast
    second.share()
    assert admitted(second, [START] * 10) == 1
    second.share()
    assert admitted(first, [START] * 1) == 1  # it does not know yet
    first.share()
    assert admitted(first, [START] * 5) == 0
    second.share()
    # The minute after, both know what is left of it.
    assert admitted(first, [START + 90]) == admitted(second, [START + 90]) == 1


@pytest.mark.usefixtures("by_hand")
def test_burst_through_several_processes_stays_near_the_limit() -> None:
    """Each lets through as many between two exchanges, and takes the others to do so too."""
    server = OneServer()
    counters = [RequestCounter(server) for _ in range(4)]
    passed = 0
    for _ in range(10):
        passed += sum(admitted(each, [START] * 90, limit=1000) for each in counters)
        for each in counters:
            each.share()
    assert 1000 <= passed < 1200  # 1,270 if each counted on what it knows alone
    assert server.numbers == {("key", MINUTE): passed}


@pytest.mark.usefixtures("by_hand")
def test_counts_of_an_outage_are_added_after_it() -> None:
    server = OneServer()
    first, second = RequestCounter(server), RequestCounter(server)
    server.is_away = True
    assert admitted(first, [START] * 20) == 10
    with pytest.raises(redis.ConnectionError):
        first.share()
    server.is_away = False
    first.share()
    assert server.numbers == {("key", MINUTE): 10}
    assert admitted(second, [START]) == 1
    second.share()
    assert admitted(second, [START]) == 0


@pytest.mark.usefixtures("by_hand")
def test_what_is_counted_while_redis_is_asked_is_not_lost() -> None:
    server = OneServer()
    counter = RequestCounter(server)
    ask = server.add

    def add(counted: Mapping[Any, int], asked: Iterable[Any]) -> dict[Any, int]:
        totals = ask(counted, asked)
        counter.admit("key", 10, START)
        return totals

    server.add = add  # type: ignore[method-assign]
    assert admitted(counter, [START] * 4) == 4
    counter.share()
    server.add = ask  # type: ignore[method-assign]
    assert counter.admit("key", 10, START).remaining == 4
    counter.share()
    assert server.numbers == {("key", MINUTE): 6}


@pytest.mark.needs_backend
@pytest.mark.usefixtures("by_hand")
@pytest.mark.skipif(not hub_settings.REDIS_URL, reason="needs Redis")
def test_counts_are_shared_through_redis() -> None:
    first, second = (RequestCounter(RedisCounts(hub_settings.REDIS_URL)) for _ in range(2))
    assert admitted(first, [START] * 6) == 6
    assert admitted(second, [START]) == 1
    first.share()
    second.share()
    passed = 0
    for _ in range(4):
        passed += admitted(second, [START] * 10)
        second.share()
    assert passed == 3
    assert admitted(first, [START]) == 1  # it does not know yet
    first.share()
    assert admitted(first, [START]) == 0
    server = redis.Redis.from_url(hub_settings.REDIS_URL)
    (name,) = server.scan_iter("*:requests:*")
    assert 0 < server.ttl(name) <= 3 * WINDOW_SECONDS


def test_thread_shares_by_itself_and_ends() -> None:
    told = threading.Event()

    class Server(OneServer):
        def add(self, counted: Mapping[Any, int], asked: Iterable[Any]) -> dict[Any, int]:
            try:
                return super().add(counted, asked)
            finally:
                told.set()

    counter = RequestCounter(Server())
    counter.admit("key", 10, START)
    assert told.wait(PATIENCE)
    counter.close()
    assert counter._thread is not None
    assert not counter._thread.is_alive()


# Over HTTP


@pytest.fixture(autouse=True)
def new_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    made = RequestCounter()
    monkeypatch.setattr(counter_module, "request_counter", lambda: made)
    monkeypatch.setattr(counter_module, "time", lambda: START)


@pytest.mark.django_db
def test_caller_beyond_its_limit_is_told_when_to_come_back() -> None:
    client = factories.caller("VIEWER", requests_per_minute=2)
    left = [client.get(LIST).headers["RateLimit-Remaining"] for _ in range(2)]
    refused = client.get(LIST)
    assert left == ["1", "0"]
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert refused.json()["detail"] == (
        "This key may send 2 requests a minute. Try again in 61 seconds."
    )
    assert refused.headers["Retry-After"] == "61"
    assert refused.headers["Content-Type"] == "application/problem+json"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("own", "general", "limit"), [(None, 0, None), (None, 5, "5"), (0, 5, None), (7, 5, "7")]
)
def test_limit_is_the_keys_or_else_the_settings(
    settings: Any, own: int | None, general: int, limit: str | None
) -> None:
    settings.API_RATE_LIMIT = general
    answer = factories.caller("VIEWER", requests_per_minute=own).get(LIST)
    assert answer.headers.get("RateLimit-Limit") == limit


@pytest.mark.django_db
def test_requests_that_are_refused_otherwise_count_too() -> None:
    client = factories.caller("VIEWER", requests_per_minute=1)
    assert client.post("/workflows", {}).status_code == 403
    assert client.get(LIST).status_code == 429


@pytest.mark.django_db
def test_request_that_was_decided_about_is_not_counted_again() -> None:
    client = factories.caller("VIEWER", requests_per_minute=1)
    decision = decide(1, previous=0, current=0, elapsed=0)
    for _ in range(3):
        answer = client.get(LIST, **{counter_module.RATE_DECISION: decision})  # type: ignore[arg-type]
        assert (answer.status_code, answer.headers["RateLimit-Remaining"]) == (200, "0")


@pytest.mark.django_db
@pytest.mark.parametrize("wrong", [-1, 1_000_001, "x", 1.5])
def test_limit_of_a_key_is_checked(wrong: Any) -> None:
    client = factories.caller(scopes=["keys:write", "registry:read"])
    body = {"name": "a", "scopes": ["registry:read"]}
    refused = client.post("/keys", {**body, "requests_per_minute": wrong})
    assert list(refused.json()["errors"]) == ["requests_per_minute"]
    made = client.post("/keys", {**body, "requests_per_minute": 600})
    assert made.json()["requests_per_minute"] == 600
    changed = client.patch("/keys/a", {"requests_per_minute": None})
    assert changed.json()["requests_per_minute"] is None
