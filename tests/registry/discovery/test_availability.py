"""Nobody waits for a backend that does not answer."""

from __future__ import annotations

from typing import Any

import pytest

from registry.discovery.availability import RECENT_SECONDS, RETRY_SECONDS, Reach
from registry.exceptions import DiscoveryUnavailable


class Clock:
    """Time that stands until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def refuse() -> Any:
    raise OSError("refused")


def test_after_a_failure_one_caller_tries_in_a_while(clock: Clock) -> None:
    reach = Reach("redis", (OSError,), clock=clock)
    asked: list[float] = []

    def question() -> Any:
        asked.append(clock.now)
        return refuse()

    for moved in (0.0, 0.1, RETRY_SECONDS, 0.1):
        clock.now += moved
        with pytest.raises(DiscoveryUnavailable, match="redis does not answer: refused"):
            reach.ask(question)
    assert asked == [100.0, 100.1 + RETRY_SECONDS]


def test_an_answer_ends_it(clock: Clock) -> None:
    reach = Reach("redis", (OSError,), clock=clock)
    with pytest.raises(DiscoveryUnavailable):
        reach.ask(refuse)
    failure = reach.recent_failure()
    assert failure is not None
    assert failure.why == "refused"
    clock.now += RETRY_SECONDS
    assert reach.ask(lambda: 7) == 7
    assert reach.recent_failure() is None
    assert reach.ask(lambda: 8) == 8


def test_an_old_failure_says_nothing(clock: Clock) -> None:
    reach = Reach("redis", (OSError,), clock=clock)
    with pytest.raises(DiscoveryUnavailable):
        reach.ask(refuse)
    clock.now += RECENT_SECONDS + 0.1
    assert reach.recent_failure() is None


def test_other_errors_are_not_hidden(clock: Clock) -> None:
    reach = Reach("redis", (OSError,), clock=clock)
    with pytest.raises(ZeroDivisionError):
        reach.ask(lambda: 1 / 0)
    assert reach.recent_failure() is None
