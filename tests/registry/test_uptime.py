"""How much of the time a service could be used."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from registry.models import RegistryChange, Service
from registry.uptime import measure_uptime, share_up
from tests import factories

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


def hours(count: float) -> datetime:
    return NOW - timedelta(hours=count)


@pytest.mark.parametrize(
    ("changes", "share"),
    [
        ([(24, "ONLINE")], 1.0),
        ([(24, "OFFLINE")], 0.0),
        ([(30, "DEGRADED"), (6, "OFFLINE")], 0.75),
        ([(24, "OFFLINE"), (18, "ONLINE"), (12, "MAINTENANCE"), (6, "ONLINE")], 0.5),
        ([(30, "ONLINE"), (26, "OFFLINE"), (25, "ONLINE")], 1.0),
    ],
)
def test_the_share_counts_online_and_degraded(
    changes: list[tuple[float, str]], share: float
) -> None:
    found = [(hours(count), status) for count, status in changes]
    assert share_up(found, start=hours(24), end=NOW) == share


def make(created: float, *changes: tuple[float, str], status: str = "ONLINE") -> Service:
    service = factories.make_service(status=status)
    Service.objects.update(created_at=hours(created))
    service.refresh_from_db()
    for count, value in changes:
        row = RegistryChange.objects.create(
            service_id=service.pk, service_name="x", kind="STATUS_CHANGED", status=value
        )
        RegistryChange.objects.filter(pk=row.pk).update(created_at=hours(count))
    return service


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("created", "changes", "percent", "since"),
    [
        (48, [(48, "ONLINE"), (12, "OFFLINE"), (6, "ONLINE")], 75.0, 24),
        (8, [(8, "ONLINE"), (2, "OFFLINE")], 75.0, 8),
        # The log no longer has how it was before: only what is known counts.
        (48, [(10, "OFFLINE"), (5, "ONLINE")], 50.0, 10),
        (48, [], 100.0, 24),
    ],
)
def test_uptime_is_of_what_is_on_record(
    created: float, changes: list[tuple[float, str]], percent: float, since: float
) -> None:
    found = measure_uptime(make(created, *changes), now=NOW)
    assert (found.percent, found.since) == (percent, hours(since))


@pytest.mark.django_db
def test_a_new_service_has_the_uptime_of_its_status() -> None:
    assert measure_uptime(make(-0.01), now=NOW).percent == 100.0
    api = factories.caller("VIEWER")
    service = factories.make_service("fresh", status="OFFLINE")
    uptime = api.get(f"/registry/services/{service.pk}/health").json()["uptime"]
    assert uptime["percent"] == 0.0
