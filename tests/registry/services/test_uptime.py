"""How much of the time a service could be used."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from registry import services
from registry.models import ObservationGap, RegistryChange, Service
from registry.services.uptime import measure_uptime, rate_uptime
from tests import factories

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


def hours(count: float) -> datetime:
    return NOW - timedelta(hours=count)


@pytest.mark.parametrize(
    ("changes", "gaps", "percent", "coverage"),
    [
        ([(24, "ONLINE")], [], 100.0, 100.0),
        ([(24, "OFFLINE")], [], 0.0, 100.0),
        ([(30, "DEGRADED"), (6, "OFFLINE")], [], 75.0, 100.0),
        ([(24, "OFFLINE"), (18, "ONLINE"), (12, "MAINTENANCE"), (6, "ONLINE")], [], 66.667, 100.0),
        ([(30, "ONLINE"), (26, "OFFLINE"), (25, "ONLINE")], [], 100.0, 100.0),
        # UNKNOWN is no data, wherever it stands.
        ([(24, "UNKNOWN")], [], None, 0.0),
        ([(24, "UNKNOWN"), (12, "ONLINE")], [], 100.0, 50.0),
        ([(24, "ONLINE"), (18, "OFFLINE"), (12, "UNKNOWN")], [], 50.0, 50.0),
        # The hub was stopped.
        ([(24, "ONLINE")], [(12, 6)], 100.0, 75.0),
        ([(24, "ONLINE"), (6, "OFFLINE")], [(18, 6)], 50.0, 50.0),
        ([(24, "ONLINE"), (12, "OFFLINE"), (6, "ONLINE")], [(30, 18), (8, 0)], 60.0, 41.67),
        ([(24, "ONLINE")], [(18, 8), (12, 6), (12, 10)], 100.0, 50.0),
        ([(24, "ONLINE")], [(24, 0)], None, 0.0),
        ([(24, "ONLINE"), (12, "UNKNOWN")], [(18, 6)], 100.0, 25.0),
        # Before the log begins there is no data.
        ([(6, "OFFLINE"), (3, "ONLINE")], [], 50.0, 25.0),
        ([], [], None, 0.0),
    ],
)
def test_uptime_is_the_share_of_what_was_observed(
    changes: list[tuple[float, str]],
    gaps: list[tuple[float, float]],
    percent: float | None,
    coverage: float,
) -> None:
    found = rate_uptime(
        [(hours(count), status) for count, status in changes],
        gaps=[(hours(start), hours(end)) for start, end in gaps],
        start=hours(24),
        end=NOW,
    )
    assert (found.percent, found.coverage) == (percent, coverage)


statuses = st.sampled_from(["ONLINE", "DEGRADED", "OFFLINE", "MAINTENANCE", "UNKNOWN"])
moments = st.integers(0, 48).map(lambda count: count / 2)


@given(
    changes=st.lists(st.tuples(moments, statuses), max_size=8),
    gaps=st.lists(st.tuples(moments, moments), max_size=4),
)
def test_uptime_is_what_counting_half_hours_gives(
    changes: list[tuple[float, str]], gaps: list[tuple[float, float]]
) -> None:
    told = sorted(changes, key=lambda change: -change[0])
    unseen = [(max(gap), min(gap)) for gap in gaps if gap[0] != gap[1]]
    found = rate_uptime(
        [(hours(count), status) for count, status in told],
        gaps=[(hours(start), hours(end)) for start, end in unseen],
        start=hours(24),
        end=NOW,
    )
    seen = []
    for middle in (number / 2 - 0.25 for number in range(1, 49)):
        known = [status for count, status in told if count > middle]
        hidden = any(end < middle < start for start, end in unseen)
        if known and known[-1] != "UNKNOWN" and not hidden:
            seen.append(known[-1])
    up = sum(status in ("ONLINE", "DEGRADED") for status in seen)
    counted = up + seen.count("OFFLINE")
    assert found.coverage == round(len(seen) / 48 * 100, 2)
    assert found.percent == (round(up / counted * 100, 3) if counted else None)


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
def test_of_a_new_service_there_is_no_data_yet() -> None:
    assert measure_uptime(make(-0.01), now=NOW).percent is None
    api = factories.caller("VIEWER")
    service = factories.make_service("fresh")
    uptime = api.get(f"/registry/services/{service.pk}/health").json()["uptime"]
    assert (uptime["percent"], uptime["coverage"]) == (None, 0.0)


@pytest.mark.django_db
def test_the_time_in_which_the_hub_was_stopped_is_no_data() -> None:
    service = make(24, (24, "ONLINE"))
    services.expire_instances(now=hours(18))
    services.expire_instances(now=hours(18) + timedelta(seconds=9))
    services.expire_instances(now=hours(12))
    assert measure_uptime(service, now=hours(12)).coverage == pytest.approx(50.0, abs=0.1)
    # It is stopped again, and only the web answers.
    found = measure_uptime(service, now=NOW)
    assert found.percent == 100.0
    assert found.coverage == pytest.approx(25.0, abs=0.1)
    services.expire_instances(now=NOW + timedelta(days=401))
    assert ObservationGap.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("status", ["ONLINE", "UNKNOWN"])
def test_the_page_of_a_service_says_how_much_was_observed(
    client: Client, status: str, settings: Any
) -> None:
    service = factories.make_service(status=status)
    Service.objects.update(created_at=timezone.now() - timedelta(hours=10))
    RegistryChange.objects.create(service_id=service.pk, kind="REGISTERED", status=status)
    RegistryChange.objects.update(created_at=timezone.now() - timedelta(hours=10))
    now = timezone.now()
    ObservationGap.objects.create(started_at=now - timedelta(hours=5), ended_at=now)
    client.force_login(User.objects.create_superuser("root"))
    shown = client.get(reverse("admin:registry_service_change", args=(service.pk,)))
    said = " ".join(shown.content.decode().split())
    assert ("up 100% of the last" in said and "of it observed" in said) == (status == "ONLINE")
    assert ("uptime: no data yet" in said) == (status == "UNKNOWN")
