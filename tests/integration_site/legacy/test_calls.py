"""What is counted is stored, also where nobody calls any more."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError

from core.models import LegacyCall
from integration_site.legacy import calls
from integration_site.legacy.calls import CallCounter


class Timer:
    """A timer that runs out when the test says so."""

    def __init__(self, seconds: float, act: Any) -> None:
        self.act, self.daemon = act, False
        timers.append(self)

    def start(self) -> None:
        assert self.daemon


timers: list[Timer] = []


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch, db: None) -> CallCounter:
    timers.clear()
    monkeypatch.setattr("integration_site.legacy.calls.threading.Timer", Timer)
    monkeypatch.setattr(CallCounter, "_flush_apart", CallCounter.flush)
    return CallCounter()


def stored() -> dict[str, int]:
    return dict(LegacyCall.objects.values_list("route", "calls"))


def test_a_burst_is_stored_in_two_parts(counter: CallCounter) -> None:
    for route in ("a", "a", "b", "a"):
        counter.note(route, "key")
    assert stored() == {"a": 1}
    [timer] = timers
    timer.act()
    assert stored() == {"a": 3, "b": 1}
    counter.flush()
    assert stored() == {"a": 3, "b": 1}


def test_what_cannot_be_stored_is_kept(counter: CallCounter, monkeypatch: Any) -> None:
    def fail(*args: Any) -> None:
        raise DatabaseError("full")

    with monkeypatch.context() as patch:
        patch.setattr(calls, "_add", fail)
        counter.note("a", "key")
    assert stored() == {}
    counter.flush()
    assert stored() == {"a": 1}
