"""What Prometheus reads."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from integration_site.api import metrics
from monitoring.findings import Finding
from monitoring.incidents import open_incidents
from monitoring.models import CheckState, HealthCheck, Severity, Slo, SloMinute, Subject
from registry.models import CallMinute
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


def test_calls_checks_objectives_and_steps() -> None:
    now = timezone.now()
    service = factories.make_service("shop", actions=("pay",))
    minute = now.replace(second=0, microsecond=0) - timedelta(minutes=2)
    for is_good, bound, total in ((True, 10, 94), (True, 250, 6), (False, 500, 3)):
        CallMinute.objects.create(
            service=service, action="pay", starts_at=minute, is_good=is_good, at_most_ms=bound,
            total=total,
        )  # fmt: skip
    slo = Slo.objects.create(name="pays", service=service, target=99)
    SloMinute.objects.create(slo=slo, starts_at=minute, good=90, total=100)
    check = HealthCheck.objects.create(name="c", kind="HTTP", url="http://127.0.0.1:9/")
    CheckState.objects.create(
        health_check=check, state="DOWN", since=now, next_due_at=now - timedelta(minutes=1)
    )
    factories.make_instance(service, "http://127.0.0.1:9", last_heartbeat_at=now)
    workflow = factories.make_workflow()
    factories.make_execution(workflow, status="FAILED")
    run = factories.make_execution(workflow, status="RUNNING")
    run.steps.update(status="PENDING", wake_at=now)
    values = scrape()
    assert values["hub_calls", "pay", "ok", "shop"] == 100
    assert values["hub_calls", "pay", "failed", "shop"] == 3
    assert values["hub_call_p95_seconds", "pay", "shop"] == 0.25
    assert values["hub_slo_burn_rate", "shop", "pays", "3600"] == 10
    assert values["hub_checks", "DOWN"] == values["hub_heartbeats_heard",] == 1
    assert 60 <= values["hub_checks_late_seconds",] < 120
    assert values["hub_steps_open", "PENDING"] == 1
    assert values["hub_workflow_executions_day", "FAILED", workflow.name] == 1
    assert values["hub_executions_ended_day", "FAILED"] == 1


def test_services_are_labels_up_to_a_limit(
    monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    monkeypatch.setattr(metrics, "MOST_SERVICES", 3)
    for number in range(9):
        factories.make_service(f"s{number}")
    api = factories.caller("VIEWER")
    scrape(api)
    with django_assert_max_num_queries(28):
        values = scrape(api)
    assert [name[1] for name in values if name[0] == "hub_service_up"] == ["s0", "s1", "s2"]


def test_it_takes_a_key() -> None:
    from rest_framework.test import APIClient

    assert APIClient().get("/metrics").status_code == 401


# --- What is given to Prometheus and Grafana ---

FILES = Path(__file__).resolve().parent.parent.parent / "docs" / "prometheus"
RULES, DASHBOARD = FILES / "rules.yml", FILES / "dashboard.json"
# A metric of the hub with its matchers, and the labels by which something is grouped.
SELECTOR = re.compile(r"\b(hub_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=~|=)"([^"]*)"')
GROUPED = re.compile(r"\bby \(([^)]*)\)")
OF_PROMETHEUS = {"job", "instance"}


def expressions() -> list[str]:
    """Every expression of both files; a dashboard has some as the values of variables."""
    rules = yaml.safe_load(RULES.read_text())["groups"]
    dashboard = json.loads(DASHBOARD.read_text())
    found = [rule["expr"] for group in rules for rule in group["rules"]]
    found += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    queries = [variable["query"] for variable in dashboard["templating"]["list"]]
    return [*found, *(query["query"] for query in queries if isinstance(query, dict))]


def wrong_with(expression: str, exported: dict[str, dict[str, set[str]]]) -> list[str]:
    """What an expression asks for that the hub does not tell."""
    found, labels = [], set(OF_PROMETHEUS)
    for name, matchers in SELECTOR.findall(expression):
        if name not in exported:
            found.append(f"no metric {name}")
            continue
        labels |= exported[name].keys()
        for label, _, value in MATCHER.findall(matchers):
            if label not in {*exported[name], *OF_PROMETHEUS}:
                found.append(f"{name} has no label {label}")
            elif label in exported[name]:
                found += [
                    f"no {name} with {label} {each}"
                    for each in value.split("|")
                    if each not in exported[name][label]
                ]
    grouped = {label.strip() for group in GROUPED.findall(expression) for label in group.split(",")}
    return [*found, *(f"grouped by {label}" for label in sorted(grouped - labels))]


def test_rules_and_dashboard_name_what_is_exported() -> None:
    service = factories.make_service("billing")
    Slo.objects.create(name="answers", service=service)
    CallMinute.objects.create(
        service=service, action="pay", starts_at=timezone.now() - timedelta(minutes=2),
        is_good=True, at_most_ms=10, total=1,
    )  # fmt: skip
    factories.make_execution(factories.make_workflow(), status="FAILED")
    text = factories.caller("VIEWER").get("/metrics").content.decode()
    exported: dict[str, dict[str, set[str]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = exported.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    found = {each: wrong_with(each, exported) for each in expressions()}
    assert len(found) > 15
    assert {each: wrong for each, wrong in found.items() if wrong} == {}
    shown = {name for each in found for name, _ in SELECTOR.findall(each)}
    assert exported.keys() <= shown, "a metric that neither shows nor watches"
    planted = 'sum by (zone) (hub_services{status="LOST"}) + hub_lost + hub_workers{status="x"}'
    assert wrong_with(planted, exported) == [
        "no hub_services with status LOST", "no metric hub_lost",
        "hub_workers has no label status", "grouped by zone",
    ]  # fmt: skip


def test_promtool_takes_the_rules() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run([promtool, "check", "rules", RULES], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
