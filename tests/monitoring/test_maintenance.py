"""Windows of maintenance: when they are, and that nobody is called in them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.db.pipeline import pipelined_transaction
from monitoring.alerts.telling import tell_channels
from monitoring.checks.reading import looks_of
from monitoring.checks.store import claim_due
from monitoring.findings import Finding
from monitoring.handling import (
    acknowledge_incident,
    describe_incident,
    merge_incident,
    open_by_hand,
)
from monitoring.incidents import open_incidents
from monitoring.maintenance.lifecycle import cancel_window, create_window, update_window
from monitoring.maintenance.planning import occurrences_of, plan_windows
from monitoring.models import (
    AlertDelivery,
    CheckState,
    Incident,
    MaintenanceOccurrence,
    MaintenanceWindow,
    Severity,
    Subject,
)
from tests import factories
from tests.support.alerts import make_channel
from tests.support.checks import make_check

pytestmark = pytest.mark.django_db
NOW = timezone.now()


def at(*when: int) -> datetime:
    return datetime(*when, tzinfo=UTC)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        # 02:00 does not exist: it begins at once when it would have, at 03:00 on the clock.
        (at(2026, 3, 29), (at(2026, 3, 29, 1), at(2026, 3, 29, 2))),
        # 02:00 comes twice: it is the first, and an hour long.
        (at(2026, 10, 25), (at(2026, 10, 25, 0), at(2026, 10, 25, 1))),
        (at(2026, 7, 1), (at(2026, 7, 1, 0), at(2026, 7, 1, 1))),
    ],
)
def test_a_window_of_every_night_where_clocks_are_changed(
    first: datetime, expected: tuple[datetime, datetime]
) -> None:
    window = MaintenanceWindow(cron="0 2 * * *", duration_minutes=60, timezone="Europe/Berlin")
    begins = first - timedelta(hours=2)
    assert occurrences_of(window, begins, begins + timedelta(hours=23)) == [expected]


def make_window(**fields: Any) -> MaintenanceWindow:
    usual = {"name": "work", "services": ["bill*"], "starts_at": NOW - timedelta(minutes=1),
             "ends_at": NOW + timedelta(minutes=10)}  # fmt: skip
    return MaintenanceWindow.objects.create(**{**usual, **fields})


def test_times_are_made_once_and_say_when_they_begin_and_end() -> None:
    window = make_window()
    recurring = make_window(
        name="nightly", cron="0 2 * * *", duration_minutes=60, timezone="Europe/Berlin",
        starts_at=None, ends_at=None,
    )  # fmt: skip
    broken = make_window(name="broken", cron="no cron", duration_minutes=1)
    for minutes, status in ((0, "IN_PROGRESS"), (5, "IN_PROGRESS"), (10, "COMPLETED")):
        plan_windows(now=NOW + timedelta(minutes=minutes))
        window.refresh_from_db()
        assert window.status == status
    assert window.occurrences.get().state == "COMPLETED"
    assert 13 <= recurring.occurrences.count() <= 15
    assert not broken.occurrences.exists()


def down(service: Any = None, severity: Severity = Severity.CRITICAL) -> Incident:
    finding = Finding(
        Subject.SERVICE_DOWN, "It fell silent.", severity, about="billing", key="1",
        service_id=service.pk if service else None,
    )  # fmt: skip
    open_incidents([finding], now=NOW)
    return Incident.objects.get(dedup_key=finding.dedup_key)


def messages(**after: float) -> list[str]:
    """What is told at a time, by the words of its title."""
    before = set(AlertDelivery.objects.values_list("pk", flat=True))
    tell_channels(now=NOW + timedelta(**after))
    return [each.title for each in AlertDelivery.objects.exclude(pk__in=before)]


def test_nobody_is_called_in_a_window_and_after_it_of_what_is_still_down() -> None:
    make_channel(group_wait_seconds=30)
    make_window()
    plan_windows(now=NOW)
    down(factories.make_service("billing"))
    assert [messages(minutes=m) for m in (1, 9.9, 10.4)] == [[], [], []]
    assert messages(minutes=10.5) == ["Critical: Service down: billing"]


def test_other_services_and_windows_that_are_not_silent_call_as_ever() -> None:
    make_channel()
    make_window(services=["mail"])
    make_window(name="loud", suppress_alerts=False)
    plan_windows(now=NOW)
    down(factories.make_service("billing"))
    assert len(messages(minutes=1)) == 1


def test_maintenance_is_called_for_and_ended_over_the_api() -> None:
    api = factories.caller("OPERATOR")
    factories.make_service("billing")
    order = {"services": ["Billing"], "minutes": 10, "reason": "A disk is changed."}
    made = api.post("/monitoring/maintenance/now", order).json()
    assert (made["status"], made["services"]) == ("IN_PROGRESS", ["billing"])
    assert api.get("/monitoring/maintenance?status=in_progress").json()["items"][0] == made
    ended = api.post(f"/monitoring/maintenance/{made['id']}/finish")
    assert (ended.status_code, ended.json()["status"]) == (200, "COMPLETED")
    assert MaintenanceOccurrence.objects.get().ends_at <= timezone.now()
    assert api.post(f"/monitoring/maintenance/{made['id']}/finish").status_code == 409
    wrong: dict[str, Any]
    for wrong in ({"services": []}, {"minutes": 0}, {"services": ["none"]}):
        assert api.post("/monitoring/maintenance/now", {**order, **wrong}).status_code in (400, 404)


ONCE = {"name": "disks", "services": ["bill*"], "starts_at": "2090-01-01T00:00:00Z",
        "ends_at": "2090-01-02T00:00:00Z"}  # fmt: skip
NIGHTLY = {"name": "nightly", "everything": True, "cron": "0 2 * * *", "duration_minutes": 60,
           "timezone": "Europe/Berlin"}  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "field", "words"),
    [
        ({**ONCE, "services": []}, "services", "everything"),
        ({**ONCE, "services": ["a/b"]}, "services[0]", "letters"),
        ({**ONCE, "types": ["CUSTARD"]}, "types[0]", "CUSTOM"),
        ({**ONCE, "ends_at": None}, "ends_at", "null"),
        ({**ONCE, "ends_at": "2089-01-01T00:00:00Z"}, "ends_at", "before it starts"),
        ({**ONCE, "ends_at": "2092-01-01T00:00:00Z"}, "ends_at", "a year"),
        ({**ONCE, "starts_at": "2020-01-01T00:00:00Z", "ends_at": "2020-01-02T00:00:00Z"},
         "ends_at", "past"),
        ({**ONCE, "duration_minutes": 5}, "duration_minutes", "cron"),
        ({"name": "x", "everything": True}, "starts_at", "duration_minutes"),
        ({**NIGHTLY, "cron": "0 2 * *"}, "cron", "five fields"),
        ({**NIGHTLY, "timezone": "Berlin"}, "timezone", "Europe/Berlin"),
        ({**NIGHTLY, "duration_minutes": 1440}, "duration_minutes", "never end"),
        ({k: v for k, v in NIGHTLY.items() if k != "duration_minutes"}, "duration_minutes", "last"),
    ],
)  # fmt: skip
def test_what_no_window_can_be_is_refused_by_its_field(
    wrong: dict[str, Any], field: str, words: str
) -> None:
    answer = factories.caller("OPERATOR").post("/monitoring/maintenance", wrong)
    errors = answer.json()["errors"]
    assert answer.status_code == 400
    assert [name for name, said in errors.items() if words in str(said)] == [field], errors


def test_a_planned_window_is_moved_made_longer_and_called_off() -> None:
    api = factories.caller("OPERATOR")
    path = f"/monitoring/maintenance/{api.post('/monitoring/maintenance', ONCE).json()['id']}"
    assert MaintenanceOccurrence.objects.get().starts_at == at(2090, 1, 1)
    moved = api.patch(path, {"starts_at": "2089-12-31T00:00:00Z"})
    assert (moved.status_code, moved.json()["status"]) == (200, "SCHEDULED")
    assert MaintenanceOccurrence.objects.get().starts_at == at(2089, 12, 31)
    assert api.post(f"{path}/extend", {"minutes": 5}).status_code == 409
    # It begins.
    begun = api.patch(path, {"starts_at": (NOW - timedelta(minutes=5)).isoformat(),
                             "ends_at": (NOW + timedelta(days=1)).isoformat()})  # fmt: skip
    assert begun.json()["status"] == "IN_PROGRESS"
    for change in ({"starts_at": NOW.isoformat()}, {**NIGHTLY, "starts_at": None, "ends_at": None}):
        assert api.patch(path, change).status_code == 409
    assert api.delete(path).status_code == 409
    longer = api.post(f"{path}/extend", {"minutes": 5})
    later = NOW + timedelta(days=1, minutes=5)
    assert datetime.fromisoformat(longer.json()["ends_at"]) == later
    assert MaintenanceOccurrence.objects.get().ends_at == later
    assert api.post(f"{path}/cancel", {"reason": "Rain."}).json()["status"] == "CANCELLED"
    assert MaintenanceOccurrence.objects.get().ends_at <= timezone.now()
    answers = [api.post(f"{path}/cancel").status_code, api.patch(path, ONCE).status_code]
    assert answers == [409, 409]
    assert api.delete(path).status_code == 204
    assert not MaintenanceOccurrence.objects.exists()


def test_what_recurs_is_planned_anew_with_its_rule_and_goes_on_after_a_finish() -> None:
    window = create_window(NIGHTLY, actor="ann")
    before = set(window.occurrences.values_list("starts_at", flat=True))
    update_window(window, {"cron": "30 4 * * *"}, actor="ann")
    after = set(window.occurrences.values_list("starts_at", flat=True))
    assert len(after) >= 13
    assert not after & before
    # A sweep changes nothing.
    plan_windows(now=timezone.now())
    assert set(window.occurrences.values_list("starts_at", flat=True)) == after
    cancel_window(window, actor="ann")
    plan_windows(now=timezone.now())
    assert not window.occurrences.filter(starts_at__gt=timezone.now()).exists()


def test_a_part_of_another_is_not_told_alone_while_that_is_open() -> None:
    whole = open_by_hand({"title": "All is slow"}, actor="ann")
    part = down()
    merge_incident(part, str(whole.pk), actor="ann")
    make_channel()
    assert messages(hours=1) == ["Warning: All is slow"]


def test_what_somebody_sees_to_is_told_again_once_it_becomes_worse() -> None:
    make_channel(repeat_seconds=3600)
    incident = open_by_hand({"title": "Slow"}, actor="ann")
    Incident.objects.update(opened_at=NOW)
    assert messages(minutes=1) == ["Warning: Slow"]
    acknowledge_incident(incident, actor="ann")
    assert messages(hours=5) == []
    describe_incident(incident, {"severity": "CRITICAL"}, actor="bob")
    assert messages(hours=5, minutes=1) == ["Critical: Slow"]
    assert messages(hours=5, minutes=9) == []


@pytest.mark.django_db
def test_looks_in_a_window_are_marked_and_others_are_not() -> None:
    now = timezone.now()
    for name in ("shop", "mail"):
        service = factories.make_service(name, urls=("http://127.0.0.1:9",))
        check = make_check(f"{name}-front", service=service, url="")
        check.states.update(instance=service.instances.get())
    make_check("outside")
    times = {"starts_at": now - timedelta(minutes=5), "ends_at": now + timedelta(minutes=5)}

    def marked() -> set[str]:
        with pipelined_transaction():
            claimed = claim_due(now=timezone.now(), until=timezone.now())
            looks = looks_of(claimed, now=now)
        CheckState.objects.update(lease_until=None)
        assert len(looks) == 3
        return {look.spec.name for look in looks if look.in_maintenance}

    assert marked() == set()
    create_window({"name": "shop", "services": ["shop"], **times}, actor="x")
    assert marked() == {"shop-front"}
    create_window({"name": "all", "everything": True, **times}, actor="x")
    assert marked() == {"shop-front", "mail-front", "outside"}


@pytest.mark.django_db
def test_a_list_of_many_windows_asks_as_often_as_one_of_few(admin_client: Any) -> None:
    page = "/admin/monitoring/maintenancewindow/"
    counts = []
    for number in range(4):
        now = timezone.now() + timedelta(hours=number)
        fields = {"name": f"w{number}", "tags": ["db"], "starts_at": now,
                  "ends_at": now + timedelta(hours=1)}  # fmt: skip
        create_window(fields, actor="x")
        with CaptureQueriesContext(connection) as asked:
            shown = admin_client.get(page).content.decode()
        assert f"w{number}" in shown
        counts.append(len(asked))
    assert counts[1] == counts[3]
    assert "<title> Maintenance windows | " in " ".join(shown.split())
