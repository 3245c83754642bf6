"""What Prometheus reads."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from integration_site.api import metrics
from monitoring.findings import Finding
from monitoring.incidents import open_incidents
from monitoring.models import Severity, Subject
from tests import factories
from tests.support.alerts import make_channel, make_delivery
from workflows.models import Worker

pytestmark = pytest.mark.django_db


def scrape(api: Any = None) -> dict[tuple[str, ...], float]:
    answer = (api or factories.caller("VIEWER")).get("/metrics")
    assert answer["Content-Type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(answer.content.decode())
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_an_empty_hub_tells_zeros() -> None:
    values = scrape()
    assert values["hub_services", "ONLINE"] == values["hub_steps_due_age_seconds",] == 0
    assert values["hub_executions_open", "RUNNING"] == values["hub_incidents_open", "CRITICAL"] == 0


def test_what_there_is() -> None:
    now = timezone.now()
    for name, status in (("billing", "ONLINE"), ("mail", "OFFLINE")):
        factories.make_service(name, urls=("http://127.0.0.1:9",), status=status)
    run = factories.make_execution(factories.make_workflow(), status="RUNNING")
    run.steps.update(status="PENDING", wake_at=now - timedelta(minutes=5))
    Worker.objects.create(name="here", seen_at=now, in_flight=0)
    Worker.objects.create(name="gone", seen_at=now - timedelta(hours=1), in_flight=0)
    open_incidents([Finding(Subject.SERVICE_DOWN, "x", Severity.CRITICAL, "mail", "1")], now=now)
    channel = make_channel()
    for state in ("PENDING", "DEAD"):
        make_delivery(channel, state=state)
    values = scrape()
    assert values["hub_service_up", "billing", "CUSTOM"] == 1
    assert values["hub_service_up", "mail", "CUSTOM"] == 0
    ones = (
        ("hub_services", "OFFLINE"), ("hub_executions_open", "RUNNING"), ("hub_workers",),
        ("hub_incidents_open", "CRITICAL"), ("hub_alert_messages_unsent",),
        ("hub_alert_messages_dead_day",), ("hub_steps_due",),
    )  # fmt: skip
    assert {name: values[name] for name in ones} == dict.fromkeys(ones, 1)
    assert 300 <= values["hub_steps_due_age_seconds",] < 400


def test_services_are_labels_up_to_a_limit(
    monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    monkeypatch.setattr(metrics, "MOST_SERVICES", 3)
    for number in range(9):
        factories.make_service(f"s{number}")
    api = factories.caller("VIEWER")
    scrape(api)
    with django_assert_max_num_queries(18):
        values = scrape(api)
    assert [name[1] for name in values if name[0] == "hub_service_up"] == ["s0", "s1", "s2"]


def test_it_takes_a_key() -> None:
    from rest_framework.test import APIClient

    assert APIClient().get("/metrics").status_code == 401
