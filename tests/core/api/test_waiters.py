"""Who waits is answered once what it waits for is there, or its time is over."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from core.api import waiters as module
from core.api.waiters import Waiters
from core.news import own_news
from tests.support.waiting import PATIENCE, until


class Shelf:
    """What is there; notes what it was asked for."""

    def __init__(self) -> None:
        self.there: set[str] = set()
        self.asked: list[set[str]] = []
        self.is_broken = False

    def look(self, keys: Collection[str]) -> set[str]:
        self.asked.append(set(keys))
        if self.is_broken:
            raise RuntimeError("no answer")
        return self.there & set(keys)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def waiting(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Iterator[Waiters[str]]:
    """Looks by itself only if a test shortens the time, and has no file to see changes of."""
    monkeypatch.setattr(module, "HEARING_SECONDS", 3600)
    monkeypatch.setattr(module, "LOOK_SECONDS", 3600)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(module, "own_file", lambda: None)
    waiting = Waiters("test", shelf.look)
    yield waiting
    waiting.stop()


def asked_for(shelf: Shelf, keys: set[str]) -> None:
    until(lambda: keys in shelf.asked, f"{keys} are looked for")


def test_look_finds_all_that_are_there_with_one_question(
    waiting: Waiters[str], shelf: Shelf
) -> None:
    futures = {key: waiting.wait(key, seconds=60) for key in "abc"}
    asked_for(shelf, {"a", "b", "c"})
    shelf.there = {"a", "c"}
    shelf.asked.clear()
    waiting.look_now()
    assert futures["a"].result(PATIENCE)
    assert futures["c"].result(PATIENCE)
    assert shelf.asked == [{"a", "b", "c"}]
    assert not futures["b"].done()
    assert len(waiting) == 1


def test_what_came_before_is_found_at_once(waiting: Waiters[str], shelf: Shelf) -> None:
    shelf.there = {"a"}
    assert waiting.wait("a", seconds=60).result(PATIENCE)


def test_news_wake_all_who_wait_for_it_without_a_look(waiting: Waiters[str], shelf: Shelf) -> None:
    futures = [waiting.wait("a", seconds=60) for _ in range(100)]
    asked_for(shelf, {"a"})
    waiting.wake(["a", "x"])
    assert all(future.result(0) for future in futures)
    assert len(waiting) == 0


def test_who_comes_after_all_were_woken_before_a_look_is_seen_to(
    waiting: Waiters[str], shelf: Shelf
) -> None:
    for number in range(200):
        woken = waiting.wait("a", seconds=60)
        waiting.wake(["a"])
        assert woken.result(0)
        shelf.there = {str(number)}
        assert waiting.wait(str(number), seconds=60).result(PATIENCE)


def test_time_that_is_up_ends_the_wait(waiting: Waiters[str]) -> None:
    long = waiting.wait("a", seconds=60)
    assert waiting.wait("a", seconds=0.01).result(PATIENCE) is False
    assert waiting.wait("b", seconds=0).result(0) is False
    assert not long.done()
    assert len(waiting) == 1


@pytest.mark.parametrize("name", ["HEARING_SECONDS", "LOOK_SECONDS"])
def test_it_looks_by_itself_more_often_where_nothing_is_heard(
    waiting: Waiters[str], shelf: Shelf, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(own_news(), "_hears", name == "HEARING_SECONDS")
    monkeypatch.setattr(module, name, 0.01)
    future = waiting.wait("a", seconds=60)
    until(lambda: len(shelf.asked) > 2, "it looks")
    shelf.there = {"a"}
    assert future.result(PATIENCE)


def test_it_looks_when_the_file_has_changed(
    waiting: Waiters[str], shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = threading.Event()
    monkeypatch.setattr(module, "own_file", lambda: SimpleNamespace(are_new=changed.is_set))
    future = waiting.wait("a", seconds=60)
    asked_for(shelf, {"a"})
    shelf.there = {"a"}
    changed.set()
    assert future.result(PATIENCE)


def test_look_that_fails_is_repeated(waiting: Waiters[str], shelf: Shelf) -> None:
    shelf.is_broken = True
    future = waiting.wait("a", seconds=60)
    asked_for(shelf, {"a"})
    shelf.is_broken, shelf.there = False, {"a"}
    assert future.result(PATIENCE)


def test_stop_answers_all_who_wait_and_nobody_waits_from_then_on(waiting: Waiters[str]) -> None:
    futures = [waiting.wait(key, seconds=60) for key in "ab"]
    waiting.stop()
    assert [future.result(0) for future in [*futures, waiting.wait("c", seconds=60)]] == [False] * 3


@pytest.mark.parametrize("how", ["wake", "stop"])
def test_who_gave_up_is_left_alone(waiting: Waiters[str], how: str) -> None:
    future = waiting.wait("a", seconds=60)
    assert future.cancel()
    acts: dict[str, Callable[[], Any]] = {"wake": lambda: waiting.wake(["a"]), "stop": waiting.stop}
    acts[how]()
    assert future.cancelled()
    assert len(waiting) == 0
