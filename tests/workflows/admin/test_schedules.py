"""Schedules and queues in the admin."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from integration_site.admin_groups import create_roles
from tests import factories
from workflows import services
from workflows.models import WorkflowExecution, WorkflowSchedule

pytestmark = [pytest.mark.django_db, pytest.mark.once]
LIST = "/admin/workflows/workflowschedule/"


def make(name="nightly", **fields):
    workflow = fields.pop("workflow", None) or factories.make_workflow()
    given = {"name": name, "workflow": workflow, "cron": "0 9 * * 1-5", **fields}
    return services.create_schedule(given)


def page(schedule):
    return f"{LIST}{schedule.pk}/change/"


def posted(workflow, **fields):
    return {
        "name": "nightly", "workflow": str(workflow.pk), "cron": "0 9 * * *", "timezone": "UTC",
        "enabled": "on", "overlap_policy": "SKIP", "catch_up_policy": "LAST",
        "catch_up_limit": "10", "priority": "0", "input": "{}", "context": "{}", **fields,
    }  # fmt: skip


def dialog(client, schedule, action):
    """Open a dialog and confirm it, as htmx does."""
    url = reverse(f"admin:workflows_workflowschedule_{action}", args=(schedule.pk,))
    return client.post(url, {"_form_submitted": "true"}, HTTP_HX_REQUEST="true")


def test_the_list_says_state_next_run_and_last_outcome_at_constant_cost(admin):
    services.run_now(make(), actor="x")
    with CaptureQueriesContext(connection) as few:
        text = admin.get(LIST).content.decode()
    for words in ("At 09:00 on Monday through Friday, UTC", "Active", "Pending", "in "):
        assert words in text
    for number in range(6):
        services.run_now(make(f"s{number}"), actor="x")
    with CaptureQueriesContext(connection) as many:
        admin.get(LIST)
    assert len(many) == len(few)


def needs_text():
    """A workflow whose step calls an action that requires a text."""
    service = factories.make_service("shouter", actions=("shout",))
    service.actions.update(input_schema={"type": "object", "required": ["text"]})
    step = {"id": "shout", "service": "shouter", "action": "shout", "next": None}
    return factories.make_workflow(steps=[step])


def test_a_schedule_that_gives_too_little_is_refused_at_its_input(admin):
    workflow = needs_text()
    refused = admin.post(f"{LIST}add/", posted(workflow, description="Mine."))
    form = refused.context["adminform"].form
    assert (refused.status_code, list(form.errors)) == (200, ["input"])
    assert form["description"].value() == "Mine."
    assert not WorkflowSchedule.objects.exists()

    draft = make(workflow=workflow, enabled=False)
    switched = admin.post(page(draft), posted(workflow))
    assert list(switched.context["adminform"].form.errors) == ["input"]
    assert not WorkflowSchedule.objects.get().enabled
    assert admin.post(page(draft), posted(workflow, input='{"text": "a"}')).status_code == 302


def test_a_schedule_is_made_and_changed_by_a_form(admin):
    workflow = factories.make_workflow()
    assert admin.get(f"{LIST}add/").status_code == 200
    made = admin.post(f"{LIST}add/", posted(workflow, version_number="1", input='{"a": 1}'))
    assert made.status_code == 302, made.context["errors"]
    schedule = WorkflowSchedule.objects.get()
    assert (schedule.owner, schedule.version.number, schedule.input) == ("root", 1, {"a": 1})
    assert schedule.next_run_at is not None
    changed = admin.post(page(schedule), posted(workflow, cron="30 6 * * *", priority="9"))
    assert changed.status_code == 302
    schedule.refresh_from_db()
    assert (schedule.cron, schedule.priority, schedule.version) == ("30 6 * * *", 9, None)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("cron", "0 25 * * *", "use 0 to 23"),
        ("timezone", "Berlin", "is no time zone"),
        ("version_number", "9", "has no version 9"),
        ("priority", "101", "less than or equal to 100"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(admin, field, value, words):
    answer = admin.post(f"{LIST}add/", posted(factories.make_workflow(), **{field: value}))
    assert words in str(answer.context["adminform"].form.errors[field])
    assert not WorkflowSchedule.objects.exists()


def test_the_next_ticks_are_shown_while_typing_in_the_zone_typed(admin):
    url = reverse("admin:schedule_preview")
    text = admin.get(url, {"cron": "0 9 * * *", "timezone": "Asia/Tokyo"}).content.decode()
    assert "At 09:00 every day" in text
    assert text.count("09:00 JST") == 5
    refused = admin.get(url, {"cron": "0 9", "timezone": "UTC"}).content.decode()
    assert "It has 2 fields" in refused
    assert admin.get(url, {"cron": "0 9 * * *", "timezone": "x\0"}).status_code == 200
    ended = {"cron": "0 9 * * *", "ends_at_0": "2020-01-01", "ends_at_1": "00:00:00"}
    assert "No tick is left" in admin.get(url, ended).content.decode()


def test_the_page_shows_runs_and_their_executions(admin):
    schedule = make()
    run = services.run_now(schedule, actor="ann")
    text = admin.get(page(schedule)).content.decode()
    assert f"/workflowexecution/{run.execution_id}/change/" in text
    assert "Run now by ann" in text


def test_dialogs_run_enable_and_disable(admin):
    schedule = make()
    answer = dialog(admin, schedule, "run_now")
    assert "/workflowexecution/" in answer["HX-Redirect"]
    assert WorkflowExecution.objects.get().started_by == "root"
    dialog(admin, schedule, "disable")
    schedule.refresh_from_db()
    assert (schedule.enabled, schedule.next_run_at) == (False, None)
    text = admin.get(page(schedule)).content.decode()
    assert "none while it is disabled" in text
    dialog(admin, schedule, "enable")
    schedule.refresh_from_db()
    assert schedule.enabled


def test_a_backfill_is_counted_before_anything_starts(admin):
    schedule = make(cron="0 * * * *")
    url = reverse("admin:schedule_backfill", args=(schedule.pk,))
    last = datetime.now(UTC) - timedelta(hours=1)
    first = last - timedelta(hours=3)
    form = {
        "first_0": f"{first:%Y-%m-%d}", "first_1": f"{first:%H:%M:%S}",
        "last_0": f"{last:%Y-%m-%d}", "last_1": f"{last:%H:%M:%S}",
    }  # fmt: skip
    assert "3 runs" in admin.post(url, form).content.decode()
    assert not schedule.runs.exists()
    assert admin.post(url, {**form, "start": "1"}).status_code == 302
    assert schedule.runs.filter(outcome="PENDING", actor="root").count() == 3
    assert "3 runs of the past to go, of 3" in admin.get(page(schedule)).content.decode()
    admin.post(reverse("admin:schedule_give_up", args=(schedule.pk,)))
    assert schedule.runs.filter(outcome="SKIPPED").count() == 3
    wrong = {**form, "last_0": "2150-01-01"}
    assert "in the future" in admin.post(url, wrong).content.decode()


def test_a_viewer_sees_and_changes_nothing(client):
    create_roles()
    person = User.objects.create_user("v", is_staff=True)
    person.groups.add(Group.objects.get(name="viewer"))
    client.force_login(person)
    schedule = make()
    assert client.get(page(schedule)).status_code == 200
    assert dialog(client, schedule, "run_now").status_code == 403
    for name in ("backfill", "give_up"):
        url = reverse(f"admin:schedule_{name}", args=(schedule.pk,))
        assert client.post(url).status_code == 403
    assert client.get(f"{LIST}add/").status_code == 403
    assert not WorkflowExecution.objects.exists()


def test_an_execution_without_a_place_says_so(admin):
    workflow = factories.make_workflow()
    workflow.current_version.options = {"concurrency": 2}
    workflow.current_version.save()
    for _ in range(2):
        factories.make_execution(workflow)
    waiting = services.start_execution(workflow, services.Start(input={}, context={})).execution
    text = admin.get(f"/admin/workflows/workflowexecution/{waiting.pk}/change/").content.decode()
    assert "Queued: 2 of 2 places taken" in text
    assert "Queued" in admin.get("/admin/workflows/workflowexecution/").content.decode()
