"""Bulk operations over the API."""

import pytest

from core.api.known_keys import known_keys
from tests import factories
from workflows.models import BulkOperation, StepStatus, WorkflowExecution
from workflows.services.executions.bulk_operations import work_off_bulk

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("keys_stay_known")]
PATH = "/executions/bulk"


def make_failed(count: int = 1, **fields):
    workflow = factories.make_workflow()
    made = [factories.make_execution(workflow, status="FAILED", **fields) for _ in range(count)]
    for execution in made:
        execution.steps.update(status=StepStatus.FAILED)
    return made


def test_count_first_then_order_then_progress():
    made = make_failed(7)
    client = factories.caller()
    name = made[0].workflow_name
    wanted = {"action": "retry", "filter": {"status": "failed", "workflow": name}}
    preview = client.post(PATH, {**wanted, "dry_run": True})
    assert preview.status_code == 200
    body = preview.json()
    assert (body["count"], body["dry_run"], body["action"]) == (7, True, "RETRY")
    assert [e["id"] for e in body["sample"]] == [str(e.pk) for e in made[:1:-1]]
    assert not BulkOperation.objects.exists()

    answer = client.post(PATH, {**wanted, "expected_count": 7, "reason": "The bank is back."})
    assert answer.status_code == 202
    order = answer.json()
    assert answer["Location"].endswith(f"/executions/bulk/{order['id']}")
    assert (order["total"], order["done"], order["status"]) == (7, 0, "RUNNING")
    work_off_bulk()
    found = client.get(f"/api{PATH}/{order['id']}").json()
    assert (found["done"], found["succeeded"], found["status"]) == (7, 7, "COMPLETED")
    assert found["filter"] == {"status": ["FAILED"], "workflow": str(made[0].workflow_id)}
    assert found["reason"] == "The bank is back."
    assert [o["id"] for o in client.get(PATH).json()["items"]] == [order["id"]]


def test_without_a_dry_run_the_expected_count_is_asked_for():
    make_failed()
    answer = factories.caller().post(PATH, {"action": "retry", "filter": {}})
    assert answer.status_code == 400
    assert "dry_run" in answer.json()["errors"]["expected_count"][0]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"action": "delete"}, "action"),
        ({"action": None}, "action"),
        ({"filter": {"status": "gone"}}, "filter.status"),
        ({"filter": {"status": [1]}}, "filter.status"),
        ({"filter": {"status": 5}}, "filter.status"),
        ({"filter": {"state": "failed"}}, "filter.state"),
        ({"filter": {"workflow": "no-such"}}, "filter.workflow"),
        ({"filter": {"created_after": "yesterday"}}, "filter.created_after"),
        ({"filter": {"created_after": "0001-01-01T00:00:00+23:00"}}, "filter.created_after"),
        ({"filter": []}, "filter"),
        ({"expected_count": -1}, "expected_count"),
        ({"expected_count": "many"}, "expected_count"),
        ({"reason": "x" * 501}, "reason"),
        ({"whatever": 1}, "whatever"),
    ],
)
def test_wrong_orders_name_the_field(given, field):
    body = {"action": "retry", "filter": {}, "expected_count": 1, **given}
    answer = factories.caller().post(PATH, body)
    assert answer.status_code == 400, answer.content
    assert field in answer.json()["errors"]
    assert not BulkOperation.objects.exists()


def test_an_order_that_is_about_many_more_than_expected_is_a_conflict():
    make_failed(15)
    body = {"action": "cancel", "filter": {}, "expected_count": 0}
    assert factories.caller().post(PATH, body).status_code == 400  # none of them can be cancelled
    answer = factories.caller().post(PATH, {**body, "action": "retry"})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_without_the_wider_scope_only_own_executions_are_meant():
    make_failed(2, started_by="somebody")
    (own,) = make_failed(1, started_by="billing")
    client = factories.caller("SERVICE", name="billing")
    body = {"action": "retry", "filter": {}, "dry_run": True}
    assert factories.caller("OPERATOR").post(PATH, body).json()["count"] == 3
    assert client.post(PATH, body).json()["count"] == 1
    client.post(PATH, {**body, "dry_run": False, "expected_count": 1})
    work_off_bulk()
    running = WorkflowExecution.objects.filter(status="RUNNING")
    assert [e.pk for e in running] == [own.pk]


def test_only_who_ordered_it_or_an_operator_cancels_it():
    make_failed(2)
    operator = factories.caller("OPERATOR")
    answer = operator.post(PATH, {"action": "retry", "filter": {}, "expected_count": 2})
    path = f"{PATH}/{answer.json()['id']}/cancel"
    assert factories.caller("SERVICE").post(path).status_code == 403
    assert operator.post(path).json()["status"] == "CANCELLED"
    assert operator.post(path).status_code == 409


def test_unknown_operations_are_404():
    client = factories.caller()
    for reference in ("x", "0" * 32):
        assert client.get(f"{PATH}/{reference}").status_code == 404
        assert client.post(f"{PATH}/{reference}/cancel").status_code == 404


def test_the_list_costs_the_same_for_any_number(django_assert_num_queries):
    client = factories.caller("VIEWER")
    client.get(PATH)
    for count in (1, 5):
        for _ in range(count):
            BulkOperation.objects.create(action="RETRY", created_before="2026-01-01T00:00:00Z")
        known_keys().forget()  # looking the key up is one of them
        with django_assert_num_queries(3):
            assert client.get(PATH).status_code == 200


def test_executions_are_found_by_search():
    (wanted,) = make_failed(1, correlation_id="order-7")
    make_failed()
    client = factories.caller("VIEWER")
    for term in ("order-7", str(wanted.pk), wanted.workflow_name):
        assert [e["id"] for e in client.get(f"/executions?search={term}").json()["items"]] == [
            str(wanted.pk)
        ]
