"""Jobs that call: what their calls and their silence mean, and how they come."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from core.db.pipeline import pipelined_transaction
from core.timetables import read_timetable
from monitoring.admin.job_runs import draw_runs, words_of
from monitoring.checks import jobs
from monitoring.checks.decide import SubjectFacts
from monitoring.checks.looks import Look, Seen
from monitoring.checks.pushing import LARGEST_MESSAGE, MOST_A_MINUTE, read_message, receive_call
from monitoring.checks.reading import looks_of
from monitoring.checks.runs import RUN_DAYS, put_together
from monitoring.checks.store import claim_due, write
from monitoring.incidents import watch_fleet
from monitoring.models import CheckState, HealthCheck, HealthCheckResult, Incident
from tests import factories
from tests.support.people import in_groups

START = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)
HOURLY = jobs.JobPlan(grace=timedelta(minutes=10), period=timedelta(hours=1))
NIGHTLY = jobs.JobPlan(
    grace=timedelta(minutes=10), timetable=read_timetable("0 3 * * *", "Europe/Berlin")
)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


# What comes at which minute: a signal, or DUE as the sweep finds it. Then the state, since when it
# is down, and when it is due: minutes too.
CASES: dict[str, tuple[jobs.JobPlan, list[tuple[int, str]], tuple[str, int | None, float | None]]]
CASES = {
    "new": (HOURLY, [], ("UNKNOWN", None, None)),
    "a log says nothing": (HOURLY, [(0, "LOG")], ("UNKNOWN", None, None)),
    "called": (HOURLY, [(0, "SUCCESS")], ("UP", None, 70)),
    "called again": (HOURLY, [(0, "SUCCESS"), (69, "SUCCESS")], ("UP", None, 139)),
    "silent": (HOURLY, [(0, "SUCCESS"), (70, "DUE")], ("DOWN", 70, None)),
    "back": (HOURLY, [(0, "SUCCESS"), (70, "DUE"), (90, "SUCCESS")], ("UP", None, 160)),
    "failed": (HOURLY, [(0, "SUCCESS"), (5, "FAIL")], ("DOWN", 5, None)),
    "failed at first": (HOURLY, [(0, "FAIL")], ("DOWN", 0, None)),
    "failed again": (HOURLY, [(0, "FAIL"), (60, "FAIL")], ("DOWN", 0, None)),
    "began at first": (HOURLY, [(0, "START")], ("UNKNOWN", None, 10)),
    "never ended": (HOURLY, [(0, "START"), (10, "DUE")], ("DOWN", 10, None)),
    "began": (HOURLY, [(0, "SUCCESS"), (60, "START")], ("UP", None, 70)),
    "began late": (HOURLY, [(0, "SUCCESS"), (69, "START")], ("UP", None, 79)),
    "began again and again": (
        HOURLY, [(0, "SUCCESS"), (65, "START"), (74, "START")], ("UP", None, 80)),
    "ended": (HOURLY, [(0, "SUCCESS"), (60, "START"), (65, "SUCCESS")], ("UP", None, 135)),
    "began while down": (HOURLY, [(0, "FAIL"), (60, "START")], ("DOWN", 0, None)),
    # 3:00 UTC is 4:00 in Berlin: the next is in 23 hours.
    "by cron": (NIGHTLY, [(0, "SUCCESS")], ("UP", None, 23 * 60 + 10)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_calls_and_silence_mean(name: str) -> None:
    plan, events, expected = CASES[name]
    facts, started_at = SubjectFacts(state="UNKNOWN", since=START), None
    for minute, event in events:
        if event == "DUE":
            assert jobs.due_of(facts, started_at, plan) == at(minute)
            step = jobs.after_silence(facts, started_at, due=at(minute))
        else:
            step = jobs.after_signal(facts, started_at, event, at=at(minute))
        facts, started_at = step.facts, step.started_at
    state, down, due = expected
    assert facts.state == state
    assert facts.down_since == (None if down is None else at(down))
    assert jobs.due_of(facts, started_at, plan) == (None if due is None else at(due))


def test_what_is_paused_stays_so_whatever_calls() -> None:
    facts = SubjectFacts(state="PAUSED", since=START)
    for signal in ("START", "SUCCESS", "FAIL", "LOG"):
        assert jobs.after_signal(facts, None, signal, at=at(1)) == jobs.JobStep(facts, None, [])
    assert jobs.due_of(facts, None, HOURLY) is None


def test_of_a_message_no_secret_is_kept() -> None:
    said = (
        b'password=abc123\nAuthorization: Bearer abc123\n"api_key": "abc123"\n'
        b"postgres://me:abc123@db/x\ncurl https://hub/push/tok-en\x00 it took 3 s"
    )
    kept = read_message(said, "tok-en")
    assert "abc123" not in kept
    assert "tok-en" not in kept
    assert kept.endswith("it took 3 s")
    assert len(read_message(b"x" * 20_000, "t")) == LARGEST_MESSAGE


# --- As jobs and people use them ---


def made(api: Any, **fields: Any) -> dict[str, Any]:
    given = {"name": "backup", "kind": "PUSH", "interval_seconds": 3600, "grace_seconds": 600}
    answer = api.post("/monitoring/checks", {**given, **fields})
    assert answer.status_code == 201, answer.content
    return dict(answer.json())


def token_in(check: dict[str, Any]) -> str:
    return str(check["push_url"]).rpartition("/")[2]


def sweep(now: datetime) -> None:
    """What is due is claimed and written, and incidents are told."""
    with pipelined_transaction():
        looks = looks_of(claim_due(now=now, until=now), now=now)
        write([missed(each, now) for each in looks])
    watch_fleet(now=now)


def missed(each: Look, now: datetime) -> Seen:
    assert each.missed
    return Seen(each, now, "FAIL", "MISSED", each.missed)


@pytest.mark.django_db
def test_a_job_is_watched_from_its_first_call_to_its_return() -> None:
    token = token_in(made(factories.caller("OPERATOR")))
    job = Client(enforce_csrf_checks=True)
    for answer in (
        job.get(f"/push/{token}/start"),
        job.post(f"/push/{token}", "all is well", content_type="text/plain"),
        job.head(f"/push/{token}/0"),
    ):
        assert answer.status_code == 200
    state = CheckState.objects.get()
    assert (state.state, state.outcome) == ("UP", "OK")
    assert state.last_result_at is not None
    due = state.last_result_at + timedelta(seconds=4200)
    assert state.next_due_at == due
    sweep(due - timedelta(seconds=1))
    assert not Incident.objects.exists()

    sweep(due + timedelta(seconds=2))
    state.refresh_from_db()
    assert (state.state, state.down_since, state.error) == ("DOWN", due, "it did not call in time")
    incident = Incident.objects.get()
    assert (incident.subject, incident.status) == ("CHECK_FAILING", "OPEN")

    receive_call(token, "", b"", now=due + timedelta(hours=1))
    watch_fleet(now=due + timedelta(hours=1))
    state.refresh_from_db()
    incident.refresh_from_db()
    assert (state.state, incident.status) == ("UP", "RESOLVED")
    kept = list(HealthCheckResult.objects.order_by("checked_at").values_list("signal", "outcome"))
    assert kept == [
        ("START", "INCONCLUSIVE"), ("SUCCESS", "OK"), ("SUCCESS", "OK"), ("", "FAIL"),
        ("SUCCESS", "OK"),
    ]  # fmt: skip
    assert HealthCheckResult.objects.filter(latency_ms__isnull=False).count() == 1


@pytest.mark.django_db
def test_an_exit_code_is_a_failure_with_what_the_job_said() -> None:
    api = factories.caller("OPERATOR")
    token = token_in(made(api))
    Client().post(f"/push/{token}/3", "disk full\nmore", content_type="text/plain")
    [state] = api.get("/monitoring/checks/backup").json()["states"]
    assert (state["state"], state["error"]) == ("DOWN", "exit code 3: disk full")
    [result] = api.get("/monitoring/checks/backup/results").json()["items"]
    assert (result["signal"], result["message"]) == ("FAIL", "disk full\nmore")
    Client().get(f"/push/{token}/log")
    [state] = api.get("/monitoring/checks/backup").json()["states"]
    assert (state["state"], state["error"]) == ("DOWN", "exit code 3: disk full")


@pytest.mark.django_db
def test_a_call_wins_over_the_sweep_that_found_it_missing() -> None:
    token = token_in(made(factories.caller("OPERATOR")))
    receive_call(token, "", b"", now=START)
    due = at(70)
    looks = looks_of(claim_due(now=due, until=due), now=due)
    receive_call(token, "", b"", now=due)
    assert write([missed(each, due) for each in looks]) == []
    assert CheckState.objects.get().state == "UP"


@pytest.mark.django_db
def test_where_the_hub_was_away_a_job_has_another_grace() -> None:
    token = token_in(made(factories.caller("OPERATOR")))
    receive_call(token, "", b"", now=START)
    sweep(at(180))
    state = CheckState.objects.get()
    assert (state.state, state.next_due_at) == ("UP", at(190))
    sweep(at(190))
    assert CheckState.objects.get().state == "DOWN"


@pytest.mark.django_db
def test_the_address_is_shown_to_who_may_change_it_alone_and_can_be_rotated() -> None:
    api = factories.caller("OPERATOR")
    first = made(api)["push_url"]
    path = "/monitoring/checks/backup"
    assert api.get(path).json()["push_url"] == first
    assert factories.caller("VIEWER", name="viewer").get(path).json()["push_url"] is None
    assert "push_url" not in first
    kept = api.post(f"{path}/rotate-token", headers={"Idempotency-Key": "once"})
    assert kept.json()["push_url"] is None
    second = api.post(f"{path}/rotate-token").json()["push_url"]
    assert second not in (None, first)
    for url, status in ((first, 404), (second, 200), (f"{second}/never", 404)):
        assert Client().get(f"/push/{url.partition('/push/')[2]}").status_code == status
    assert Client().delete(f"/push/{second.rpartition('/')[2]}").status_code == 405
    api.post("/monitoring/checks", {"name": "web", "kind": "HTTP", "url": "http://127.0.0.1:9/"})
    assert api.post("/monitoring/checks/web/rotate-token").status_code == 409
    assert api.post(f"{path}/run").status_code == 409


@pytest.mark.django_db
def test_what_calls_all_the_time_is_refused() -> None:
    token = token_in(made(factories.caller("OPERATOR")))
    job = Client()
    statuses = {job.get(f"/push/{token}/log").status_code for _ in range(MOST_A_MINUTE * 2 + 1)}
    assert statuses == {200, 429}


@pytest.mark.django_db
def test_changes_count_from_the_last_call_and_a_pause_forgets_it() -> None:
    api = factories.caller("OPERATOR")
    token = token_in(made(api))
    receive_call(token, "", b"", now=START)
    path = "/monitoring/checks/backup"
    api.patch(path, {"interval_seconds": None, "cron": "0 5 * * *", "timezone": "UTC"})
    assert CheckState.objects.get().next_due_at == at(130)
    api.patch(path, {"grace_seconds": 1200})
    assert CheckState.objects.get().next_due_at == at(140)
    api.post(f"{path}/pause")
    receive_call(token, "fail", b"", now=at(5))
    assert CheckState.objects.get().state == "PAUSED"
    assert api.post(f"{path}/resume").json()["state"] == "UNKNOWN"
    assert CheckState.objects.get().next_due_at is None


@pytest.mark.django_db
def test_what_a_job_cannot_be_is_answered_by_field() -> None:
    factories.make_service("billing", urls=("http://127.0.0.1:9",))
    api = factories.caller("OPERATOR")
    for fields, wrong in (
        ({}, "interval_seconds"),
        ({"interval_seconds": 60, "cron": "* * * * *"}, "interval_seconds"),
        ({"cron": "61 * * * *"}, "cron"),
        ({"cron": "1 * * * *", "timezone": "Mars"}, "timezone"),
        ({"interval_seconds": 60, "url": "http://127.0.0.1:9/"}, "url"),
        ({"interval_seconds": 60, "service": "billing"}, "service"),
        ({"interval_seconds": 60, "grace_seconds": 0}, "grace_seconds"),
        ({"kind": "HTTP", "url": "http://127.0.0.1:9/", "cron": "1 * * * *"}, "cron"),
        ({"kind": "HTTP", "url": "http://127.0.0.1:9/", "interval_seconds": 90_000},
         "interval_seconds"),
    ):  # fmt: skip
        answer = api.post("/monitoring/checks", {"name": "x", "kind": "PUSH", **fields})
        assert answer.status_code == 400, answer.content
        assert wrong in answer.json()["errors"], answer.content


# --- In the admin ---


def call(minute: float, signal: str, outcome: str = "OK", **fields: Any) -> HealthCheckResult:
    return HealthCheckResult(checked_at=at(minute), signal=signal, outcome=outcome, **fields)


def test_runs_are_put_together_of_calls() -> None:
    calls = [
        call(0, "SUCCESS"),
        call(1, "START", "INCONCLUSIVE"),
        call(3, "FAIL", "FAIL", error="exit code 2", latency_ms=120_000),
        call(10, "", "FAIL", error_kind="MISSED", error="It did not call."),
        call(20, "START", "INCONCLUSIVE"),
        call(30, "START", "INCONCLUSIVE"),
        call(31, "", "FAIL", error_kind="MISSED"),
        call(35, "SUCCESS"),
        call(50, "START", "INCONCLUSIVE"),
    ]
    assert [(each.at, each.seconds, words_of(each)) for each in put_together(calls)] == [
        (at(0), None, "succeeded"),
        (at(1), 120, "failed after 2 min"),
        (at(10), None, "it did not call"),
        (at(20), None, "it began, and has not said its end"),
        (at(31), None, "it did not call"),
        (at(30), 300, "succeeded after 5 min"),
        (at(50), None, "it began, and has not said its end"),
    ]


def test_runs_are_on_the_day_on_which_they_began() -> None:
    runs = put_together([call(-60 * 28, "SUCCESS"), call(0, "START"), call(6, "FAIL", "FAIL")])
    today, yesterday, before, *rest = draw_runs(runs, now=at(60))
    assert [(each.words, len(each.bars)) for each in (today, yesterday, before)] == [
        ("1 run, 1 failed", 1), ("none", 0), ("1 run", 1),
    ]  # fmt: skip
    assert len(rest) == RUN_DAYS - 3
    (bar,) = today.bars
    assert (bar.left, bar.tone) == ("12.50", "bad")


@pytest.mark.django_db
def test_a_job_is_made_and_seen_in_the_admin(admin_client: Any, client: Client) -> None:
    add = "/admin/monitoring/healthcheck/add/"
    form = {
        "name": "backup", "kind": "PUSH", "cron": "30 3 * * *", "timezone": "Europe/Berlin",
        "grace_seconds": "900", "timeout_seconds": "5", "severity": "CRITICAL",
    }  # fmt: skip
    wrong = admin_client.post(add, {**form, "cron": "not a cron"})
    assert (wrong.status_code, "Calls at" in wrong.content.decode()) == (200, True)
    assert (
        "How often does the job call?"
        in admin_client.post(add, {**form, "cron": ""}).content.decode()
    )
    assert admin_client.post(add, form).status_code == 302
    check = HealthCheck.objects.get()
    page = f"/admin/monitoring/healthcheck/{check.pk}/change/"
    shown = admin_client.get(page).content.decode()
    (address,) = set(re.findall(r'id="push-url">[^<]*(/push/[\w-]+)<', shown))
    assert "Every day at 03:30" in shown or "03:30" in shown
    assert client.post(f"{address}/start").status_code == 200
    assert client.post(f"{address}/3", "disk full", content_type="text/plain").status_code == 200
    assert "exit code 3: disk full" in admin_client.get(page).content.decode()
    changed = {**form, "grace_seconds": "60", "name": "nightly"}
    assert admin_client.post(page, changed).status_code == 302
    check.refresh_from_db()
    assert (check.name, check.grace_seconds, check.cron) == ("nightly", 60, "30 3 * * *")
    assert "/push/" not in in_groups("viewer").get(page).content.decode()
