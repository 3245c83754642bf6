"""Nobody is told of what is silenced, and everybody of its end who was told of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone

from monitoring.alerts.silencing import create_silence, expire_silence
from monitoring.alerts.telling import tell_channels
from monitoring.findings import Finding
from monitoring.incidents import open_incidents, resolve_incident
from monitoring.models import AlertDelivery, AlertSilence, Incident, Subject, Suppression
from tests import factories
from tests.support.alerts import make_channel

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture(autouse=True)
def at_now() -> Iterator[None]:
    """Tests begin minutes after this module was loaded, and what is ended is so by the clock."""
    with time_machine.travel(NOW):
        yield


def open_one(about: str = "billing", **fields: Any) -> Incident:
    finding = Finding(Subject.CONNECTION_ERROR, "It is away.", about=about, key=about, **fields)
    open_incidents([finding], now=NOW)
    return Incident.objects.get(dedup_key=finding.dedup_key)


def silence(**fields: Any) -> AlertSilence:
    given = {"name": "quiet", "starts_at": NOW, "ends_at": NOW + timedelta(hours=1), **fields}
    return create_silence(given, actor="ann")


def tell(**after: float) -> list[str]:
    """What is told at a time, by its titles."""
    before = set(AlertDelivery.objects.values_list("pk", flat=True))
    tell_channels(now=NOW + timedelta(**after))
    return [each.title for each in AlertDelivery.objects.exclude(pk__in=before).order_by("id")]


def test_nobody_is_told_until_the_silence_ends() -> None:
    make_channel(group_wait_seconds=30)
    incident = open_one()
    open_one("mail")
    silence(about=["billing"], description="Known.")
    assert tell(minutes=1) == ["Critical: Connection failing: mail"]
    incident.refresh_from_db()
    assert incident.suppressed_reason == Suppression.SILENCE
    assert tell(minutes=59) == []
    assert tell(hours=1, seconds=20) == [], "the group wait begins as the silence ends"
    assert tell(hours=1, seconds=31) == ["Critical: Connection failing: billing"]
    incident.refresh_from_db()
    texts = list(incident.updates.values_list("text", flat=True))
    assert incident.suppressed_reason == ""
    assert [text.partition(" until")[0] for text in texts[1:]] == [
        "Silenced by 'quiet'",
        "Nothing silences it any more.",
    ]


def test_the_end_is_told_to_whom_was_told_though_it_is_silenced() -> None:
    make_channel(repeat_seconds=600)
    incident = open_one()
    assert tell(seconds=1) == ["Critical: Connection failing: billing"]
    silence(subjects=["CONNECTION_ERROR"])
    assert tell(minutes=20) == [], "nothing is repeated meanwhile"
    resolve_incident(incident, "It answers.", now=NOW + timedelta(minutes=21))
    assert tell(minutes=21) == ["Resolved: Connection failing: billing"]


def test_one_that_is_ended_early_holds_no_longer() -> None:
    make_channel()
    open_one()
    row = silence(about=["bill*"])
    assert tell(seconds=1) == []
    ended = expire_silence(row, actor="ann")
    assert (ended.status, tell(minutes=5)) == ("ENDED", ["Critical: Connection failing: billing"])


def test_what_is_matched_can_be_seen_before() -> None:
    api = factories.caller()
    incident = open_one()
    open_one("mail")
    asked = api.post("/monitoring/silences/preview", {"about": ["bill*"]}, format="json").json()
    assert [each["title"] for each in asked["incidents"]] == ["Connection failing: billing"]
    assert AlertSilence.objects.count() == 0
    made = api.post(
        f"/monitoring/incidents/{incident.pk}/silence", {"minutes": 30, "comment": "Known."},
        format="json",
    )  # fmt: skip
    assert (made.status_code, made.json()["about"]) == (201, ["billing"])
    path = f"/monitoring/silences/{made.json()['id']}"
    matched = api.get(f"{path}/incidents").json()["incidents"]
    assert [each["id"] for each in matched] == [str(incident.pk)]
    assert api.post(f"{path}/expire").json()["status"] == "ENDED"
    assert api.post(f"{path}/expire").status_code == 409
    assert api.get("/monitoring/silences?active=true").json()["items"] == []


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({}, "services"),
        ({"about": ["x"], "ends_at": "2020-01-01T00:00:00Z"}, "ends_at"),
        ({"about": ["x"], "starts_at": "2999-01-01T00:00:00Z"}, "ends_at"),
        ({"about": ["x"], "ends_at": "2999-01-01T00:00:00Z"}, "ends_at"),
        ({"about": ["x"], "ends_at": None}, "ends_at"),
        ({"subjects": ["SERVICE_DAWN"]}, "subjects[0]"),
    ],
)
def test_what_is_no_silence_is_refused(fields: dict[str, Any], path: str) -> None:
    given = {"name": "s", "ends_at": (NOW + timedelta(hours=1)).isoformat(), **fields}
    refused = factories.caller().post("/monitoring/silences", given, format="json")
    assert (refused.status_code, list(refused.json()["errors"])) == (400, [path])


def test_one_click_on_the_page_of_an_incident(admin_client: Any) -> None:
    incident = open_one()
    page = reverse("admin:monitoring_incident_change", args=[incident.pk])
    assert "Silence" in admin_client.get(page).content.decode()
    action = reverse("admin:monitoring_incident_silence", args=[incident.pk])
    admin_client.post(action, {"_form_submitted": "True", "minutes": "30", "comment": "Known."})
    row = AlertSilence.objects.get()
    assert (row.about, row.subjects, row.description) == (
        ["billing"], ["CONNECTION_ERROR"], "Known.",
    )  # fmt: skip
    shown = admin_client.get(reverse("admin:monitoring_alertsilence_change", args=[row.pk]))
    assert "Connection failing: billing" in shown.content.decode()
