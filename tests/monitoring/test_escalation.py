"""What nobody sees to is told to others, level by level, until somebody does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from monitoring.alerts.decide import due_levels
from monitoring.alerts.escalation_policies import create_policy
from monitoring.alerts.silencing import create_silence
from monitoring.alerts.telling import tell_channels
from monitoring.findings import Finding
from monitoring.handling import acknowledge_incident, unacknowledge_incident
from monitoring.incidents import open_incidents, resolve_incident
from monitoring.models import AlertDelivery, EscalationPolicy, Incident, Severity, Subject
from tests import factories
from tests.support.alerts import make_channel

pytestmark = pytest.mark.django_db
NOW = timezone.now()


def open_one(about: str = "billing", **fields: Any) -> Incident:
    finding = Finding(Subject.CONNECTION_ERROR, "It is away.", about=about, key=about, **fields)
    open_incidents([finding], now=NOW)
    return Incident.objects.get(dedup_key=finding.dedup_key)


@pytest.fixture
def policy(db: None) -> EscalationPolicy:
    make_channel("on-call", repeat_seconds=0)
    make_channel("second", only_escalated=True, repeat_seconds=3600)
    make_channel("boss", only_escalated=True, repeat_seconds=0)
    levels = [
        {"after_minutes": 10, "channels": ["second"]},
        {"after_minutes": 30, "channels": ["boss", "second"]},
    ]
    return create_policy({"name": "hours", "levels": levels}, actor="ann")


def tell(**after: float) -> list[tuple[str, str]]:
    """Who is told at a time, and why."""
    before = set(AlertDelivery.objects.values_list("pk", flat=True))
    tell_channels(now=NOW + timedelta(**after))
    rows = AlertDelivery.objects.exclude(pk__in=before).order_by("channel__name")
    return [(each.channel.name, str(each.reason)) for each in rows]


def test_levels_are_told_in_their_time_once_and_all_of_the_end(policy: EscalationPolicy) -> None:
    incident = open_one()
    assert tell(seconds=1) == [("on-call", "FIRING")]
    assert tell(minutes=9, seconds=59) == []
    assert tell(minutes=10) == [("second", "ESCALATION")]
    assert tell(minutes=10, seconds=5) == []
    assert tell(minutes=30) == [("boss", "ESCALATION"), ("second", "ESCALATION")]
    assert tell(hours=2) == [("second", "REPEAT")]
    resolve_incident(incident, "It answers.", now=NOW + timedelta(hours=3))
    everybody = ("boss", "on-call", "second")
    assert tell(hours=3) == [(name, "RESOLVED") for name in everybody]
    texts = list(incident.updates.filter(kind="ESCALATION").values_list("text", flat=True))
    assert texts == [
        "Nobody saw to it for 10 min: level 1 of 'hours' tells second.",
        "Nobody saw to it for 30 min: level 2 of 'hours' tells boss, second.",
    ]
    title = AlertDelivery.objects.filter(reason="ESCALATION").earliest("id").title
    assert title == "Nobody sees to it, for 10 min: Connection failing: billing"


def test_it_stops_when_somebody_sees_to_it_and_begins_anew_when_nobody_does(
    policy: EscalationPolicy,
) -> None:
    incident = open_one()
    tell(seconds=1)
    assert tell(minutes=10) == [("second", "ESCALATION")]
    acknowledge_incident(incident, actor="ann")
    assert tell(hours=5) == []
    unacknowledge_incident(incident, actor="ann")
    Incident.objects.update(unattended_since=NOW + timedelta(hours=5))
    incident.refresh_from_db()
    assert tell(hours=5, minutes=9) == [("second", "REPEAT")]
    assert tell(hours=5, minutes=10) == [("second", "ESCALATION")]


def test_what_is_less_grave_or_silenced_is_not_escalated(policy: EscalationPolicy) -> None:
    open_one("mail", severity=Severity.WARNING)
    open_one()
    silence = {"name": "s", "about": ["billing"], "starts_at": NOW}
    create_silence({**silence, "ends_at": NOW + timedelta(hours=1)}, actor="ann")
    assert tell(minutes=40) == [("on-call", "FIRING")]
    assert tell(hours=1, minutes=9) == [("on-call", "FIRING")]
    assert tell(hours=1, minutes=10) == [("second", "ESCALATION")]


def test_a_hub_that_slept_tells_every_level_that_is_due(policy: EscalationPolicy) -> None:
    open_one()
    told = tell(hours=1)
    assert told == [
        ("boss", "ESCALATION"),
        ("on-call", "FIRING"),
        ("second", "ESCALATION"),
        ("second", "ESCALATION"),
    ]
    assert due_levels([10, 30], {1}, since=NOW, now=NOW + timedelta(hours=1)) == [2]


@pytest.mark.parametrize(
    ("levels", "path"),
    [
        ([], "levels"),
        ([{"after_minutes": 0, "channels": ["on-call"]}], "levels[0].after_minutes"),
        ([{"after_minutes": True, "channels": ["on-call"]}], "levels[0].after_minutes"),
        ([{"after_minutes": 5, "channels": []}], "levels[0].channels"),
        ([{"after_minutes": 5, "channels": ["nobody"]}], "levels[0].channels[0]"),
        ([{"after_minutes": 5, "channels": [7]}], "levels[0].channels[0]"),
        ([{"after_minutes": 5, "channels": ["boss"], "x": 1}], "levels[0].x"),
        (2 * [{"after_minutes": 5, "channels": ["boss"]}], "levels[1].after_minutes"),
    ],
)
def test_what_are_no_levels_is_refused(
    levels: list[Any], path: str, policy: EscalationPolicy
) -> None:
    given = {"name": "p", "levels": levels}
    refused = factories.caller().post("/monitoring/escalations", given, format="json")
    assert (refused.status_code, list(refused.json()["errors"])) == (400, [path])


def test_levels_are_lines_in_the_admin(policy: EscalationPolicy, admin_client: Any) -> None:
    listed = admin_client.get(reverse("admin:monitoring_escalationpolicy_changelist"))
    assert "after 10 min second; after 30 min boss, second" in listed.content.decode()
    page = reverse("admin:monitoring_escalationpolicy_add")
    form = {"name": "night", "enabled": "on", "min_severity": "CRITICAL"}
    refused = admin_client.post(page, {**form, "lines": "boss after ten"}).content.decode()
    assert "is no level" in refused
    admin_client.post(page, {**form, "lines": "5 min: boss\n\n20: second, boss"})
    minutes = [each["after_minutes"] for each in EscalationPolicy.objects.get(name="night").levels]
    assert minutes == [5, 20]
