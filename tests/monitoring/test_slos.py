"""Objectives: what counts, how fast budgets burn, and when that is told."""

from __future__ import annotations

import contextlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from asgiref.sync import sync_to_async
from django.db.models import Sum
from django.utils import timezone

from core.db.uuid7 import uuid7_at
from monitoring.incidents import watch_fleet
from monitoring.models import HealthCheck, HealthCheckResult, Incident, Slo, SloMinute
from monitoring.slos.burning import WINDOWS, Budget, Count, find_rule
from monitoring.slos.counting import count_minutes, forget_minutes
from monitoring.slos.status import find_burning
from registry.calls.call_counter import CountedCalls, add_counts, bound_of
from registry.calls.client import ServiceClient
from registry.calls.targets.resolver import CallTarget
from registry.exceptions import CallError
from registry.models import CallMinute
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
        "name": "b", "service": service.pk, "kind": "LATENCY", "source": "LOOKS", "action": "",
        "target": "99.5", "window_days": 30,
        "min_events": 20, "threshold_ms": "", "description": "",
    }  # fmt: skip
    add = "/admin/monitoring/slo/add/"
    assert "Say within how many" in admin_client.post(add, typed).content.decode()
    assert admin_client.post(add, {**typed, "threshold_ms": 300}).status_code == 302
    assert Slo.objects.get(name="b").threshold_ms == 300


@pytest.mark.django_db(transaction=True)
async def test_calls_are_counted_by_how_they_ended() -> None:
    service = await sync_to_async(factories.make_service)("shop", actions=("pay",))

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({}, status=int((await request.json())["status"]))

    application = web.Application()
    application.router.add_post("/pay", answer)
    async with TestServer(application) as server:
        await sync_to_async(factories.make_instance)(service, str(server.make_url("")).rstrip("/"))
        client = ServiceClient()
        for status in (200, 200, 422, 500):
            with contextlib.suppress(CallError):
                await client.call(CallTarget("service", "shop"), "pay", {"status": status})
        with pytest.raises(CallError):  # of no action that there is: nobody was called
            await client.call(CallTarget("service", "shop"), "play", {})
        await client.close()
    rows = CallMinute.objects.values_list("action", "is_good").annotate(calls=Sum("total"))
    counted = await sync_to_async(lambda: sorted(rows.order_by()))()
    assert counted == [("pay", False, 1), ("pay", True, 3)]


@pytest.mark.django_db
def test_an_objective_of_calls_counts_those_of_its_action_in_time() -> None:
    service = factories.make_service("shop", actions=("pay", "ask"))
    now = timezone.now().replace(second=45, microsecond=0)
    minute = now.replace(second=0) - 3 * MINUTE

    def calls(action: str, milliseconds: float, *, is_good: bool, number: int) -> None:
        key = CountedCalls(str(service.pk), minute, action, is_good, bound_of(milliseconds))
        assert not add_counts(Counter({key: number}))

    calls("pay", 90, is_good=True, number=5)
    calls("pay", 90, is_good=True, number=2)  # of another process
    calls("pay", 700, is_good=True, number=3)
    calls("pay", 10, is_good=False, number=1)
    calls("ask", 1e9, is_good=True, number=4)
    look(HealthCheck.objects.create(name="c", kind="HTTP", service=service), minute, "OK")
    api = factories.caller()
    for name, fields, good, total in (
        ("quick", {"kind": "LATENCY", "threshold_ms": 100, "source": "CALLS", "action": "pay"},
         7, 11),
        ("pays", {"source": "CALLS", "action": "pay"}, 10, 11),
        ("calls", {"source": "CALLS"}, 14, 15),
        ("all", {"source": "BOTH"}, 15, 16),
        ("looks", {}, 1, 1),
    ):  # fmt: skip
        made = api.post("/monitoring/slos", {"name": name, "service": "shop", **fields})
        assert made.status_code == 201, made.content
        Slo.objects.filter(name=name).update(counted_until=minute)
        count_minutes(now=now)
        counted = SloMinute.objects.get(slo__name=name)
        assert (name, counted.good, counted.total) == (name, good, total)
    SloMinute.objects.filter(slo__name="quick").update(total=40)
    burning = {each.slo.name: each for each in find_burning(now)}
    assert "33 of 40 calls of pay of shop in the last 1 h" in burning["quick"].words
    for fields, path in (
        ({"action": "pay"}, "action"),
        ({"source": "CALLS", "action": "pya"}, "action"),
        ({"source": "SHOTS"}, "source"),
        ({"source": "CALLS", "kind": "LATENCY", "threshold_ms": 120}, "threshold_ms"),
    ):
        refused = api.post("/monitoring/slos", {"name": "no", "service": "shop", **fields})
        assert list(refused.json()["errors"]) == [path]
    forget_minutes(now=now + timedelta(days=8))
    assert not CallMinute.objects.exists()
