"""What people do about incidents, and the timeline that says so."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from core.models import AuditEntry
from monitoring.findings import Finding
from monitoring.handling import end_due_acknowledgements
from monitoring.incidents import open_incidents, resolve_incident, watch_fleet
from monitoring.models import Incident, IncidentUpdate, Subject
from tests import factories

pytestmark = pytest.mark.django_db
NOW = timezone.now()
PATH = "/monitoring/incidents"


@pytest.fixture
def api() -> Any:
    return factories.caller("OPERATOR")


def opened(api: Any, title: str = "Slow", **fields: Any) -> dict[str, Any]:
    answer = api.post(PATH, {"title": title, **fields})
    assert answer.status_code == 201, answer.content
    return answer.json()


def act(api: Any, row: dict[str, Any], name: str, **body: Any) -> Any:
    return api.post(f"{PATH}/{row['id']}/{name}", body)


def timeline(incident: Any) -> list[tuple[str, str, str, bool]]:
    rows = IncidentUpdate.objects.filter(incident_id=getattr(incident, "pk", incident))
    return [(e.kind, e.page_status, e.text, e.public) for e in rows.order_by("id")]


def test_one_by_hand_goes_its_way_and_every_step_is_in_its_timeline(api: Any) -> None:
    factories.make_service("billing")
    row = opened(
        api, "Payments are slow", service="billing", impact="MAJOR", public=True, text="Timeouts."
    )
    assert (row["subject"], row["status"], row["about"]) == ("MANUAL", "OPEN", "billing")
    assert act(api, row, "acknowledge").json()["status"] == "ACKNOWLEDGED"
    assert act(api, row, "assign", to="ann").json()["assigned_to"] == "ann"
    raised = act(api, row, "describe", severity="CRITICAL", title="Payments fail").json()
    assert (raised["status"], raised["acknowledged_by"]) == ("OPEN", "")  # it is nobody's again
    update = {"text": "A disk was full.", "page_status": "IDENTIFIED", "public": True}
    assert act(api, row, "updates", **update).status_code == 201
    act(api, row, "updates", text="See ticket 4.")
    act(api, row, "updates", text="All is well.", page_status="RESOLVED", public=True)
    ended = api.get(f"{PATH}/{row['id']}").json()
    assert (ended["status"], ended["resolution"]) == ("RESOLVED", "All is well.")
    act(api, row, "updates", text="What we learned.", page_status="POSTMORTEM", public=True)
    assert timeline(row["id"]) == [
        ("STATUS", "INVESTIGATING", "Timeouts.", True),
        ("ACK", "", "Seen to.", False),
        ("ACK", "", "Assigned to ann.", False),
        ("STATUS", "", "Severity is now CRITICAL; title is now Payments fail.", False),
        ("STATUS", "IDENTIFIED", "A disk was full.", True),
        ("NOTE", "", "See ticket 4.", False),
        ("STATUS", "RESOLVED", "All is well.", True),
        ("STATUS", "", "Resolved. All is well.", False),
        ("STATUS", "POSTMORTEM", "What we learned.", True),
    ]
    listed = api.get(f"{PATH}/{row['id']}/updates?per_page=2").json()["items"]
    assert [each["page_status"] for each in listed] == ["POSTMORTEM", ""]
    assert AuditEntry.objects.filter(object_id=row["id"]).count() == len(timeline(row["id"]))
    assert api.get(f"/health/incidents/{row['id']}").json()["page_status"] == "POSTMORTEM"


@pytest.mark.parametrize(
    ("name", "body", "status", "field"),
    [
        ("updates", {"text": "x", "page_status": "POSTMORTEM"}, 400, "page_status"),
        ("updates", {"text": "x", "page_status": "GONE"}, 400, "page_status"),
        ("updates", {}, 400, "text"),
        ("describe", {}, 400, ""),
        ("describe", {"impact": "HUGE"}, 400, "impact"),
        ("merge", {"into": "nothing"}, 404, None),
        ("acknowledge", {"until": "2001-01-01T00:00:00Z"}, 400, "until"),
        ("unacknowledge", {}, 409, None),
    ],
)
def test_what_makes_no_sense_is_refused(
    api: Any, name: str, body: dict[str, Any], status: int, field: str | None
) -> None:
    row = opened(api)
    answer = act(api, row, name, **body)
    assert answer.status_code == status, answer.content
    if field is not None:
        assert field in answer.json()["errors"]
    assert len(timeline(row["id"])) == 1


def test_what_is_over_is_not_ended_handed_over_or_merged(api: Any) -> None:
    row, other = opened(api), opened(api)
    assert act(api, row, "resolve", resolution="Done.").json()["resolution"] == "Done."
    for name, body in (("resolve", {}), ("assign", {"to": "ann"}), ("merge", {"into": other["id"]}),
                       ("describe", {"severity": "CRITICAL"}), ("acknowledge", {})):  # fmt: skip
        assert act(api, row, name, **body).status_code == 409, name
    assert act(api, row, "updates", text="x", page_status="MONITORING").status_code == 400


def found(key: str = "1", severity: str = "WARNING") -> Incident:
    finding = Finding(Subject.CREDENTIAL_EXPIRY, "It ends.", severity, about="key", key=key)  # type: ignore[arg-type]
    open_incidents([finding], now=NOW)
    return Incident.objects.get(dedup_key=finding.dedup_key)


def test_what_was_found_is_a_part_until_it_is_over_by_itself(api: Any) -> None:
    whole, part, second = opened(api, "All"), opened(api, "By hand"), found()
    assert act(api, part, "merge", into=whole["id"]).json()["status"] == "RESOLVED"
    merged = act(api, {"id": str(second.pk)}, "merge", into=whole["id"]).json()
    assert (merged["status"], merged["merged_into"]) == ("OPEN", whole["id"])
    assert act(api, whole, "merge", into=str(second.pk)).status_code == 400  # a part of a part
    assert [words for *_, words, _ in timeline(whole["id"])][1:] == [
        "Merged: By hand.",
        "Merged: Credential ends: key.",
    ]
    watch_fleet(now=NOW)
    assert Incident.objects.get(pk=second.pk).status == "RESOLVED"


def test_the_severity_of_what_was_found_is_that_of_what_is_wrong(api: Any) -> None:
    answer = act(api, {"id": str(found().pk)}, "describe", severity="CRITICAL")
    assert answer.status_code == 400


def test_who_sees_to_it_until_a_time_does_so_no_longer(api: Any) -> None:
    row = opened(api)
    until = timezone.now() + timedelta(hours=1)
    assert act(api, row, "acknowledge", until=until.isoformat()).status_code == 200
    assert end_due_acknowledgements(now=until - timedelta(seconds=1)) == 0
    assert end_due_acknowledgements(now=until) == 1
    assert api.get(f"{PATH}/{row['id']}").json()["acknowledged_by"] == ""
    assert timeline(row["id"])[-1][2] == "The time of who saw to it is over."


def test_the_hub_enters_what_it_does_by_itself() -> None:
    incident = found()
    resolve_incident(incident, "It was rotated.", now=NOW)
    found()
    assert [words for *_, words, _ in timeline(incident)] == [
        "It ends.",
        "Resolved. It was rotated.",
        "It came back.",
    ]
