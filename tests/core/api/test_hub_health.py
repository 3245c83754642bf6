"""The health of the hub itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from monitoring import hub_health
from monitoring.hub_health import Check, overall_status
from tests import factories
from workflows.models import Worker

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["/health/alive", "/api/health/alive/"])
def test_alive_needs_no_key_and_no_database(path: str, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        answer = Client().get(path)
    assert answer.status_code == 200
    assert answer.json() == {"status": "alive", "service": "service-integration"}


@pytest.mark.parametrize("path", ["/health/ready", "/api/health/ready"])
def test_ready_names_what_is_missing(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = [Check("database", ok=True), Check("broker", ok=False, detail="Connection refused")]
    monkeypatch.setattr("integration_site.facade.check_readiness", lambda: checks)
    answer = Client().get(path)
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "not ready",
        "checks": {
            "database": {"ok": True, "detail": None},
            "broker": {"ok": False, "detail": "Connection refused"},
        },
    }


def test_readiness_asks_everything_and_survives_what_fails(
    settings: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> str:
        raise RuntimeError("it broke\nat line 5")

    monkeypatch.setattr(hub_health, "_check_cache", broken)
    settings.REDIS_URL, settings.BROKER_DIR = "", tmp_path
    found = {check.name: check for check in hub_health.check_readiness()}
    assert list(found) == ["database", "migrations", "broker", "cache"]
    assert found["database"].ok
    assert found["migrations"].ok
    assert found["broker"].detail.endswith("cannot be written to.")
    assert found["cache"] == Check("cache", ok=False, detail="it broke")
    (tmp_path / "messages").mkdir()
    assert {check.name: check for check in hub_health.check_readiness()}["broker"].ok


def test_the_system_is_described_from_the_database() -> None:
    factories.make_service("a", status="ONLINE")
    factories.make_service("b", status="OFFLINE")
    factories.make_execution(status="FAILED")
    now = timezone.now()
    Worker.objects.create(name="w1", seen_at=now, in_flight=3)
    Worker.objects.create(name="gone", seen_at=now - timedelta(minutes=5))
    body = factories.caller("VIEWER").get("/health/system").json()
    assert body["status"] == "DEGRADED"
    assert body["service_statuses"] == {"a": "ONLINE", "b": "OFFLINE"}
    assert body["service_counts"]["MAINTENANCE"] == 0
    assert body["executions"]["FAILED"] == 1
    assert [(w["name"], w["in_flight"]) for w in body["workers"]] == [("w1", 3)]
    assert body["execution_time_ms"] >= 0


@pytest.mark.parametrize(
    ("counts", "has_worker", "status"),
    [
        ({}, True, "ONLINE"),
        ({}, False, "OFFLINE"),
        ({"ONLINE": 3, "MAINTENANCE": 1}, True, "ONLINE"),
        ({"ONLINE": 3, "OFFLINE": 1}, True, "DEGRADED"),
        ({"DEGRADED": 1}, True, "DEGRADED"),
    ],
)
def test_the_overall_status(counts: dict[str, int], has_worker: bool, status: str) -> None:
    assert overall_status(counts, has_worker=has_worker) == status
