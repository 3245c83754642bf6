"""Who sleeps is told after it of what was, and at once of what is grave."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from monitoring.alerts.quiet_hours import is_quiet, read_period
from monitoring.alerts.telling import tell_channels
from monitoring.findings import Finding
from monitoring.incidents import open_incidents, resolve_incident
from monitoring.models import AlertChannel, AlertDelivery, Incident, Severity, Subject
from tests import factories
from tests.support.alerts import make_channel

BERLIN = ZoneInfo("Europe/Berlin")
# A Monday, 21:50 in Berlin: ten minutes before its quiet hours.
NOW = datetime(2026, 1, 5, 20, 50, tzinfo=UTC)
NIGHT: dict[str, Any] = {"quiet_hours": ["22:00-07:00"], "quiet_timezone": "Europe/Berlin"}


def open_one(about: str, minutes: float, severity: Severity = Severity.WARNING) -> Incident:
    finding = Finding(Subject.CONNECTION_ERROR, "It is away.", severity, about, about)
    open_incidents([finding], now=NOW + timedelta(minutes=minutes))
    return Incident.objects.get(dedup_key=finding.dedup_key)


def tell(minutes: float) -> list[tuple[str, str]]:
    """What is told at a time: why, and with which title."""
    before = set(AlertDelivery.objects.values_list("pk", flat=True))
    tell_channels(now=NOW + timedelta(minutes=minutes))
    rows = AlertDelivery.objects.exclude(pk__in=before).order_by("id")
    return [(str(each.reason), each.title) for each in rows]


@pytest.mark.django_db
def test_a_night_is_told_in_one_message_after_it() -> None:
    make_channel(**NIGHT)
    before = open_one("before", 0)
    assert tell(1) == [("FIRING", "Warning: Connection failing: before")]
    passing, _ = open_one("passing", 60), open_one("lasting", 70)
    assert tell(75) == []
    resolve_incident(passing, "It answers.", now=NOW + timedelta(minutes=90))
    resolve_incident(before, "It answers.", now=NOW + timedelta(minutes=95))
    assert tell(100) == [], "nor is anybody called for what is over"
    assert tell(9 * 60 + 9) == []
    assert tell(9 * 60 + 10) == [("DIGEST", "After quiet hours: 1 open, 2 over")]
    text = AlertDelivery.objects.get(reason="DIGEST").text
    assert [name in text for name in ("before", "passing", "lasting")] == [True] * 3
    assert tell(9 * 60 + 11) == []
    resolve_incident(Incident.objects.unresolved().get(), "x", now=NOW + timedelta(hours=10))
    assert tell(10 * 60) == [("RESOLVED", "Resolved: Connection failing: lasting")]
    assert AlertChannel.objects.get().quiet_since is None


@pytest.mark.django_db
def test_what_is_grave_is_told_at_any_hour_and_so_is_its_end() -> None:
    make_channel(**NIGHT)
    grave = open_one("bank", 60, Severity.CRITICAL)
    assert tell(61) == [("FIRING", "Critical: Connection failing: bank")]
    resolve_incident(grave, "It answers.", now=NOW + timedelta(minutes=80))
    assert tell(80) == [("RESOLVED", "Resolved: Connection failing: bank")]
    assert tell(9 * 60 + 10) == [], "of a night of which all was told there is no digest"


@pytest.mark.django_db
def test_nothing_is_told_where_nothing_is_grave_enough() -> None:
    make_channel(**NIGHT, quiet_min_severity="")
    open_one("bank", 60, Severity.CRITICAL)
    assert tell(61) == []
    assert tell(9 * 60 + 10) == [("DIGEST", "After quiet hours: 1 open, 0 over")]


@pytest.mark.django_db
def test_who_keeps_what_is_open_is_told_of_each_by_itself() -> None:
    make_channel(**NIGHT, type="PAGERDUTY", config={}, secret={"routing_key": "rk_0123456789"})
    for number in range(7):
        open_one(f"c{number}", 60)
    assert tell(61) == []
    assert [reason for reason, _ in tell(9 * 60 + 10)] == ["FIRING"] * 7


@pytest.mark.once
@pytest.mark.parametrize(
    ("text", "kept", "quiet", "loud"),
    [
        ("22:00 - 7:00", "22:00-07:00", "2026-01-05T06:59", "2026-01-05T07:00"),
        ("22:00-07:00 mon-fri", "22:00-07:00 MON,TUE,WED,THU,FRI", "2026-01-10T06:59",
         "2026-01-05T06:59"),
        ("00:00-24:00 sat,sun", "00:00-24:00 SAT,SUN", "2026-01-10T12:00", "2026-01-12T00:00"),
        ("00:00-24:00 SAT-MON", "00:00-24:00 MON,SAT,SUN", "2026-01-12T12:00", "2026-01-13T00:00"),
        # The clock goes forward on this night, and 02:30 does not exist.
        ("02:30-04:00", "02:30-04:00", "2026-03-29T03:10", "2026-03-29T04:00"),
    ],
)  # fmt: skip
def test_periods(text: str, kept: str, quiet: str, loud: str) -> None:
    assert str(read_period(text)) == kept
    for at, expected in ((quiet, True), (loud, False)):
        now = datetime.fromisoformat(at).replace(tzinfo=BERLIN).astimezone(UTC)
        assert is_quiet([kept], BERLIN, now) is expected, at


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"quiet_hours": ["at night"]}, "quiet_hours[0]"),
        ({"quiet_hours": ["22:00-07:00", "25:00-26:00"]}, "quiet_hours[1]"),
        ({"quiet_hours": ["22:00-22:00"]}, "quiet_hours[0]"),
        ({"quiet_hours": ["22:00-07:00 MOND"]}, "quiet_hours[0]"),
        ({"quiet_timezone": "Europe/Atlantis"}, "quiet_timezone"),
    ],
)
def test_what_are_no_quiet_hours_is_refused(fields: dict[str, object], path: str) -> None:
    make_channel()
    refused = factories.caller().patch("/monitoring/channels/on-call", fields, format="json")
    assert (refused.status_code, list(refused.json()["errors"])) == (400, [path])
