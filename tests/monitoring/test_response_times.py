"""How fast something answered: percentiles of each part of a window, and what happened then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from core.admin.formatting import milliseconds
from monitoring.models import HealthCheckResult, Incident, MemoryState, StatusSpan, UptimeRollup
from monitoring.uptime.happenings import read_happenings
from monitoring.uptime.latency import count_latencies
from monitoring.uptime.response_chart import chart_of
from monitoring.uptime.response_times import (
    RESPONSE_WINDOWS,
    bounds_of,
    start_of,
    times_of_check,
    times_of_service,
)
from tests import factories
from tests.support.checks import make_check

NOW = datetime(2026, 6, 10, 12, 7, 30, tzinfo=UTC)


def look(check: Any, ago: timedelta, latency: float | None, instance: Any = None) -> None:
    at = NOW - ago
    HealthCheckResult.objects.create(
        health_check=check, instance=instance, checked_at=at, outcome="OK",
        latency_ms=latency,
    )  # fmt: skip


@pytest.mark.once
@pytest.mark.parametrize("window", RESPONSE_WINDOWS)
def test_windows_are_made_of_whole_parts(window: str) -> None:
    since, until = bounds_of(window, now=NOW)
    wanted = RESPONSE_WINDOWS[window]
    assert until == NOW.replace(second=0)
    assert start_of(since, wanted.step) == since
    assert wanted.length <= until - since < wanted.length + wanted.step


@pytest.mark.once
@pytest.mark.parametrize(
    ("value", "words"), [(0.2, "<1 ms"), (0, "0 ms"), (12.4, "12 ms"), (2400, "2.4 s")]
)
def test_what_took_some_time_is_not_told_as_none(value: float, words: str) -> None:
    assert milliseconds(value) == words


@pytest.mark.django_db
def test_percentiles_of_a_check_are_of_its_looks_in_each_part() -> None:
    check, other = make_check("front"), make_check("other")
    for latency in (10, 20, 30, 900):
        look(check, timedelta(minutes=30), latency)
    look(check, timedelta(minutes=5), 50)
    look(check, timedelta(minutes=5), None)
    look(other, timedelta(minutes=5), 5000)
    look(check, timedelta(days=3), 70)
    times = times_of_check(check, "1h", now=NOW)
    assert [each.count for each in times.known] == [4, 1]
    slow, fast = times.known
    assert slow.at == datetime(2026, 6, 10, 11, 37, tzinfo=UTC)
    assert slow.p50_ms and slow.p99_ms and slow.p50_ms < 32 < 560 < slow.p99_ms <= 1000
    assert fast.p99_ms and 30 < fast.p99_ms <= 60
    assert len(times.points) == 60
    assert [each.count for each in times_of_check(check, "7d", now=NOW).known] == [1, 4, 1]


@pytest.mark.django_db
def test_long_windows_of_a_service_are_summed_hours_and_the_looks_since() -> None:
    service = factories.make_service("shop", urls=("http://127.0.0.1:9",))
    instance = service.instances.get()
    check = make_check("front", service=service, url="")
    summed = NOW.replace(minute=0, second=0)
    MemoryState.objects.create(pk=1, summed_until=summed)
    for hours, latencies in ((30 * 24, [10.0]), (3, [20.0, 30.0]), (2, [40.0])):
        UptimeRollup.objects.create(
            service=service, period="HOUR", starts_at=summed - timedelta(hours=hours),
            latencies=count_latencies(latencies),
        )  # fmt: skip
    check.states.get_or_create(instance=instance, defaults={"since": NOW})
    look(check, timedelta(minutes=3), 80, instance)
    look(check, timedelta(hours=2), 80, instance)  # is in the sum of its hour
    assert sum(each.count for each in times_of_service(service, "7d", now=NOW).known) == 4
    assert sum(each.count for each in times_of_service(service, "90d", now=NOW).known) == 5
    assert sum(each.count for each in times_of_service(service, "24h", now=NOW).known) == 2


@pytest.mark.django_db
def test_what_happened_is_on_the_axis() -> None:
    service = factories.make_service("shop")
    StatusSpan.objects.filter(service=service).delete()
    spans = [("ONLINE", "1", 50), ("ONLINE", "2", 20), ("MAINTENANCE", "2", 10), ("ONLINE", "2", 5)]
    for (status, version, ago), after in zip(spans, [*spans[1:], None], strict=True):
        StatusSpan.objects.create(
            service=service, status=status, version=version,
            started_at=NOW - timedelta(hours=ago),
            ended_at=NOW - timedelta(hours=after[2]) if after else None,
        )  # fmt: skip
    for subject, ago in (("CIRCUIT_OPEN", 3), ("SERVICE_DOWN", 2), ("SERVICE_DOWN", 60)):
        Incident.objects.create(
            subject=subject, cause="x", service=service, dedup_key=f"{subject}{ago}",
            opened_at=NOW - timedelta(hours=ago), status="RESOLVED",
            resolved_at=NOW - timedelta(hours=ago - 1),
        )  # fmt: skip
    found = read_happenings(service, NOW - timedelta(hours=24), NOW)
    assert [(str(each.kind), each.title) for each in found] == [
        ("DEPLOYMENT", "Version 2"),
        ("MAINTENANCE", "Under maintenance"),
        ("BREAKER", "Circuit open"),
        ("INCIDENT", "Service down"),
    ]
    times = times_of_service(service, "24h", now=NOW)
    drawn = chart_of(times, found)
    assert str(drawn["picture"]).count('class="hub-happening"') == 4
    assert "Deployment: Version 2" in str(drawn["picture"])


@pytest.mark.django_db
def test_the_api_and_the_pages_show_the_same(admin_client: Any) -> None:
    service = factories.make_service("shop")
    check = make_check("front")
    at = timezone.now() - timedelta(minutes=5)
    check.results.create(checked_at=at, outcome="OK", latency_ms=0.2)
    api = factories.caller()
    answer = api.get("/monitoring/checks/front/response-times?window=1h").json()
    assert (answer["window"], answer["step_seconds"]) == ("1h", 60)
    (point,) = answer["points"]
    assert point["count"] == 1
    assert point["p50_ms"] <= 1
    of_service = api.get("/monitoring/services/shop/response-times?window=90d").json()
    assert (of_service["points"], of_service["events"]) == ([], [])
    for path in ("/monitoring/checks/front", "/monitoring/services/shop"):
        refused = api.get(f"{path}/response-times?window=2y")
        assert (refused.status_code, "window" in refused.content.decode()) == (400, True)
    assert api.get("/monitoring/checks/front/response-times?window=90d").status_code == 400
    assert api.get("/monitoring/services/none/response-times").status_code == 404
    page = admin_client.get(f"/admin/monitoring/healthcheck/{check.pk}/change/?response_times=1h")
    assert "&lt;1 ms" in page.content.decode()
    shown = admin_client.get(f"/admin/registry/service/{service.pk}/change/?response_times=x")
    assert "No answers in this time." in shown.content.decode()
