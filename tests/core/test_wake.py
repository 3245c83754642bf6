"""What is called for is done in a thread of its own, and once for many calls."""

from __future__ import annotations

import threading

from core.wake import Wake
from tests.support.waiting import until


def test_many_calls_while_it_is_done_are_one_more_time_of_it() -> None:
    done: list[str] = []
    go_on = threading.Event()

    def work() -> None:
        done.append(threading.current_thread().name)
        go_on.wait(60)

    wake = Wake(work, least_seconds=0)
    wake.call()
    until(lambda: len(done) == 1)
    for _ in range(5):
        wake.call()
    assert done == ["wake"]
    go_on.set()
    until(lambda: len(done) == 2)
    wake.stop()
    assert len(done) == 2


def test_work_that_fails_is_done_again_when_called() -> None:
    done: list[int] = []

    def work() -> None:
        done.append(1)
        raise ValueError("no database")

    wake = Wake(work, least_seconds=0)
    for number in (1, 2):
        wake.call()
        until(lambda: len(done) == number)  # noqa: B023
    wake.stop()


def test_one_that_was_stopped_does_nothing() -> None:
    done: list[int] = []
    wake = Wake(lambda: done.append(1))
    wake.stop()
    wake.call()
    assert done == []
