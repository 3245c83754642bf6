"""What one caller has under way and waiting leaves room for the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from core.api import stopping
from core.api.exchange import WebRequest
from core.api.suspension import ENVIRON_KEY, Suspended, Suspension
from integration_site.front import application, receiving
from integration_site.front.application import caller_of
from integration_site.front.quotas import Bounds, Quota, Refused
from integration_site.front.worker import FrontServer
from tests.integration_site.front.running import (
    RunningFront,
    head,
    read_to_end,
    running_front,
    status_of,
)
from tests.integration_site.front.test_protocol import assert_problem
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.once


class Views:
    """`/held` holds its thread until it is let go, `/aside` waits for a future without one."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.futures: list[Future[None]] = []
        self.runs: list[str] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        path = environ["PATH_INFO"]
        self.runs.append(path)
        if path == "/held":
            assert self.may_end.wait(PATIENCE)
        elif path == "/aside":
            self._wait(environ[ENVIRON_KEY])
        elif path == "/broken":
            raise ValueError("broken")
        start_response("200 OK", [])
        return [path.encode()]

    def _wait(self, suspension: Suspension) -> None:
        if not suspension.results:
            future: Future[None] = Future()
            suspension.results["waited"] = suspension.awaited = future
            self.futures.append(future)
            raise Suspended

    def finish(self) -> None:
        for future in self.futures:
            if not future.done():
                future.set_result(None)


@pytest.fixture
def views() -> Iterator[Views]:
    views = Views()
    yield views
    views.may_end.set()


@pytest.fixture
def front(views: Views, settings: Any) -> Iterator[RunningFront]:
    settings.REQUESTS_PER_ADDRESS = 3
    settings.WAITS_PER_ADDRESS = 2
    with running_front(views, threads=4) as running:
        yield running
        views.may_end.set()
        views.finish()


def test_requests_under_way_are_bounded_and_leave_heartbeats_and_health_alone(
    front: RunningFront, views: Views
) -> None:
    peers = [front.connect(head("/held", "Connection: close")) for _ in range(3)]
    until(lambda: views.runs.count("/held") == 3)
    answer = front.get("/other")
    assert_problem(answer, 429, "3 requests under way, as many as REQUESTS_PER_ADDRESS allows")
    assert b"\r\nretry-after: 1\r\n" in answer
    for path, method in (("/api/services/a/heartbeat", "POST"), ("/health/ready", "GET")):
        assert status_of(front.get(path, method=method)) == 200
    views.may_end.set()
    assert [status_of(read_to_end(peer)) for peer in peers] == [200] * 3
    assert status_of(front.get("/other")) == 200


def test_waiting_requests_are_bounded_apart(front: RunningFront, views: Views) -> None:
    peers = [front.connect(head("/aside", f"A: {n}", "Connection: close")) for n in range(2)]
    until(lambda: len(views.futures) == 2)
    assert_problem(front.get("/aside"), 429, "2 waiting requests, as many as WAITS_PER_ADDRESS")
    assert views.futures[2].cancelled()
    assert status_of(front.get("/other")) == 200
    views.finish()
    assert [status_of(read_to_end(peer)) for peer in peers] == [200, 200]


def test_write_that_may_not_wait_is_not_refused_after_the_fact(
    front: RunningFront, views: Views
) -> None:
    """It stays counted as under way: what it did is done."""
    sent = head("/aside", "Connection: close", method="POST")
    peers = [front.connect(sent) for _ in range(5)]
    until(lambda: len(views.futures) == 5)
    assert_problem(front.get("/other"), 429, "3 requests under way")
    views.finish()
    assert [status_of(read_to_end(peer)) for peer in peers] == [200] * 5


def test_caller_that_leaves_is_counted_no_more(front: RunningFront, views: Views) -> None:
    peers = [front.connect(head("/aside", f"A: {n}")) for n in range(2)]
    until(lambda: len(views.futures) == 2)
    for peer in peers:
        peer.close()
    until(lambda: all(future.cancelled() for future in views.futures))
    with front.connect(head("/aside", "Connection: close")) as stays:
        until(lambda: len(views.futures) == 3)
        views.finish()
        assert status_of(read_to_end(stays)) == 200


def test_write_of_a_caller_that_left_is_ended(front: RunningFront, views: Views) -> None:
    front.connect(head("/aside", method="POST")).close()
    until(lambda: views.futures)
    views.finish()
    until(lambda: views.runs.count("/aside") == 2)


def test_waiting_requests_are_answered_when_the_process_stops(
    views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "_subscribers", [views.finish])
    monkeypatch.setattr(receiving, "STOPPING_SECONDS", 0.1)
    with running_front(views, server_class=FrontServer) as front:
        peer = front.connect(head("/aside"))
        held = front.connect(head("/held"))
        half = front.connect(head("/", "Content-Length: 9", method="POST"))
        until(lambda: views.futures and len(front.server.server_state.tasks) == 3)
    assert status_of(read_to_end(peer)) == 200
    assert_problem(read_to_end(half), 408)
    assert_problem(read_to_end(held), 503, "This process stops")


def test_bodies_of_requests_under_way_are_bounded(
    views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "RECEIVED", Bounds("bytes", 10, 10, 100))
    with running_front(views) as small:
        sent = head("/held", "Content-Length: 6", "Connection: close", method="POST") + b"123456"
        first = small.connect(sent)
        until(lambda: views.runs)
        assert_problem(small.exchange(sent), 429, "10 bytes")
        views.may_end.set()
        assert status_of(read_to_end(first)) == 200


def test_failure_is_a_problem_document(front: RunningFront) -> None:
    assert_problem(front.get("/broken"), 500, "it was logged")


def test_bounds_hold_for_a_key_an_address_and_all() -> None:
    quota = Quota(Bounds("things", 2, 3, 4, "PER_CALLER", "PER_ADDRESS"))

    def status_for(caller: str, address: str) -> int:
        try:
            quota.take(caller, address)
        except Refused as refusal:
            return refusal.status
        return 200

    asked = [("k1", "a"), ("k1", "a"), ("k1", "b"), ("k2", "a"), ("a", "a"), ("b", "b"), ("c", "c")]
    assert [status_for(*each) for each in asked] == [200, 200, 429, 200, 429, 200, 503]
    quota.give_back("k1", "a")
    assert status_for("k1", "b") == 200


@pytest.mark.parametrize(
    ("trusted", "callers"), [([], 1), (["127.0.0.0/8"], 2)], ids=["from anybody", "of our proxy"]
)
def test_callers_behind_a_proxy_are_counted_by_their_own_address(
    settings: Any, trusted: list[str], callers: int
) -> None:
    settings.TRUSTED_PROXIES = trusted
    found = set()
    for address in ("192.0.2.1", "192.0.2.2"):
        headers = [(b"x-forwarded-for", address.encode())]
        scope = {"path": "/x", "headers": headers, "client": ("127.0.0.1", 4711)}
        found.add(caller_of(WebRequest.of(scope)))
    assert len(found) == callers
