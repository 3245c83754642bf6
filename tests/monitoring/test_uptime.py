"""What is remembered of how services were, and the one definition of uptime."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from monitoring.models import (
    MaintenanceOccurrence,
    MaintenanceWindow,
    MemoryState,
    Period,
    StatusSpan,
    UptimeRollup,
)
from monitoring.uptime.bars import bars_of, draw_days
from monitoring.uptime.board import FIGURES, meaning_of
from monitoring.uptime.latency import BUCKETS, count_latencies, merge_latencies, percentile
from monitoring.uptime.reading import read_days, read_window, read_windows
from monitoring.uptime.rollups import forget_hours, measure_all, sum_hours
from monitoring.uptime.spans import begin_missing, follow_changes
from registry import services
from registry.models import ObservationGap, RegistryChange, Service
from registry.policies.uptime import MaintenancePolicy, Parts, measure
from tests import factories

DAY = datetime(2026, 3, 4, tzinfo=UTC)


def at(hours: float) -> datetime:
    return DAY + timedelta(hours=hours)


def day(changes: list[tuple[float, str]], **spans: list[tuple[float, float]]) -> Parts:
    told = [(at(hour), status) for hour, status in changes]
    marked = {k: [(at(a), at(b)) for a, b in v] for k, v in spans.items()}
    return measure(told, start=DAY, end=at(24), **marked)


DOWN_FOR_HALF_AN_HOUR = [(0.0, "ONLINE"), (10.0, "OFFLINE"), (10.5, "ONLINE")]


@pytest.mark.parametrize(
    ("policy", "percent"), [("EXCLUDE", 99.296), ("COUNT_UP", 99.306), ("COUNT_AS_IS", 97.917)]
)
def test_maintenance_counts_as_the_policy_says(policy: str, percent: float) -> None:
    found = day(DOWN_FOR_HALF_AN_HOUR, windows=[(10.1, 10.1 + 1 / 3)])
    assert found.percent(policy) == percent
    assert (found.down, found.maintenance) == pytest.approx((600, 1200))


def test_an_hour_in_which_nobody_looked_leaves_the_fraction_and_is_told() -> None:
    found = day([(-5, "ONLINE")], gaps=[(6, 7)])
    assert (found.percent(), found.coverage) == (100.0, 95.83)


@pytest.mark.parametrize(
    ("changes", "percent", "unknown"),
    [
        ([(0, "DEGRADED")], 100.0, 0),
        ([(0, "ONLINE"), (12, "UNKNOWN")], 100.0, 12),
        ([(0, "PENDING"), (12, "OFFLINE")], 0.0, 12),
        ([(0, "ONLINE"), (1, "OFFLINE"), (1.001, "ONLINE")], 99.996, 0),
        ([(0, "ONLINE"), (1, "OFFLINE"), (1 + 1e-6, "ONLINE")], 99.999, 0),
        ([(6, "ONLINE"), (30, "OFFLINE")], 100.0, 6),
        ([(0, "ONLINE"), (6, "MAINTENANCE"), (12, "ONLINE")], 100.0, 0),
        ([], None, 24),
    ],
)
def test_uptime_is_weighted_by_time(
    changes: list[tuple[float, str]], percent: float | None, unknown: float
) -> None:
    found = day(changes)
    assert (found.percent(), found.unknown) == (percent, unknown * 3600)
    assert found.seconds == pytest.approx(86_400)


def test_a_status_of_maintenance_could_not_be_used() -> None:
    found = day([(0, "ONLINE"), (12, "MAINTENANCE")])
    assert found.percent(MaintenancePolicy.COUNT_AS_IS) == 50.0
    assert found.coverage == 100.0


def test_latencies_add_up_and_give_percentiles() -> None:
    fast, slow = count_latencies([20.0] * 90), count_latencies([900.0] * 9 + [99_999.0])
    both = merge_latencies([fast, [], slow])
    assert len(both) == BUCKETS
    assert sum(both) == 100
    assert percentile(both, 0.5) == pytest.approx(20, rel=0.8)
    assert 562 < (percentile(both, 0.95) or 0) <= 1000
    assert percentile(merge_latencies([[]]), 0.5) is None


@pytest.mark.parametrize(
    ("parts", "tone", "words"),
    [
        (Parts(up=86_400), "good", "100 % up"),
        (Parts(up=86_100, down=300), "warning", "99.653 % up, down for 5 min"),
        (Parts(up=43_200, down=43_200), "bad", "50 % up, down for 12 h"),
        (Parts(up=80_000, unknown=6_400), "good", "100 % up, not observed for 1 h 46 min"),
        (Parts(maintenance_down=86_400), "info", "maintenance"),
        (Parts(unknown=86_400), "none", "no data"),
    ],
)
def test_a_day_is_a_colour_and_words(parts: Parts, tone: str, words: str) -> None:
    bar = bars_of({DAY: parts}, now=at(5), days=2)[-1]
    assert (bar.tone, bar.words) == (tone, f"4 March 2026: {words}")
    assert "<title>4 March" in draw_days([bar], what="shop")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("about", "status", "state", "maintenance"),
    [
        ({"services": ["sh*"]}, "COMPLETED", "COMPLETED", 1200),
        ({"tags": ["eu"]}, "COMPLETED", "COMPLETED", 1200),
        ({"everything": True}, "IN_PROGRESS", "IN_PROGRESS", 1200),
        ({"services": ["other"]}, "COMPLETED", "COMPLETED", 0),
        ({"everything": True}, "CANCELLED", "SCHEDULED", 0),
    ],
)
def test_windows_of_maintenance_are_of_the_services_they_name(
    about: dict[str, Any], status: str, state: str, maintenance: float
) -> None:
    service = factories.make_service("shop", tags=["eu"])
    StatusSpan.objects.create(service=service, status="ONLINE", started_at=at(-24))
    window = MaintenanceWindow.objects.create(name="night", status=status, **about)
    begin, end = at(10), at(10) + timedelta(minutes=20)
    MaintenanceOccurrence.objects.create(
        window=window, starts_at=begin, ends_at=end, planned_at=begin, state=state
    )
    assert measure_all([service.pk], DAY, at(24))[service.pk].maintenance == maintenance


def log(service: Service, hours: float, status: str) -> None:
    row = RegistryChange.objects.create(
        service_id=service.pk, service_name=service.name, kind="STATUS_CHANGED", status=status
    )
    RegistryChange.objects.filter(pk=row.pk).update(created_at=at(hours))


def spans_of(service: Service) -> list[tuple[str, datetime, datetime | None]]:
    rows = StatusSpan.objects.filter(service=service).order_by("id")
    return [(row.status, row.started_at, row.ended_at) for row in rows]


@pytest.mark.django_db
def test_the_spans_follow_the_log_of_changes() -> None:
    service = factories.make_service(version="1")
    log(service, 1, "ONLINE")
    log(service, 2, "ONLINE")
    assert follow_changes(now=at(3)) == 1
    log(service, 4, "OFFLINE")
    log(service, 5, "ONLINE")
    assert follow_changes(now=at(6)) == 2
    assert follow_changes(now=at(6)) == 0
    assert spans_of(service) == [
        ("ONLINE", at(1), at(4)), ("OFFLINE", at(4), at(5)), ("ONLINE", at(5), None),
    ]  # fmt: skip
    # A version that changes is a boundary too.
    Service.objects.update(version="2")
    log(service, 7, "ONLINE")
    follow_changes(now=at(8))
    assert [span.version for span in StatusSpan.objects.order_by("id")] == ["1", "1", "1", "2"]


@pytest.mark.django_db
def test_what_the_service_does_ends_up_in_its_spans() -> None:
    service = factories.make_service(urls=("http://127.0.0.1:9",))
    services.set_service_status(service, "OFFLINE")
    services.set_service_status(service, "MAINTENANCE")
    follow_changes(now=timezone.now())
    assert [status for status, *_ in spans_of(service)] == ["OFFLINE", "MAINTENANCE"]
    services.unregister_service(service)
    assert follow_changes(now=timezone.now()) == 0


@pytest.mark.django_db
def test_services_of_which_the_log_tells_nothing_are_as_they_are() -> None:
    service = factories.make_service(status="ONLINE")
    assert begin_missing(now=timezone.now()) == 1
    assert begin_missing(now=timezone.now()) == 0
    assert [(status, end) for status, _, end in spans_of(service)] == [("ONLINE", None)]


@pytest.mark.django_db
def test_hours_and_days_are_summed_once_and_forgotten_late() -> None:
    service = factories.make_service()
    Service.objects.update(created_at=at(0))
    for hours, status in DOWN_FOR_HALF_AN_HOUR:
        log(service, hours, status)
    ObservationGap.objects.create(started_at=at(6), ended_at=at(7))
    follow_changes(now=at(12))
    assert sum_hours(now=at(12)) == 11
    assert sum_hours(now=at(24.5)) == 13
    assert sum_hours(now=at(24.5)) == 0
    hour = UptimeRollup.objects.get(period=Period.HOUR, starts_at=at(10))
    assert (hour.up_ms, hour.down_ms) == (1_800_000, 1_800_000)
    whole = UptimeRollup.objects.get(period=Period.DAY)
    assert (whole.up_ms, whole.down_ms, whole.unknown_ms) == (81_000_000, 1_800_000, 3_600_000)
    MemoryState.objects.update(summed_until=at(10))
    assert sum_hours(now=at(24.5)) == 14
    forget_hours(now=at(24 * 402))
    assert list(UptimeRollup.objects.values_list("period", flat=True)) == ["DAY"]
    assert [status for status, *_ in spans_of(service)] == ["ONLINE"]


@pytest.mark.django_db
def test_uptime_over_the_api_has_its_parts_and_days() -> None:
    api = factories.caller("VIEWER")
    service = factories.make_service("shop")
    now = timezone.now().replace(second=0, microsecond=0)
    Service.objects.update(created_at=now - timedelta(days=10))
    half = now - timedelta(hours=12)
    StatusSpan.objects.create(
        service=service, status="OFFLINE", started_at=now - timedelta(days=2), ended_at=half
    )
    StatusSpan.objects.create(service=service, status="ONLINE", started_at=half)
    found: Any = api.get("/monitoring/services/shop/uptime?window=24h&maintenance=count_up").json()
    assert found["percent"] == pytest.approx(50.0, abs=0.1)
    assert (found["coverage"], found["partial"], found["days"]) == (100.0, False, [])
    assert found["parts"]["down_seconds"] == pytest.approx(43_200, abs=61)
    found = api.get("/monitoring/services/shop/uptime?window=7d").json()
    assert found["partial"]
    assert found["days"][-1]["date"] == f"{now:%Y-%m-%d}"
    spans = api.get("/monitoring/services/shop/spans?status=offline").json()["items"]
    assert [span["status"] for span in spans] == ["OFFLINE"]
    for query, field in (("window=1y", "window"), ("maintenance=no", "maintenance"), ("x=1", "x")):
        refused = api.get(f"/monitoring/services/shop/uptime?{query}")
        assert refused.status_code == 400
        assert field in refused.content.decode()
    assert api.get("/monitoring/services/none/uptime").status_code == 404


@pytest.mark.parametrize(
    ("status", "parts", "words"),
    [
        ("OFFLINE", Parts(down=60), "counts as down"),
        ("DEGRADED", Parts(up=60), "counts as up"),
        ("OFFLINE", Parts(unknown=60), "left out: nobody observed it"),
        ("UNKNOWN", Parts(unknown=60), "left out: nobody observed it"),
        ("MAINTENANCE", Parts(maintenance_down=60), "left out: maintenance"),
        (
            "OFFLINE", Parts(down=42, unknown=61),
            "42 s count as down, the rest is left out: nobody observed it",
        ),
        (
            "OFFLINE", Parts(down=42, maintenance_down=60, unknown=61),
            "42 s count as down, the rest is left out: maintenance and nobody observed it",
        ),
    ],
)  # fmt: skip
def test_each_trouble_says_how_much_of_it_counts(status: str, parts: Parts, words: str) -> None:
    assert meaning_of(status, parts) == words


@pytest.mark.django_db
def test_before_a_service_was_known_nobody_had_to_observe_it() -> None:
    service = factories.make_service("shop")
    now = datetime(2026, 6, 10, 12, tzinfo=UTC)
    known = now - timedelta(hours=36)
    Service.objects.update(created_at=known)
    service.refresh_from_db()
    StatusSpan.objects.create(service=service, status="ONLINE", started_at=known)
    days = read_days(read_window(service, "7d", now=now))
    assert [(day.day, parts.seconds, parts.coverage) for day, parts in days.items()] == [
        (9, 86_400, 100.0), (10, 43_200, 100.0),
    ]  # fmt: skip
    Service.objects.update(created_at=known + timedelta(hours=6))
    service.refresh_from_db()
    first, _ = read_days(read_window(service, "7d", now=now)).values()
    assert (first.seconds, first.coverage) == (18 * 3600, 100.0)


@pytest.mark.django_db
def test_figures_of_all_windows_are_read_at_once(django_assert_max_num_queries: Any) -> None:
    service = factories.make_service("shop")
    now = timezone.now()
    Service.objects.update(created_at=now - timedelta(days=100))
    service.refresh_from_db()
    StatusSpan.objects.create(service=service, status="ONLINE", started_at=now - timedelta(days=99))
    with django_assert_max_num_queries(5):
        found = read_windows(service, FIGURES, now=now)
    for each in found:
        assert each == read_window(service, each.window, now=now)


@pytest.mark.django_db
def test_the_admin_shows_the_days_and_why(admin_client: Any) -> None:
    now = timezone.now()
    well, down = factories.make_service("a-well"), factories.make_service("b-down")
    for service, status in ((well, "ONLINE"), (down, "OFFLINE")):
        Service.objects.filter(pk=service.pk).update(
            status=status, created_at=now - timedelta(days=3)
        )
        StatusSpan.objects.create(
            service=service, status=status, started_at=now - timedelta(hours=1)
        )
    shown = admin_client.get("/admin/monitoring/statusspan/").content.decode()
    assert 0 < shown.index("<strong>b-down") < shown.index("<strong>a-well")
    page = admin_client.get(f"/admin/registry/service/{down.pk}/change/").content.decode()
    assert "counts as down" in page
    assert "of 90 days" in page
