"""What needs what: no circles, and an outage is told once for all that depend on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from core.db.uuid7 import uuid7_at
from monitoring.alerts.decide import Alert, ServiceTrouble, Times, find_causes, plan_group
from monitoring.alerts.outbox import claim_due, message_of
from monitoring.alerts.sending import send_message
from monitoring.alerts.telling import tell_channels
from monitoring.dependencies.hard import read_hard_needs
from monitoring.dependencies.lifecycle import create_dependency
from monitoring.dependencies.ways import find_way, needs_of, reach
from monitoring.findings import Finding
from monitoring.incidents import open_incidents, resolve_incident
from monitoring.models import AlertDelivery, Incident, ServiceDependency, Severity, Subject
from registry.models import Integration, IntegrationExecution
from tests import factories
from tests.support.alerts import make_channel, receiver

START = datetime(2026, 1, 1, tzinfo=UTC)


def key(name: str) -> UUID:
    return UUID(int=ord(name))


def trouble(text: str, place: int = 0) -> ServiceTrouble:
    """A for a service that is down, a? for one that is degraded, a! for a circuit of it."""
    subjects = {"?": "SERVICE_DEGRADED", "!": "CIRCUIT_OPEN", "c": "CHECK_FAILING"}
    subject = subjects.get(text[1:], "SERVICE_DOWN")
    service = key(text[0])
    return ServiceTrouble(service, service, subject, START + timedelta(seconds=place))


@pytest.mark.parametrize(
    ("needs", "wrong", "expected"),
    [
        ("ad", "a d", "a<d"),
        ("ad", "a? d", "a<d"),
        ("ad", "ac d", "a<d"),
        ("ad", "a! d", ""),  # a circuit is told by itself
        ("ad", "a d?", ""),  # what is only degraded takes nothing along
        ("ad", "a dc", ""),
        ("ad", "d", ""),
        ("ad", "a", ""),
        ("ab bd", "a d", "a<d"),  # through another that is not seen to be wrong
        ("ab bd", "a b d", "a<d b<d"),  # the outage that is a part of none
        ("ad ae", "a e d", "a<e"),  # of two, the first
        ("ad bd", "a b d", "a<d b<d"),
        ("ad", "x a", ""),
    ],
)
def test_which_outage_something_is_a_part_of(needs: str, wrong: str, expected: str) -> None:
    pairs = [(key(pair[0]), key(pair[1])) for pair in needs.split()]
    troubles = [trouble(text, place) for place, text in enumerate(wrong.split())]
    found = find_causes(troubles, needs_of(pairs))
    told = [f"{chr(part.int)}<{chr(whole.int)}" for part, whole in found.items()]
    assert " ".join(sorted(told)) == expected


def test_ways_along_what_is_needed() -> None:
    needs = needs_of([("a", "b"), ("b", "d"), ("a", "c"), ("c", "d"), ("d", "e")])
    assert find_way(needs, "a", "e") == ["a", "b", "d", "e"]
    assert find_way(needs, "e", "a") == []
    assert reach(needs, "a") == ["b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("wait", "patient", "seconds"),
    [(30, False, 30), (30, True, 60), (100, True, 120), (300, True, 300), (0, True, 0)],
)
def test_who_needs_others_waits_longer(wait: int, patient: bool, seconds: int) -> None:
    alert = Alert(key("a"), "service:a", True, False, START, is_patient=patient)
    times = Times(timedelta(seconds=wait), timedelta(minutes=5), None)
    due = START + timedelta(seconds=seconds)
    assert plan_group("service:a", [alert], times, now=due) is not None
    assert plan_group("service:a", [alert], times, now=due - timedelta(seconds=1)) is None


# --- Made and taken back ---


@pytest.mark.django_db
def test_a_circle_is_refused_and_named() -> None:
    for name in "abc":
        factories.make_service(name)
    api = factories.caller()
    path = "/monitoring/dependencies"
    made = api.post(path, {"service": "a", "depends_on": "b"})
    assert (made.status_code, made.json()["kind"]) == (201, "HARD")
    soft = api.post(path, {"service": "b", "depends_on": "c", "kind": "SOFT"})
    assert soft.status_code == 201
    for service, depends_on, words in (
        ("b", "a", "circle: b -> a -> b"),
        ("c", "a", "circle: c -> a -> b -> c"),
        ("a", "A", "does not depend on itself"),
        ("a", "none", "none"),
    ):
        refused = api.post(path, {"service": service, "depends_on": depends_on})
        assert refused.status_code == 400
        assert words in refused.content.decode()
        assert "depends_on" in refused.content.decode()
    assert api.post(path, {"service": "a", "depends_on": "b"}).status_code == 409
    listed = api.get(f"{path}?kind=soft").json()["items"]
    assert listed == [soft.json()]
    assert len(api.get(f"{path}?service=a&depends_on=b").json()["items"]) == 1
    assert api.get(f"{path}/{made.json()['id']}").json() == made.json()
    assert api.delete(f"{path}/{made.json()['id']}").status_code == 204
    assert api.delete(f"{path}/{made.json()['id']}").status_code == 404
    assert api.post(path, {"service": "b", "depends_on": "a"}).status_code == 201


@pytest.mark.django_db
def test_dependencies_are_made_changed_and_shown_in_the_admin(admin_client: Any) -> None:
    shop, base = factories.make_service("shop"), factories.make_service("db")
    add = "/admin/monitoring/servicedependency/add/"
    made = {"service": str(shop.pk), "depends_on": str(base.pk), "kind": "HARD"}
    assert admin_client.post(add, made).status_code == 302
    row = ServiceDependency.objects.get()
    again = admin_client.post(add, made).content.decode()
    assert "is known to need" in again
    back = {"service": str(base.pk), "depends_on": str(shop.pk), "kind": "SOFT"}
    assert (
        "would close a circle: db -&gt; shop -&gt; db"
        in admin_client.post(add, back).content.decode()
    )
    page = f"/admin/monitoring/servicedependency/{row.pk}/change/"
    assert admin_client.post(page, {"kind": "SOFT"}).status_code == 302
    assert ServiceDependency.objects.get().kind == "SOFT"
    for service, other in ((shop, base), (base, shop)):
        shown = admin_client.get(f"/admin/registry/service/{service.pk}/change/").content.decode()
        assert f"/admin/registry/service/{other.pk}/change/" in shown
    assert (
        "Works without it"
        in admin_client.get("/admin/monitoring/servicedependency/").content.decode()
    )


@pytest.mark.django_db
def test_who_calls_whom_is_learned_until_somebody_says_it(admin_client: Any) -> None:
    shop, mail = factories.make_service("shop"), factories.make_service("mail")
    now = timezone.now()
    integration = Integration.objects.create(
        name="tell", source="shop", target="mail", action="send"
    )
    silent = Integration.objects.create(name="silent", source="mail", target="mail")
    calls = ((integration, "mail", 0), (integration, "mail", 1), (integration, "gone", 0),
             (integration, "mail", 8 * 24), (silent, "mail", 0))  # fmt: skip
    for each, target, hours in calls:
        at = now - timedelta(hours=hours, seconds=5)
        IntegrationExecution.objects.create(
            id=uuid7_at(at - timedelta(milliseconds=IntegrationExecution.objects.count())),
            integration=each, service=target, status="COMPLETED", started_at=at,
        )  # fmt: skip
    api = factories.caller()
    (learned,) = api.get("/monitoring/dependencies/learned").json()["items"]
    assert (learned["service"], learned["depends_on"], learned["count"]) == ("shop", "mail", 2)
    assert api.get("/monitoring/dependencies/learned?x=1").status_code == 400
    assert read_hard_needs() == {}
    for page in (shop, mail):
        shown = admin_client.get(f"/admin/registry/service/{page.pk}/change/").content.decode()
        assert "2 calls within a week" in shown
        assert f"?service={shop.pk}&amp;depends_on={mail.pk}" in shown
    drawn = admin_client.get("/admin/monitoring/servicedependency/map").content.decode()
    assert drawn.count('data-kind="LEARNED"') == 2  # the line and the legend
    create_dependency({"service": "shop", "depends_on": "mail"}, actor="x")
    assert api.get("/monitoring/dependencies/learned").json()["items"] == []


# --- Told once ---


def down(service: Any, at: datetime) -> Incident:
    finding = Finding(
        Subject.SERVICE_DOWN, "Every instance fell silent.", Severity.CRITICAL,
        about=service.name, key=str(service.pk), service_id=service.pk,
    )  # fmt: skip
    open_incidents([finding], now=at)
    return Incident.objects.get(dedup_key=finding.dedup_key)


def told(now: datetime) -> list[str]:
    before = set(AlertDelivery.objects.values_list("pk", flat=True))
    tell_channels(now=now)
    return [each.title for each in AlertDelivery.objects.exclude(pk__in=before)]


@pytest.mark.django_db
def test_an_outage_is_one_message_and_what_stays_down_after_it_another() -> None:
    now = timezone.now() - timedelta(hours=1)
    base = factories.make_service("db")
    needy = [factories.make_service(f"shop-{n}") for n in range(14)]
    for each in needy:
        create_dependency({"service": each, "depends_on": base}, actor="x")
    with receiver() as received:
        make_channel(url=received.url, group_wait_seconds=30)
        make_channel("mail", services=["shop-1"], group_wait_seconds=30)
        parts = [down(each, now + timedelta(seconds=n)) for n, each in enumerate(needy)]
        whole = down(base, now + timedelta(seconds=20))
        assert told(now + timedelta(seconds=49)) == []
        assert told(now + timedelta(seconds=50)) == [
            "Critical: Service down: db and 14 that depend on it"
        ]
        (row,) = claim_due(now=now + timedelta(seconds=50), limit=10)
        assert send_message(row.channel, message_of(row)).is_sent
        assert len(received.messages) == 1
    assert "shop-0, shop-1, shop-10" in AlertDelivery.objects.get().text
    for part in parts:
        part.refresh_from_db()
        assert (part.suppressed_by_id, part.suppressed_reason) == (whole.pk, "DEPENDENCY")
    # Who is told of one service only is told of that one.
    assert told(now + timedelta(seconds=62)) == ["Critical: Service down: shop-1"]
    over = now + timedelta(minutes=10)
    resolve_incident(whole, "One is back.", now=over)
    for part in parts[1:]:
        resolve_incident(part, "One is back.", now=over + timedelta(seconds=10))
    assert "Resolved: Service down: db" in told(over + timedelta(seconds=59))
    assert told(over + timedelta(seconds=60)) == ["Critical: Service down: shop-0"]
    parts[0].refresh_from_db()
    assert (parts[0].suppressed_by_id, parts[0].suppressed_reason) == (None, "")
    entries = list(parts[0].updates.order_by("id").values_list("text", flat=True))
    assert "'db', which it needs, is down" in entries[-2]
    assert "What it needs is back" in entries[-1]
