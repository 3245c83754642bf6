"""Objectives: what counts, how fast budgets burn, and when that is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from core.db.uuid7 import uuid7_at
from monitoring.incidents import watch_fleet
from monitoring.models import HealthCheck, HealthCheckResult, Incident, Slo, SloMinute
from monitoring.slos.burning import WINDOWS, Budget, Count, find_rule
from monitoring.slos.counting import count_minutes
from tests import factories

START = datetime(2026, 3, 4, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
Minute = tuple[datetime, int, int]


def count_windows(minutes: list[Minute], *, now: datetime) -> dict[timedelta, Count]:
    found = {}
    for window in WINDOWS:
        inside = [(good, total) for at, good, total in minutes if now - window <= at < now]
        found[window] = Count(sum(good for good, _ in inside), sum(total for _, total in inside))
    return found


def judged(minutes: list[Minute], at: int) -> float | None:
    """The threshold of the rule that holds after so many minutes; None of none."""
    counts = count_windows(minutes, now=START + at * MINUTE)
    rule = find_rule(counts, target=99.9, min_events=20)
    return rule.burn if rule else None


def test_a_fast_burn_is_told_within_minutes_and_ends_within_minutes() -> None:
    # An hour of 1.5 % errors, then 0.05 %: with a budget of 0.1 % that burns 15 times too fast.
    minutes = [(START + n * MINUTE, 1970 if n < 60 else 1999, 2000) for n in range(120)]
    minutes += [(START - timedelta(hours=n), 120_000, 120_000) for n in range(1, 75)]
    told = [at for at in range(1, 121) if judged(minutes, at) == 14.4]
    both_over = next(
        at for at in range(1, 121)
        if all(
            count_windows(minutes, now=START + at * MINUTE)[window].burn(99.9) > 14.4
            for window in (timedelta(hours=1), timedelta(minutes=5))
        )
    )  # fmt: skip
    assert told[0] - both_over <= 6
    assert told[-1] <= 60 + 10
    assert told == list(range(told[0], told[-1] + 1))
    assert [judged(minutes, at) for at in (71, 119)] == [None, None]


@pytest.mark.parametrize(
    ("good", "total", "burn"),
    [
        (0, 12, None),  # too few looks prove nothing
        (10, 25, 14.4),
        (0, 0, None),
        (2000, 2000, None),
        (1985, 2000, 6),  # 7.5 times as fast, for six hours
        (1992, 2000, 3),
        (1997, 2000, 1),
    ],
)
def test_the_gravest_rule_that_holds_counts(good: int, total: int, burn: float | None) -> None:
    counts = dict.fromkeys(WINDOWS, Count(good, total))
    rule = find_rule(counts, target=99.9, min_events=20)
    assert (rule.burn if rule else None) == burn


def test_a_budget_says_what_is_left_and_for_how_long() -> None:
    half = Budget(Count(99_950, 100_000), 99.9)
    assert (half.percent, half.left) == (99.95, 0.5)
    month = timedelta(days=30)
    assert half.exhausts_at(3, window=month, now=START) == START + timedelta(days=5)
    assert half.exhausts_at(1, window=month, now=START) is None
    assert Budget(Count(0, 10), 99.9).exhausts_at(9, window=month, now=START) == START
    assert (Budget(Count(), 99.9).percent, Budget(Count(), 99.9).left) == (None, 1.0)


def look(check: HealthCheck, at: datetime, outcome: str, latency: float | None = 10.0) -> None:
    HealthCheckResult.objects.create(
        id=uuid7_at(at + timedelta(milliseconds=HealthCheckResult.objects.count())),
        health_check=check, checked_at=at, outcome=outcome, latency_ms=latency,
    )  # fmt: skip


@pytest.mark.django_db
def test_looks_are_counted_once_and_a_burning_budget_is_an_incident() -> None:
    service = factories.make_service("shop")
    check = HealthCheck.objects.create(name="c", kind="HTTP", service=service)
    now = timezone.now().replace(second=45, microsecond=0)
    fields: dict[str, Any] = {
        "service": service,
        "counted_until": now.replace(second=0) - 9 * MINUTE,
    }
    Slo.objects.create(name="well", min_events=4, **fields)
    Slo.objects.create(name="fast", kind="LATENCY", threshold_ms=100, min_events=4, **fields)
    at = now - timedelta(minutes=3)
    for outcome, latency in (("OK", 50), ("OK", 500), ("FAIL", None), ("INCONCLUSIVE", None)):
        look(check, at, outcome, latency)
    assert count_minutes(now=now) == 18
    assert count_minutes(now=now) == 0
    counted = SloMinute.objects.order_by("slo__name")
    assert [(row.slo.name, row.good, row.total) for row in counted] == [
        ("fast", 1, 3), ("well", 2, 3),
    ]  # fmt: skip
    watch_fleet(now=now)
    assert not Incident.objects.filter(subject="BUDGET_BURNING").exists()
    SloMinute.objects.filter(slo__name="well").update(total=20, good=10)
    watch_fleet(now=now)
    incident = Incident.objects.get(subject="BUDGET_BURNING")
    assert (incident.about, incident.severity) == ("well", "CRITICAL")
    assert "10 of 20 looks at shop in the last 1 h were bad" in incident.cause
    # A short window without errors ends it.
    watch_fleet(now=now + timedelta(hours=7))
    incident.refresh_from_db()
    assert incident.status == "RESOLVED"


@pytest.mark.django_db
def test_an_objective_over_the_api_and_in_the_admin(admin_client: Any) -> None:
    service = factories.make_service("shop")
    api = factories.caller()
    refused = api.post("/monitoring/slos", {"name": "a", "service": "shop", "kind": "LATENCY"})
    assert refused.status_code == 400
    assert "threshold_ms" in refused.content.decode()
    assert api.post("/monitoring/slos", {"name": "a", "service": "x"}).status_code == 400
    made = api.post("/monitoring/slos", {"name": "a", "service": "shop", "target": 99})
    assert made.status_code == 201, made.content
    found = api.get("/monitoring/slos/a/status").json()
    assert (found["state"], found["percent"], found["budget_left"]) == ("UNKNOWN", None, 1.0)
    now = timezone.now()
    SloMinute.objects.create(slo=Slo.objects.get(), starts_at=now - MINUTE, good=90, total=100)
    found = api.get("/monitoring/slos/a/status").json()
    assert (found["state"], found["budget_left"]) == ("CRITICAL", -9.0)
    assert found["burns"][0]["long_burn"] == 10.0
    listed = admin_client.get("/admin/monitoring/slo/").content.decode()
    assert "used up" in listed
    page = admin_client.get(f"/admin/monitoring/slo/{made.json()['id']}/change/").content.decode()
    assert "90 of 100" in page
    typed = {
        "name": "b", "service": service.pk, "kind": "LATENCY", "target": "99.5", "window_days": 30,
        "min_events": 20, "threshold_ms": "", "description": "",
    }  # fmt: skip
    add = "/admin/monitoring/slo/add/"
    assert "Say within how many" in admin_client.post(add, typed).content.decode()
    assert admin_client.post(add, {**typed, "threshold_ms": 300}).status_code == 302
    assert Slo.objects.get(name="b").threshold_ms == 300
