"""Callers that wait leave threads to the others."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from core.api.wait_slots import (
    WITHOUT_SLOT_SECONDS,
    WaitSlots,
    limited_wait,
    wait_slots,
    watch_slots,
)
from tests import factories


def test_seats_are_given_back_and_no_more_than_there_are() -> None:
    seats = WaitSlots(lambda: 2)
    with seats.taken() as first, seats.taken() as second:
        with seats.taken() as third:
            assert (first, second, third) == (True, True, False)
        with seats.taken() as fourth:
            assert not fourth
    with seats.taken() as fifth:
        assert fifth


def test_seats_hold_against_many_threads() -> None:
    seats = WaitSlots(lambda: 3)
    ready, leave = threading.Barrier(9), threading.Event()
    got: list[bool] = []

    def sit() -> None:
        with seats.taken() as seated:
            got.append(seated)
            ready.wait(20)
            leave.wait(20)

    threads = [threading.Thread(target=sit) for _ in range(8)]
    for thread in threads:
        thread.start()
    ready.wait(20)
    leave.set()
    for thread in threads:
        thread.join(20)
    assert sorted(got) == [False] * 5 + [True] * 3


def test_who_finds_no_seat_waits_a_little_for_an_execution(settings: Any) -> None:
    settings.WAIT_SEATS = 1
    with limited_wait(30) as seated, limited_wait(30) as standing, limited_wait(0.5) as short:
        assert (seated, standing, short) == (30, WITHOUT_SLOT_SECONDS, 0.5)
    with wait_slots.taken() as free:
        assert free


@pytest.mark.django_db
def test_a_watch_without_a_seat_is_answered_at_once(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WATCH_SEATS = 1
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("it waited"))
    api = factories.caller("VIEWER")
    with watch_slots.taken():
        answer = api.get("/discovery/watch?index=0&wait=60")
    assert (answer.status_code, answer["Retry-After"]) == (200, "5")
    assert answer.json()["changed"] is False
