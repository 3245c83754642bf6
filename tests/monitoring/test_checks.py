"""Checks as they are carried out: claimed, looked at over the network, written."""

from __future__ import annotations

import contextlib
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from core.db.pipeline import pipelined_transaction
from core.mediator import mediator
from monitoring.alerts.outbox import sender
from monitoring.checks import trials
from monitoring.checks.looks import Look, Seen, StateChange
from monitoring.checks.reading import looks_of
from monitoring.checks.store import claim_due, write
from monitoring.checks.subjects import keep_subjects
from monitoring.checks.sweep import Sweeper, tell_turns, told_blind
from monitoring.incidents import watch_fleet
from monitoring.models import CheckState, HealthCheck, HealthCheckResult, Incident
from monitoring.tasks import tell_of_turns
from registry.calls.blocking_client import close_shared_client
from tests import factories
from tests.support.alerts import make_channel, receiver
from tests.support.checks import look, make_check
from tests.support.waiting import until


@pytest.mark.django_db(transaction=True)
def test_what_is_due_is_asked_over_the_network_and_written() -> None:
    sweeper = Sweeper()
    with receiver() as server:
        make_check(url=server.url)

        def is_seen() -> bool:
            sweeper.sweep()
            return HealthCheckResult.objects.exists()

        until(is_seen)
    state = CheckState.objects.get()
    assert (state.state, state.outcome, state.error) == ("UP", "OK", "")
    assert state.next_due_at is not None
    assert state.next_due_at > timezone.now()
    close_shared_client()


@pytest.mark.django_db(transaction=True)
def test_what_turns_is_told_with_the_sweep_that_writes_it() -> None:
    sweeper = Sweeper()
    with receiver() as server, mediator.recording("checks_turned") as turns:
        make_channel(url=server.url)
        make_check(failure_threshold=1)

        def has_turned() -> bool:
            sweeper.sweep()
            return bool(turns)

        until(has_turned)
        tell_of_turns()
        until(lambda: server.messages)
    (_, _, message), *rest = server.messages
    assert not rest
    assert "Check failing: shop" in str(message)
    sender.wait()
    close_shared_client()


@pytest.mark.parametrize(
    ("was", "now", "is_news"),
    [
        ("UP", "DOWN", True),
        ("SUSPECT", "DOWN", True),
        ("RECOVERING", "UP", True),
        ("UP", "SUSPECT", False),
        ("UNKNOWN", "UP", False),
    ],
)
def test_what_is_news_is_what_is_down_or_was(was: str, now: str, is_news: bool) -> None:
    moment, key = timezone.now(), uuid4()
    change = StateChange(key, key, None, None, was, now, moment)
    with mediator.recording("checks_turned") as turns:
        tell_turns([change])
    assert bool(turns) is is_news


@pytest.mark.django_db
def test_a_claim_holds_until_its_lease_ends() -> None:
    make_check()
    now = timezone.now()
    assert len(claim_due(now=now, until=now)) == 1
    assert claim_due(now=now, until=now) == []
    later = now + timedelta(seconds=91)
    assert len(claim_due(now=later, until=later)) == 1


# --- Looks over the network ---


class Dripping(socketserver.BaseRequestHandler):
    """Answers at once, and then a byte of the body now and then."""

    def handle(self) -> None:
        self.request.recv(65536)
        self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                self.request.sendall(b"x")
                time.sleep(0.05)


class Greeting(socketserver.BaseRequestHandler):
    """Says what it is, as mail servers do."""

    def handle(self) -> None:
        self.request.sendall(b"220 mail\r\n")


@contextlib.contextmanager
def listening(handler: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def seen_of(**fields: Any) -> Any:
    [seen] = trials.begin_trial(HealthCheck(name="tried", **fields)).result(60)
    return seen


def test_a_body_that_drips_past_the_time_is_no_answer() -> None:
    with listening(Dripping) as port:
        seen = seen_of(kind="HTTP", url=f"http://127.0.0.1:{port}/", timeout_seconds=1)
    assert (seen.outcome, seen.error_kind) == ("FAIL", "TIMEOUT")
    assert seen.error == "no answer within 1 s"


def test_ports_and_names_are_looked_at() -> None:
    with listening(Greeting) as port:
        url = f"tcp://127.0.0.1:{port}"
        assert seen_of(kind="TCP", url=url, conditions={"keyword": "220"}).outcome == "OK"
        other = seen_of(kind="TCP", url=url, conditions={"keyword": "SSH"})
        assert (other.outcome, other.error_kind) == ("FAIL", "CONDITION")
    assert seen_of(kind="TCP", url=url).error_kind == "CONNECT"
    local = seen_of(kind="DNS", url="dns://localhost", conditions={"addresses": ["127.0.0.1"]})
    assert local.outcome == "OK"
    assert seen_of(kind="DNS", url="dns://nowhere.invalid").error_kind == "DNS"


def test_a_refused_address_is_no_fault_of_theirs() -> None:
    seen = seen_of(kind="HTTP", url="http://169.254.169.254/")
    assert (seen.outcome, seen.error_kind) == ("INCONCLUSIVE", "POLICY")


# --- What is told of them ---


def seeing(now: datetime, outcome: str) -> Callable[[Look], Seen]:
    return lambda each: Seen(each, now, outcome)


@pytest.mark.django_db
def test_down_is_one_incident_from_the_third_failure_to_the_second_answer() -> None:
    state = CheckState.objects.get(health_check=make_check())
    start = state.next_due_at
    assert start is not None
    opened = []
    for seconds, outcome in ((0, "FAIL"), (10, "FAIL"), (20, "FAIL"), (60, "OK"), (70, "OK")):
        now = start + timedelta(seconds=seconds)
        CheckState.objects.update(next_due_at=now)
        look(seeing(now, outcome), now=now)
        watch_fleet(now=now)
        opened.append(list(Incident.objects.values_list("status", flat=True)))
    assert opened == [[], [], ["OPEN"], ["OPEN"], ["RESOLVED"]]


@pytest.mark.django_db
def test_what_flaps_is_told_once() -> None:
    make_check(failure_threshold=1, success_threshold=1)
    now = timezone.now()
    for turn in range(30):
        now += timedelta(seconds=30)
        CheckState.objects.update(next_due_at=now)
        outcome = ("FAIL", "OK")[turn % 2]
        look(seeing(now, outcome), now=now)
        watch_fleet(now=now)
    told = sorted(Incident.objects.values_list("subject", "status"))
    assert told == [("CHECK_FAILING", "RESOLVED"), ("CHECK_FLAPPING", "OPEN")]


@pytest.mark.django_db
def test_of_a_certificate_is_told_once_a_step_and_its_renewal() -> None:
    make_check()
    now = timezone.now()
    seen: list[Any] = []
    for ends in (13, 12, 6, 90):
        CheckState.objects.update(certificate_expires_at=now + timedelta(days=ends))
        watch_fleet(now=now)
        seen += Incident.objects.values_list("severity", "status")
    assert seen == [
        ("WARNING", "OPEN"), ("WARNING", "OPEN"), ("CRITICAL", "OPEN"), ("CRITICAL", "RESOLVED"),
    ]  # fmt: skip


@pytest.mark.django_db
def test_most_hosts_at_once_are_the_hubs_own_network() -> None:
    for number in range(12):
        make_check(f"c{number:02}", url=f"http://h{number}/")

    def fails(each: Look) -> Seen:
        return Seen(each, timezone.now(), "FAIL", "CONNECT", "it refused the connection")

    now = timezone.now()
    looks = looks_of(claim_due(now=now, until=now), now=now)
    with pipelined_transaction():
        write(told_blind([fails(each) for each in looks]))
    assert set(CheckState.objects.values_list("state", "outcome")) == {("UNKNOWN", "INCONCLUSIVE")}
    watch_fleet(now=now)
    assert [each.subject for each in Incident.objects.all()] == ["CHECKS_BLIND"]


# --- As people use them ---


@pytest.mark.django_db
def test_checks_are_made_run_paused_and_resumed_over_the_api() -> None:
    api = factories.caller("OPERATOR")
    with receiver() as server:
        fields = {"name": "shop", "kind": "http", "url": f"{server.url}/up"}
        made = api.post("/monitoring/checks", fields)
        assert made.status_code == 201, made.content
        assert (made.json()["state"], made.json()["plan"]["interval_seconds"]) == ("UNKNOWN", 30)
        [seen] = api.post("/monitoring/checks/shop/run").json()["results"]
        assert (seen["outcome"], seen["status_code"]) == ("OK", 204)
    assert not HealthCheckResult.objects.exists()
    paused = api.post("/monitoring/checks/shop/pause")
    assert (paused.json()["state"], paused.json()["states"][0]["next_due_at"]) == ("PAUSED", None)
    assert api.post("/monitoring/checks/shop/pause").status_code == 409
    resumed = api.post("/monitoring/checks/shop/resume")
    assert resumed.json()["states"][0]["next_due_at"] is not None
    judged = api.post("/monitoring/preview", {"status": 503})
    assert judged.json() == {"outcome": "FAIL", "error_kind": "STATUS", "error": "answered 503."}


@pytest.mark.django_db
def test_what_a_check_cannot_be_is_answered_by_field() -> None:
    factories.make_service("billing", urls=("http://127.0.0.1:9",))
    api = factories.caller("OPERATOR")
    for fields, wrong in (
        ({"kind": "HTTP"}, "url"),
        ({"kind": "HTTP", "url": "http://a/", "service": "billing"}, "url"),
        ({"kind": "HTTP", "service": "biling"}, "service"),
        ({"kind": "HEARTBEAT"}, "service"),
        ({"kind": "HTTP", "url": "http://a/", "timeout_seconds": 60}, "timeout_seconds"),
    ):
        answer = api.post("/monitoring/checks", {"name": "x", **fields})
        assert answer.status_code == 400
        assert wrong in answer.json()["errors"], answer.content


@pytest.mark.django_db
def test_the_hubs_own_check_follows_its_service_and_stays() -> None:
    factories.make_service(
        "shop", urls=("http://127.0.0.1:9",), instance={"health_url": "http://127.0.0.1:9/up"}
    )
    keep_subjects(now=timezone.now())
    api = factories.caller("OPERATOR")
    path = "/monitoring/checks/shop health"
    assert api.delete(path).status_code == 409
    assert "interval_seconds" in api.patch(path, {"interval_seconds": 7}).json()["errors"]
    assert api.patch(path, {"enabled": False}).json()["state"] == "PAUSED"
