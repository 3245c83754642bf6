"""Status pages: what is shown outside, to whom, and what never is."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from core.exceptions import NotFound
from monitoring.models import (
    Incident,
    IncidentUpdate,
    MaintenanceOccurrence,
    MaintenanceWindow,
    StatusPage,
    StatusSpan,
    Subject,
)
from monitoring.status_pages import keeping
from monitoring.status_pages.components import from_lines, to_lines
from monitoring.status_pages.forms import Badge, badge_svg
from monitoring.status_pages.keeping import PageKeeper
from monitoring.status_pages.words import indicator_of
from registry.models import Service
from tests import factories

ADDRESS = "http://10.1.2.3:9"
ERROR = "connection refused by 10.1.2.3 with token sk-hidden"


@pytest.fixture(autouse=True)
def _forget() -> None:
    keeping.keeper.forget()


@pytest.mark.parametrize(
    ("statuses", "indicator"),
    [
        (["ONLINE", "ONLINE"], "none"),
        (["ONLINE", "DEGRADED"], "minor"),
        (["ONLINE", "OFFLINE", "DEGRADED"], "major"),
        (["OFFLINE", "UNKNOWN"], "critical"),
        (["ONLINE", "MAINTENANCE"], "maintenance"),
        (["UNKNOWN"], "unknown"),
        ([], "unknown"),
    ],
)
def test_a_page_is_as_its_worst_component(statuses: list[str], indicator: str) -> None:
    assert indicator_of(statuses) == indicator


def test_components_are_written_in_lines() -> None:
    text = "mail\n\n[Store]\nCheckout = shop\nbilling"
    read = from_lines(text)
    assert read == [
        {"service": "mail", "name": "", "group": ""},
        {"service": "shop", "name": "Checkout", "group": "Store"},
        {"service": "billing", "name": "", "group": "Store"},
    ]
    assert to_lines(read) == text


def test_badges_escape_what_they_say() -> None:
    drawn = badge_svg(Badge("<b>&", "up", "good"))
    ET.fromstring(drawn)
    assert "<b>" not in drawn


def test_a_reading_serves_ten_seconds_and_an_old_one_while_nothing_newer_can_be_read(
    tmp_path: Path,
) -> None:
    now = [0.0]
    readings: list[Any] = [{"n": 1}, {"n": 2}, OperationalError("away"), NotFound("gone")]

    def read() -> Any:
        found = readings.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    keeper = PageKeeper(tmp_path, clock=lambda: now[0])
    assert [keeper.get("Shop", read).document["n"] for _ in range(3)] == [1, 1, 1]
    now[0] = 11
    assert keeper.get("shop", read).document == {"n": 2}
    now[0] = 22
    kept = keeper.get("shop", read)
    assert (kept.document, kept.is_stale) == ({"n": 2}, True)
    # A process that starts meanwhile has it from the file.
    readings.insert(0, OperationalError("away"))
    assert PageKeeper(tmp_path).get("shop", read).is_stale
    with pytest.raises(NotFound):
        keeper.get("shop", read)
    readings.append(OperationalError("away"))
    with pytest.raises(OperationalError):
        PageKeeper(tmp_path).get("shop", read)


def make_page(visibility: str = "PUBLIC", **fields: Any) -> StatusPage:
    """A page of a failing service, with all that may stand on it."""
    now = timezone.now()
    service = factories.make_service(
        "shop-api-internal", urls=(ADDRESS,), status="OFFLINE",
        instance={"probe_error": ERROR, "health_url": f"{ADDRESS}/health"},
    )  # fmt: skip
    other = factories.make_service("mail", status="ONLINE")
    Service.objects.update(created_at=now - timedelta(days=5))
    StatusSpan.objects.create(
        service=service, status="OFFLINE", started_at=now - timedelta(hours=1)
    )
    about = {"service": service, "cause": ERROR, "about": service.name, "opened_at": now}
    Incident.objects.create(subject=Subject.SERVICE_DOWN, dedup_key="down", **about)
    Incident.objects.create(subject=Subject.CIRCUIT_OPEN, dedup_key="hidden", **about)
    told = Incident.objects.create(
        subject=Subject.MANUAL, dedup_key="told", opened_at=now, cause=ERROR, public=True,
        title="Orders are slow", page_status="IDENTIFIED", impact="MINOR",
    )  # fmt: skip
    for public, text in ((True, "We found it <b>."), (False, ERROR)):
        IncidentUpdate.objects.create(
            incident=told, kind="STATUS", page_status="IDENTIFIED", text=text, public=public, at=now
        )
    for public in (True, False):
        window = MaintenanceWindow.objects.create(
            name=f"window-{public}", services=["mail"], public=public, description="New disks"
        )
        begin = now + timedelta(days=1)
        MaintenanceOccurrence.objects.create(
            window=window, starts_at=begin, ends_at=begin + timedelta(hours=1), planned_at=begin
        )
    components = [
        {"service": str(service.pk), "name": "Checkout", "group": "Store"},
        {"service": str(other.pk)},
    ]
    return StatusPage.objects.create(
        name="Shop", title="Our shop", visibility=visibility, components=components, **fields
    )


FORMS = (
    "", "/summary.json", "/feed.atom", "/badge/page/status.svg", "/badge/checkout/status.svg",
    "/badge/checkout/uptime.svg", "/badge/checkout/status.json", "/badge/mail/uptime.json",
)  # fmt: skip


@pytest.mark.django_db
def test_a_public_page_shows_nothing_of_addresses_errors_and_causes() -> None:
    make_page()
    told = {form: Client().get(f"/status/shop{form}") for form in FORMS}
    for form, answer in told.items():
        text = answer.content.decode()
        assert answer.status_code == 200, (form, text)
        assert answer.headers["Cache-Control"] == "public, max-age=10"
        for hidden in ("10.1.2.3", "9/health", "refused by", "sk-hidden", "shop-api-internal"):
            assert hidden not in text, form
        assert "<script" not in text
    page = told[""].content.decode()
    for shown in (
        "Our shop", "Some systems are down", "Checkout: down", "Orders are slow", "Identified",
        "We found it &lt;b&gt;.", "New disks", "Planned",
    ):  # fmt: skip
        assert shown in page, shown
    assert page.count("New disks") == 1
    summary = told["/summary.json"].json()
    assert summary["status"]["indicator"] == "major"
    assert [(c["name"], c["status"], c["group"]) for c in summary["components"]] == [
        ("Checkout", "major_outage", "Store"), ("mail", "operational", None),
    ]  # fmt: skip
    assert {each["name"] for each in summary["incidents"]} == {"Checkout: down", "Orders are slow"}
    ET.fromstring(told["/feed.atom"].content)
    badge = told["/badge/checkout/status.json"].json()
    assert (badge["schemaVersion"], badge["message"]) == (1, "down")


@pytest.mark.django_db
def test_a_page_is_shown_to_whom_it_says() -> None:
    page = make_page("OFF")
    api, anybody = factories.caller("VIEWER"), Client()
    assert [c.get("/status/shop").status_code for c in (api, anybody)] == [404, 404]
    assert anybody.get("/status").status_code == 404
    StatusPage.objects.update(visibility="KEY")
    keeping.keeper.forget()
    assert [c.get("/status/shop").status_code for c in (api, anybody)] == [200, 401]
    assert api.get("/status/shop").headers["Cache-Control"].startswith("private")
    StatusPage.objects.update(visibility="PUBLIC")
    keeping.keeper.forget()
    assert anybody.get("/status").headers["Location"] == "/status/Shop"
    StatusPage.objects.create(name="other", visibility="PUBLIC")
    keeping.keeper.forget()
    assert "Our shop" in anybody.get("/status").content.decode()
    for path in ("badge/none/status.svg", "badge/checkout/x.svg"):
        assert anybody.get(f"/status/shop/{path}").status_code == 404
    page.delete()


@pytest.mark.django_db
def test_while_the_database_is_away_the_page_says_since_when(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_page()
    anybody = Client()
    assert "nothing newer" not in anybody.get("/status/shop").content.decode()
    keeping.keeper.forget()

    def away(*_: Any, **__: Any) -> Any:
        raise OperationalError("no database")

    monkeypatch.setattr("django.db.backends.utils.CursorWrapper.execute", away)
    shown = anybody.get("/status/shop")
    assert shown.status_code == 200
    assert "nothing newer can be read" in shown.content.decode()
    assert anybody.get("/status/shop/summary.json").json()["page"]["is_stale"]


@pytest.mark.django_db
def test_a_page_becomes_files(tmp_path: Path) -> None:
    page = make_page()
    call_command("export_status_page", "shop", to=str(tmp_path / "out"), stdout=None)
    files = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.*")}
    assert {"index.html", "summary.json", "feed.atom", "badge/page/status.svg"} <= files
    assert len(files) == 13
    assert ADDRESS not in (tmp_path / "out" / "index.html").read_text()
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["page"]["id"] == page.name
    StatusPage.objects.update(visibility="KEY")
    with pytest.raises(CommandError, match="PUBLIC"):
        call_command("export_status_page", "shop", to=str(tmp_path))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("components", "path"),
    [
        ([{"service": "none"}], "components[0].service"),
        ([{"name": "x"}], "components[0].service"),
        ([{"service": "mail"}, {"service": "MAIL"}], "components[1].service"),
        ([{"service": "mail", "url": "x"}], "components[0].url"),
        ([{"service": "mail", "name": 3}], "components[0].name"),
        (["mail"], "components"),
    ],
)
def test_components_that_cannot_be_are_refused_by_their_place(
    components: list[Any], path: str
) -> None:
    factories.make_service("mail")
    answer = factories.caller().post(
        "/monitoring/status-pages", {"name": "x", "components": components}
    )
    assert answer.status_code == 400
    assert path in answer.content.decode()


@pytest.mark.django_db
def test_a_person_makes_a_page_and_sees_a_preview(admin_client: Client) -> None:
    factories.make_service("mail", status="ONLINE")
    typed = {
        "name": "ours", "title": "Ours", "visibility": "OFF", "description": "", "maintenance":
        "EXCLUDE", "show_uptime": "on", "lines": "[All]\nPost = mail",
    }  # fmt: skip
    add = "/admin/monitoring/statuspage/add/"
    refused = admin_client.post(add, {**typed, "lines": "nobody"}).content.decode()
    assert "nobody" in refused
    assert not StatusPage.objects.exists()
    assert admin_client.post(add, typed).status_code == 302
    page = StatusPage.objects.get()
    assert (page.components[0]["name"], page.show_outages) == ("Post", False)
    shown = admin_client.get(f"/admin/monitoring/statuspage/{page.pk}/preview").content.decode()
    assert "Post" in shown
    assert "All systems operational" in shown
