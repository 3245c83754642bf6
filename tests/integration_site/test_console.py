"""The start page, the navigation and the people of the console."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin import site
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from core.models import LegacyCall
from integration_site.console.charts import draw_hours, hours_of, legend
from integration_site.console.dashboard import counts_per_hour
from integration_site.console.navigation import sidebar
from registry.models import Connection, Service, ServiceInstance
from tests.support.connections import make_connection
from workflows.models import Workflow, WorkflowExecution, WorkflowStep

NOW = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)


def make_execution(status: str = "COMPLETED", **fields: Any) -> WorkflowExecution:
    workflow, _ = Workflow.objects.get_or_create(name="reading")
    execution = WorkflowExecution.objects.create(
        workflow=workflow, workflow_name="reading", status=status, **fields
    )
    step_status = status if status in ("COMPLETED", "FAILED", "RUNNING") else "PENDING"
    WorkflowStep.objects.create(
        execution=execution, step_id="a", path="a", name="The step", status=step_status
    )
    return execution


def fill(count: int) -> None:
    for index in range(count):
        for status in ("ONLINE", "OFFLINE"):
            name = f"{status.lower()}-{Service.objects.count()}"
            service = Service.objects.create(name=name, status=status)
            ServiceInstance.objects.create(service=service, url=f"http://a:{9000 + index}")
        for status in ("COMPLETED", "FAILED", "RUNNING"):
            errors = [{"step": "a", "message": "It broke."}] if status == "FAILED" else []
            make_execution(status, errors=errors)


def start_page(client: Client) -> str:
    answer = client.get(reverse("admin:index"))
    assert answer.status_code == 200
    return answer.content.decode()


def count_queries(client: Client) -> int:
    start_page(client)
    with CaptureQueriesContext(connection) as queries:
        start_page(client)
    return len(queries)


def test_the_start_page_costs_the_same_with_little_and_with_much(admin: Client) -> None:
    fill(2)
    few = count_queries(admin)
    fill(30)
    assert count_queries(admin) == few


def pages_of_lists() -> list[str]:
    return [
        reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for model in site._registry
    ]


@pytest.mark.once
def test_no_page_has_the_embedded_database_compute_rows_in_python(admin: Client) -> None:
    """Cutting a time down to its hour calls back for every row: half a second for ten thousand."""
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL has these functions itself.")
    fill(1)
    for page in (reverse("admin:index"), reverse("admin:inbox"), *pages_of_lists()):
        with CaptureQueriesContext(connection) as queries:
            assert admin.get(page).status_code == 200, page
        slow = [each["sql"] for each in queries if re.search(r"\bdjango_\w+\(", each["sql"])]
        assert not slow, page


def test_the_chart_counts_executions_by_hour_and_status(db: None) -> None:
    beginning = NOW.replace(minute=0)
    for status, created in (
        ("COMPLETED", NOW),
        ("COMPLETED", beginning),
        ("FAILED", beginning - timedelta(microseconds=1)),
        ("COMPLETED", beginning - timedelta(hours=23)),
        ("COMPLETED", beginning - timedelta(hours=23, microseconds=1)),
    ):
        execution = make_execution(status)
        WorkflowExecution.objects.filter(pk=execution.pk).update(created_at=created)
    assert counts_per_hour(NOW) == {
        (beginning, "COMPLETED"): 2,
        (beginning - timedelta(hours=1), "FAILED"): 1,
        (beginning - timedelta(hours=23), "COMPLETED"): 1,
    }


def test_an_empty_hub_tells_how_to_register_the_first_service(admin: Client) -> None:
    page = start_page(admin)
    assert "No service is registered yet." in page
    assert "curl -X POST http://testserver/registry/services" in page
    assert "Nothing has run yet" in page


def test_the_start_page_names_what_is_down_and_what_failed(admin: Client) -> None:
    fill(1)
    page = start_page(admin)
    assert "offline-1" in page
    assert "It broke." in page
    assert "at The step" in page


def test_services_in_trouble_come_worst_first(admin: Client) -> None:
    for status in ("UNKNOWN", "DEGRADED", "OFFLINE", "ONLINE"):
        Service.objects.create(name=f"is-{status.lower()}", status=status)
    shown = admin.get(reverse("admin:index")).context["troubled"]
    assert [service.status for service in shown] == ["OFFLINE", "DEGRADED", "UNKNOWN"]


def test_a_trouble_list_is_cut_and_says_so(admin: Client) -> None:
    for index in range(20):
        Service.objects.create(name=f"down-{index:02d}", status="OFFLINE")
    answer = admin.get(reverse("admin:index"))
    assert len(answer.context["troubled"]) == 8
    assert "20 in trouble in all" in answer.content.decode()


def test_steps_that_nobody_takes_up_are_reported(admin: Client) -> None:
    execution = make_execution("PENDING")
    assert "No worker seems to run" not in start_page(admin)
    execution.steps.update(wake_at=timezone.now() - timedelta(minutes=5))
    assert "No worker seems to run" in start_page(admin)


def test_each_person_sees_what_the_permissions_allow(person: Callable[..., Client]) -> None:
    fill(1)
    client = person("view_service")
    page = start_page(client)
    assert "offline-1" in page
    assert "It broke." not in page
    assert reverse("admin:workflows_workflow_changelist") not in page
    assert reverse("admin:registry_service_changelist") in page


def test_a_person_without_permissions_is_told_what_to_do(person: Callable[..., Client]) -> None:
    assert "Ask an administrator" in start_page(person())


@pytest.mark.parametrize("model", ["user", "group"])
def test_people_can_be_listed_added_and_changed(admin: Client, model: str) -> None:
    Group.objects.create(name="operator")
    row = User.objects.get() if model == "user" else Group.objects.get()
    urls = (
        reverse(f"admin:auth_{model}_changelist"),
        reverse(f"admin:auth_{model}_add"),
        reverse(f"admin:auth_{model}_change", args=(row.pk,)),
    )
    assert [admin.get(url).status_code for url in urls] == [200, 200, 200]


def test_pages_have_no_inline_scripts(admin: Client) -> None:
    fill(1)
    execution = WorkflowExecution.objects.filter(status="FAILED").get()
    url = reverse("admin:workflows_workflowexecution_change", args=(execution.pk,))
    for page in (start_page(admin), admin.get(url).content.decode()):
        scripts = [part.split(">", 1) for part in page.split("<script")[1:]]
        assert all("src=" in tag for tag, _rest in scripts)
        assert "onclick=" not in page


# --- The chart (pure) ---


def test_the_last_hour_is_the_current_one() -> None:
    hours = hours_of({}, now=NOW)
    assert len(hours) == 24
    assert hours[-1].start == NOW.replace(minute=0)
    assert all(hour.total == 0 for hour in hours)


def test_outcomes_are_counted_by_hour() -> None:
    hour = NOW.replace(minute=0)
    counts = {
        (hour, "COMPLETED"): 5,
        (hour, "FAILED"): 2,
        (hour, "NEEDS_REVIEW"): 1,
        (hour - timedelta(hours=30), "COMPLETED"): 9,
    }
    hours = hours_of(counts, now=NOW)
    assert hours[-1].counts == (5, 3, 0, 0)
    assert legend(hours)[:2] == [("Completed", "good", 5), ("Failed", "bad", 3)]


def test_the_chart_says_in_words_what_its_bars_show() -> None:
    hours = hours_of({(NOW.replace(minute=0), "FAILED"): 2}, now=NOW)
    picture = draw_hours(hours)
    assert "12:00 UTC: 2 failed" in picture
    assert "at most 2 in one" in picture
    assert picture.count("<title>") == 24


# Connections


def make_connections(**statuses: int) -> None:
    for status, count in statuses.items():
        for number in range(count):
            row = make_connection(name=f"{status.lower()}-{number}")
            answered = "No answer in time." if status == "ERROR" else ""
            Connection.objects.filter(pk=row.pk).update(status=status, last_error=answered)


def test_start_page_shows_connections_in_trouble_and_leads_to_them(admin: Client) -> None:
    assert "connections-title" not in admin.get("/admin/").content.decode()
    make_connections(CONNECTED=1, DEGRADED=1, ERROR=2)
    text = admin.get("/admin/").content.decode()
    assert f"{reverse('admin:registry_connection_changelist')}?status__exact=ERROR" in text
    broken = Connection.objects.get(name="error-0")
    assert reverse("admin:registry_connection_change", args=(broken.pk,)) in text
    assert "No answer in time." in text
    assert '<span class="hub-status" data-tone="bad">Error</span>' in text
    assert text.index("error-1") < text.index("degraded-0")
    assert "connected-0" not in text


def test_start_page_is_content_with_connections_that_are_well(admin: Client) -> None:
    make_connections(CONNECTED=1, DISABLED=1)
    text = admin.get("/admin/").content.decode()
    assert "No connection is in trouble." in text


def test_start_page_costs_the_same_with_many_connections(admin: Client) -> None:
    make_connections(ERROR=1, DEGRADED=1)
    with CaptureQueriesContext(connection) as few:
        admin.get("/admin/")
    make_connections(CONNECTED=5)
    Connection.objects.filter(status="CONNECTED").update(status="ERROR")
    with CaptureQueriesContext(connection) as many:
        admin.get("/admin/")
    assert len(many) == len(few)


def test_start_page_shows_connections_only_to_who_may_see_them(
    person: Callable[..., Client],
) -> None:
    make_connections(ERROR=1)
    assert "error-0" not in person("view_service").get("/admin/").content.decode()


def test_old_calls_are_in_the_menu_where_there_are_any(db: None, rf: Any, settings: Any) -> None:
    request = rf.get("/admin/")
    request.user = User.objects.create_superuser("menu")

    def names() -> set[str]:
        return {entry["name"] for group in sidebar(request) for entry in group["items"]}

    settings.LEGACY_API = False
    assert "Old calls" not in names()
    settings.LEGACY_API = True
    assert "Old calls" in names()
    settings.LEGACY_API = False
    LegacyCall.objects.create(route="GET /services", calls=1, last_at=timezone.now())
    assert "Old calls" in names()
