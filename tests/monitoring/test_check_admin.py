"""Checks in the admin: the list, the form by kind, trying, pausing; and the week that is kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core.db.uuid7 import uuid7_at
from monitoring.admin.check_form import CheckForm
from monitoring.checks import store
from monitoring.models import CheckState, HealthCheck, HealthCheckResult
from registry.calls.blocking_client import close_shared_client
from tests import factories
from tests.support.alerts import receiver
from tests.support.checks import make_check
from tests.support.people import in_groups

pytestmark = pytest.mark.django_db
LIST = "admin:monitoring_healthcheck_changelist"
ADD = "admin:monitoring_healthcheck_add"
TIMES = {"timeout_seconds": "5", "severity": "CRITICAL"}


@pytest.fixture
def operator() -> Client:
    return in_groups("operator")


def _names(answer: Any) -> list[str]:
    return [row.name for row in answer.context["cl"].result_list]


def test_list_has_what_is_down_first_and_finds_by_state_and_kind(operator: Client) -> None:
    for name, state in (("b", "UP"), ("c", "DOWN"), ("a", "SUSPECT")):
        make_check(name).states.update(state=state)
    make_check("off", enabled=False).states.update(state="DOWN")
    answer = operator.get(reverse(LIST))
    assert _names(answer) == ["c", "a", "b", "off"]
    page = answer.content.decode()
    for tone, word in (
        ("bad", "Down"),
        ("warning", "Suspect"),
        ("good", "Up"),
        ("neutral", "Paused"),
    ):
        assert f'data-tone="{tone}">{word}<' in page
    assert _names(operator.get(reverse(LIST), {"state": "DOWN"})) == ["c"]
    assert _names(operator.get(reverse(LIST), {"state": "PAUSED"})) == ["off"]
    assert _names(operator.get(reverse(LIST), {"kind__exact": "TCP"})) == []


def test_form_makes_and_changes_a_check_of_its_kind(operator: Client) -> None:
    given = {
        **TIMES, "name": "shop", "kind": "HTTP", "url": "http://127.0.0.1:9/health",
        "http__conditions__statuses": "200-299, 401", "http__conditions__max_latency_ms": "800",
        "http__conditions__json": "body.status == 'ok'\nbody.queue < `5`\n",
        "http__request__headers": '{"Accept": "application/json"}', "tags": "a, b",
    }  # fmt: skip
    answer = operator.post(reverse(ADD), given)
    assert answer.status_code == 302, answer.context["errors"]
    check = HealthCheck.objects.get()
    assert check.conditions == {
        "statuses": ["200-299", "401"],
        "json": ["body.status == 'ok'", "body.queue < `5`"],
        "max_latency_ms": 800,
    }
    assert check.request == {"headers": {"Accept": "application/json"}}
    assert check.tags == ["a", "b"]
    url = reverse("admin:monitoring_healthcheck_change", args=(check.pk,))
    page = operator.get(url).content.decode()
    assert "http__request__path" not in page
    assert "tcp__" not in page
    answer = operator.post(url, {**given, "http__conditions__json": "", "tags": ""})
    assert answer.status_code == 302, answer.context["errors"]
    check.refresh_from_db()
    assert check.conditions == {"statuses": ["200-299", "401"], "max_latency_ms": 800}


@pytest.mark.parametrize(
    ("given", "field", "sentence"),
    [
        ({"kind": "HTTP", "url": ""}, "url", "What is to be looked at?"),
        ({"kind": "TCP", "url": "http://a.example/"}, "url", "tcp://mail.example.org:25"),
        ({"http__conditions__statuses": "20x"}, "http__conditions__statuses", "no status"),
        ({"http__conditions__json": "body.("}, "http__conditions__json", ""),
        ({"http__request__headers": "{"}, "http__request__headers", "Not JSON"),
        ({"http__request__headers": '{"Cookie": "a"}'}, "http__request__headers", "secret"),
        ({"timeout_seconds": "60"}, "timeout_seconds", "Must be at most the interval"),
        ({"kind": "HEARTBEAT", "url": ""}, "service", "Whose heartbeats?"),
        (
            {"kind": "PUSH", "url": "", "interval_seconds": ""},
            "cron",
            "How often does the job call?",
        ),
        ({"kind": "PUSH", "url": "http://127.0.0.1:9/"}, "url", "A job calls the hub"),
        ({"kind": "NONE"}, "kind", "Use one of: HTTP"),
    ],
)
def test_form_says_at_which_field_what_is_wrong(
    given: dict[str, str], field: str, sentence: str
) -> None:
    good = {**TIMES, "name": "shop", "kind": "HTTP", "url": "http://127.0.0.1:9/"}
    errors = CheckForm({**good, **given}).errors
    assert list(errors) == [field]
    assert sentence in " ".join(errors[field])


def test_check_of_a_service_is_shown_at_each_instance(operator: Client) -> None:
    service = factories.make_service("shop", urls=("http://127.0.0.1:9", "http://127.0.0.1:19"))
    given = {**TIMES, "name": "of shop", "kind": "TCP", "service": str(service.pk)}
    assert operator.post(reverse(ADD), given).status_code == 302
    check = HealthCheck.objects.get()
    page = operator.get(reverse("admin:monitoring_healthcheck_change", args=(check.pk,)))
    assert "http://127.0.0.1:19" in page.content.decode()
    assert "shop, 2 instances" in operator.get(reverse(LIST)).content.decode()


def test_trying_shows_what_was_seen_and_stores_nothing(operator: Client) -> None:
    with receiver() as server:
        check = make_check(url=server.url, conditions={"keyword": "not there", "json": ["body.ok"]})
        answer = operator.post(reverse("admin:check_try", args=(check.pk,)))
    page = answer.content.decode()
    assert 'data-tone="bad">Failed<' in page
    assert "Does not contain &#x27;not there&#x27;" in page
    assert "body.ok" in page
    assert not HealthCheckResult.objects.exists()
    assert CheckState.objects.get().state == "UNKNOWN"
    close_shared_client()


def test_trying_what_a_job_calls_says_why_not(operator: Client) -> None:
    check = make_check(kind="PUSH", url="")
    answer = operator.post(reverse("admin:check_try", args=(check.pk,)), follow=True)
    assert answer.status_code == 200
    assert "A job calls this check" in answer.content.decode()


def test_who_only_looks_neither_changes_nor_tries() -> None:
    viewer, check = in_groups("viewer"), make_check(conditions={"keyword": "fine"})
    page = viewer.get(reverse("admin:monitoring_healthcheck_change", args=(check.pk,)))
    assert "fine" in page.content.decode()
    assert "Try it now" not in page.content.decode()
    assert viewer.post(reverse("admin:check_try", args=(check.pk,))).status_code == 403
    assert viewer.get(reverse(ADD)).status_code == 403


def test_check_that_the_hub_made_is_not_deleted_and_says_why(operator: Client) -> None:
    service = factories.make_service("shop")
    check = make_check(url="", service=service, is_automatic=True)
    url = reverse("admin:monitoring_healthcheck_delete", args=(check.pk,))
    answer = operator.post(url, {"post": "yes"}, follow=True)
    assert "switch it off instead" in answer.content.decode()
    assert HealthCheck.objects.exists()
    shown = operator.get(reverse("admin:monitoring_healthcheck_change", args=(check.pk,)))
    assert 'name="interval_seconds"' not in shown.content.decode()


def test_what_was_seen_is_kept_for_a_week_and_dropped_in_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check, now = make_check(), timezone.now()
    for days in (6, 8, 9, 10):
        at = now - timedelta(days=days)
        check.results.create(pk=uuid7_at(at), checked_at=at, outcome="OK")
    monkeypatch.setattr("core.db.retention.LARGEST_PURGE", 2)
    monkeypatch.setattr(store, "LARGEST_PURGE", 2)
    assert store.forget_results(now=now) == 3
    assert check.results.count() == 1
