"""Bulk operations and retention in the admin."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests import factories
from workflows.models import BulkOperation, PurgeRun, StepStatus, Workflow
from workflows.services.executions.bulk_operations import work_off_bulk

pytestmark = [pytest.mark.django_db, pytest.mark.once]
LIST = "/admin/workflows/workflowexecution/"
NEW = "/admin/workflows/bulkoperation/new/"


@pytest.fixture
def viewer(person):
    return person("view_workflowexecution", "view_bulkoperation")


def make_failed(count: int = 1, name: str = "bills"):
    workflow = Workflow.objects.filter(name=name).first() or factories.make_workflow(name)
    made = [factories.make_execution(workflow, status="FAILED") for _ in range(count)]
    for execution in made:
        execution.steps.update(status=StepStatus.FAILED)
    return made


def test_the_list_offers_to_act_on_all_that_match(admin):
    workflow = make_failed(3)[0].workflow
    factories.make_execution(status="COMPLETED")
    text = admin.get(f"{LIST}?status__exact=FAILED&workflow={workflow.pk}&q=bill").content.decode()
    assert "Act on all 3 that match" in text
    assert f"{NEW}?status=FAILED&amp;workflow={workflow.pk}&amp;search=bill" in text
    assert "Act on all" not in admin.get(f"{LIST}?status__exact=PAUSED").content.decode()


def test_who_may_not_control_is_not_offered_it_and_is_refused(viewer):
    make_failed()
    assert "Act on all" not in viewer.get(LIST).content.decode()
    assert viewer.get(NEW).status_code == 403
    assert viewer.post(NEW, {"action": "RETRY", "count-RETRY": 1}).status_code == 403
    operation = BulkOperation.objects.create(action="RETRY", created_before=timezone.now())
    page = f"/admin/workflows/bulkoperation/{operation.pk}/"
    assert "Stop" not in viewer.get(f"{page}change/").content.decode()
    assert viewer.post(f"{page}cancel/").status_code == 403


def test_the_counts_come_first_and_then_the_order(admin):
    make_failed(3)
    factories.make_execution(status="RUNNING")
    query = "?status=FAILED&search=bills"
    text = admin.get(NEW + query).content.decode()
    assert "Retry 3" in text
    assert "Pause 0" in text
    assert not BulkOperation.objects.exists()
    answer = admin.post(
        NEW + query, {"action": "RETRY", "count-RETRY": "3", "reason": "The bank is back."}
    )
    operation = BulkOperation.objects.get()
    assert answer["Location"] == f"/admin/workflows/bulkoperation/{operation.pk}/change/"
    assert (operation.total, operation.actor, operation.action) == (3, "root", "RETRY")
    assert operation.filter == {"status": ["FAILED"], "search": "bills"}
    page = admin.get(answer["Location"]).content.decode()
    assert "0 of 3" in page
    assert "hx-get" in page
    work_off_bulk()
    live = admin.get(f"/admin/workflows/bulkoperation/{operation.pk}/live/").content.decode()
    assert "3 of 3" in live
    assert "hx-get" not in live


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"action": "DELETE", "count-DELETE": "1"},
        {"action": "RETRY"},
        {"action": "RETRY", "count-RETRY": "x"},
        {"action": "PAUSE", "count-PAUSE": "5"},
    ],
)
def test_orders_that_make_no_sense_are_refused_in_words(admin, body):
    make_failed(1)
    answer = admin.post(NEW, body)
    assert answer.status_code == 200
    assert not BulkOperation.objects.exists()
    assert "Choose what to do" in (text := answer.content.decode()) or "No execution" in text


@pytest.mark.parametrize("query", ["?status=GONE", "?workflow=x", "?created_after=soon"])
def test_a_filter_that_cannot_be_read_leads_back(admin, query):
    assert admin.get(NEW + query).status_code == 302


def test_a_running_operation_is_stopped(admin):
    make_failed(2)
    operation = BulkOperation.objects.create(action="RETRY", created_before=timezone.now(), total=2)
    admin.post(f"/admin/workflows/bulkoperation/{operation.pk}/cancel/")
    operation.refresh_from_db()
    assert (operation.status, operation.cancelled_by) == ("CANCELLED", "root")
    again = admin.post(f"/admin/workflows/bulkoperation/{operation.pk}/cancel/", follow=True)
    assert "CANCELLED already" in again.content.decode()


def test_a_poll_after_the_session_ended_loads_the_page_anew(client):
    operation = BulkOperation.objects.create(action="RETRY", created_before=timezone.now())
    answer = client.get(f"/admin/workflows/bulkoperation/{operation.pk}/live/")
    assert (answer.status_code, answer["HX-Refresh"]) == (286, "true")


def test_refusals_are_shown_with_an_example(admin):
    (execution,) = make_failed()
    refusal = {"reason": "It was <late>.", "count": 4, "example": str(execution.pk)}
    operation = BulkOperation.objects.create(
        action="RETRY", created_before=timezone.now(), refused=4, refusals=[refusal]
    )
    page = admin.get(f"/admin/workflows/bulkoperation/{operation.pk}/change/").content.decode()
    assert "It was &lt;late&gt;." in page
    assert f"/admin/workflows/workflowexecution/{execution.pk}/change/" in page


def test_the_list_of_operations_costs_the_same_for_any_number(admin):
    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert admin.get("/admin/workflows/bulkoperation/").status_code == 200
        return len(queries)

    BulkOperation.objects.create(action="RETRY", created_before=timezone.now())
    cost()
    one = cost()
    for _ in range(9):
        BulkOperation.objects.create(action="RETRY", created_before=timezone.now())
    assert cost() == one


def test_retention_shows_what_would_go_and_what_went(admin):
    workflow = factories.make_workflow("short", retention="SHORT")
    factories.make_execution(workflow, status="COMPLETED", completed_at="2020-01-01T00:00:00Z")
    PurgeRun.objects.create(
        started_at=timezone.now(),
        completed_at=timezone.now(),
        executions=12,
        by_class={"SHORT": 12},
        actor="hub",
    )
    text = admin.get("/admin/workflows/purgerun/").content.decode()
    assert "7 days after the end" in text
    assert "1 execution" in text
    assert "12 short" in text


def test_the_class_of_a_workflow_is_set_on_its_page(admin):
    workflow = factories.make_workflow("w")
    page = f"/admin/workflows/workflow/{workflow.pk}/change/"
    form = admin.get(page).context["adminform"].form
    body = {n: form[n].value() for n in form.fields if form[n].value() is not None}
    answer = admin.post(
        page, {**body, "definition": form["definition"].value(), "retention": "LONG"}
    )
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    workflow.refresh_from_db()
    assert workflow.retention == "LONG"
    answer = factories.caller().patch("/workflows/w", {"retention": "short"})
    assert answer.json()["retention"] == "SHORT"
