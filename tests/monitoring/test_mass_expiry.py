"""Many that fall silent at once are suspected and not given up."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from monitoring.incidents import watch_fleet
from monitoring.models import Incident
from registry import services
from registry.calls.targets.resolver import CallTarget, resolve
from registry.models import DiscoveryState, ServiceInstance
from registry.services import Heartbeat
from registry.services.mass_expiry import Fleet, room_to_expire
from tests import factories
from tests.support.people import with_permissions

COUNTS = st.integers(0, 10_000)


@given(live=COUNTS, part=st.floats(0, 1), expired=COUNTS, percent=st.integers(0, 99))
def test_no_event_takes_more_than_its_share(
    live: int, part: float, expired: int, percent: int
) -> None:
    due = int(live * part)
    fleet = Fleet(live=live, due=due, suspected=0, expired=expired)
    room = room_to_expire(fleet, percent=percent, least=3)
    most = max(3, (live + expired) * percent // 100)
    assert 0 <= room <= due
    assert room + expired <= max(most, expired)
    assert room == due or room + expired >= most


@pytest.mark.parametrize(
    ("fleet", "room"),
    [
        (Fleet(live=100, due=15, suspected=0, expired=0), 15),
        (Fleet(live=100, due=16, suspected=0, expired=0), 15),
        (Fleet(live=5, due=3, suspected=0, expired=0), 3),
        (Fleet(live=5, due=5, suspected=0, expired=0), 3),
        (Fleet(live=2, due=1, suspected=0, expired=3), 0),
        (Fleet(live=100, due=1, suspected=1, expired=0), 0),
    ],
)
def test_the_limit_is_a_share_and_at_least_a_few(fleet: Fleet, room: int) -> None:
    assert room_to_expire(fleet, percent=15, least=3) == room
    assert room_to_expire(fleet, percent=100, least=3) == fleet.due


def make_fleet(count: int) -> None:
    for number in range(count):
        factories.make_service(
            f"s{number}", urls=(f"http://s{number}",), instance={"ttl_seconds": 60},
            type="CUSTOM", actions=("do",),
        )  # fmt: skip


def silence(now: datetime) -> None:
    ServiceInstance.objects.update(expires_at=now - timedelta(seconds=1))


def sweep(now: datetime) -> int:
    expired = services.expire_instances(now=now)
    watch_fleet(now=now)
    return len(expired)


def suspects() -> int:
    return ServiceInstance.objects.filter(suspected_at__isnull=False).count()


def open_incident() -> Incident:
    return Incident.objects.unresolved().get()


@pytest.fixture
def fallen() -> datetime:
    """Ten instances fell silent together, and the sweep saw it."""
    make_fleet(10)
    now = timezone.now()
    silence(now)
    assert sweep(now) == 3
    assert suspects() == 7
    return now


@pytest.mark.django_db
def test_the_rest_is_suspected_and_stays_so(fallen: datetime) -> None:
    for seconds in (5, 10, 600, 605):
        assert sweep(fallen + timedelta(seconds=seconds)) == 0
    assert suspects() == 7
    assert open_incident().cause.startswith("7 of 7 live instances fell silent together.")
    assert Incident.objects.count() == 1
    statuses = sorted(s.status for s in services.get_service("s0").__class__.objects.all())
    assert statuses == ["DEGRADED"] * 7 + ["OFFLINE"] * 3


@pytest.mark.django_db
def test_beats_that_return_end_it(fallen: datetime) -> None:
    for number in range(10):
        services.record_heartbeat(services.get_service(f"s{number}"), Heartbeat())
    sweep(fallen + timedelta(seconds=5))
    assert (suspects(), Incident.objects.unresolved().count()) == (0, 0)
    assert Incident.objects.get().resolved_by == ""
    assert {services.get_service(f"s{n}").status for n in range(10)} == {"ONLINE"}


@pytest.mark.django_db
def test_beats_that_stop_one_by_one_are_one_event() -> None:
    make_fleet(10)
    now = timezone.now()
    rows = list(ServiceInstance.objects.order_by("url"))
    gone = 0
    for turn, row in enumerate(rows):
        at = now + timedelta(seconds=5 * turn)
        ServiceInstance.objects.filter(pk=row.pk).update(expires_at=at - timedelta(seconds=1))
        gone += sweep(at)
    assert (gone, suspects()) == (3, 7)


@pytest.mark.django_db
def test_suspects_are_used_where_there_is_no_other_and_the_answer_says_so(
    fallen: datetime,
) -> None:
    api = factories.caller("OPERATOR")
    chosen = api.get("/discovery/services/type/custom").json()
    assert (chosen["fail_open"], chosen["instance"]["suspect"]) == (True, True)
    assert chosen["url"] == chosen["instance"]["url"]
    assert resolve(CallTarget("service_type", "CUSTOM"), "do").selection().fail_open
    factories.make_service("alive", urls=("http://alive",), actions=("do",))
    chosen = api.get("/discovery/services/type/custom").json()
    assert (chosen["fail_open"], chosen["name"]) == (False, "alive")


@pytest.mark.django_db
def test_a_program_may_decide_that_they_are_gone(fallen: datetime) -> None:
    api = factories.caller("OPERATOR")
    incident = api.get("/health/incidents?status=open").json()["items"][0]
    assert incident["subject"] == "MASS_EXPIRY"
    path = f"/health/incidents/{incident['id']}"
    seen = api.post(f"{path}/acknowledge").json()
    assert (seen["status"], seen["acknowledged_by"]) == ("ACKNOWLEDGED", seen["acknowledged_by"])
    assert api.post(f"{path}/acknowledge").status_code == 409
    decided = api.post(f"{path}/expire").json()
    assert (decided["status"], decided["resolution"]) == ("RESOLVED", "7 taken offline.")
    assert decided["resolved_by"].startswith("key-")
    assert {i.status for i in ServiceInstance.objects.all()} == {"OFFLINE"}
    assert api.post(f"{path}/expire").status_code == 409
    assert api.get("/health/incidents/nothing").status_code == 404
    assert api.get(path).json() == decided


@pytest.mark.django_db
def test_a_program_may_decide_that_they_are_fine(fallen: datetime) -> None:
    api = factories.caller("OPERATOR")
    decided = api.post(f"/health/incidents/{open_incident().pk}/keep").json()
    assert decided["resolution"] == "7 taken to be alive for another hour."
    assert suspects() == 0
    DiscoveryState.objects.update(swept_at=None)
    assert sweep(fallen + timedelta(minutes=55)) == 0
    assert ServiceInstance.objects.filter(status="ONLINE").count() == 7
    DiscoveryState.objects.update(swept_at=None)
    assert sweep(fallen + timedelta(minutes=65)) == 3


@pytest.mark.django_db
def test_only_who_may_change_services_may_decide(fallen: datetime) -> None:
    path = f"/health/incidents/{open_incident().pk}"
    viewer = factories.caller("VIEWER")
    assert viewer.get(path).status_code == 200
    for act in ("expire", "keep", "acknowledge"):
        assert viewer.post(f"{path}/{act}").status_code == 403
    assert suspects() == 7


@pytest.mark.django_db
def test_a_late_sweep_gives_everybody_the_time_that_nobody_looked() -> None:
    make_fleet(2)
    now = timezone.now()
    sweep(now)
    almost, fresh = ServiceInstance.objects.order_by("url")
    ServiceInstance.objects.filter(pk=almost.pk).update(expires_at=now + timedelta(seconds=10))
    ServiceInstance.objects.filter(pk=fresh.pk).update(expires_at=now + timedelta(seconds=655))
    later = now + timedelta(seconds=605)
    assert sweep(later) == 0
    found: Any = ServiceInstance.objects.all()
    left = {i.pk: (i.expires_at - later).total_seconds() for i in found}
    # Ten minutes late: what is left, and that, but no more than a whole TTL from now.
    assert left == {almost.pk: pytest.approx(5, abs=0.1), fresh.pk: pytest.approx(60, abs=0.1)}
    assert sweep(later + timedelta(seconds=5)) == 0
    assert sweep(later + timedelta(seconds=10)) == 1


# --- The banner ---


@pytest.mark.django_db
def test_the_banner_is_on_every_page_and_its_buttons_decide(fallen: datetime) -> None:
    client = with_permissions("view_incident", "change_incident", "view_service")
    for name in ("admin:index", "admin:registry_service_changelist"):
        page = client.get(reverse(name)).content.decode()
        assert "fell silent together" in page
        assert "Expire them now" in page
    url = reverse("admin:incident_decide", args=(open_incident().pk, "keep"))
    assert client.get(url).status_code == 405
    answer = client.post(url, follow=True)
    assert "7 taken to be alive for another hour." in answer.content.decode()
    assert Incident.objects.get().resolved_by == "person"
    assert "hub-banner" not in client.get(reverse("admin:index")).content.decode()
    assert "not about instances" in client.post(url, follow=True).content.decode()
    wrong = reverse("admin:incident_decide", args=(Incident.objects.get().pk, "dance"))
    assert "Use one of" in client.post(wrong, follow=True).content.decode()


@pytest.mark.django_db
def test_the_banner_has_no_buttons_for_who_only_looks(fallen: datetime) -> None:
    client = with_permissions("view_incident")
    page = client.get(reverse("admin:index")).content.decode()
    assert "fell silent together" in page
    assert "Expire them now" not in page
    url = reverse("admin:incident_decide", args=(open_incident().pk, "expire"))
    assert client.post(url).status_code == 403
    assert suspects() == 7


@pytest.mark.django_db
def test_who_may_not_see_incidents_sees_no_banner(fallen: datetime) -> None:
    page = with_permissions("view_service").get(reverse("admin:index")).content.decode()
    assert "fell silent" not in page
