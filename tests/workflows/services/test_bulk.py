"""One action on many executions: counted, worked off in batches, resumed, cancelled."""

from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.exceptions import Conflict, ValidationFailed
from tests import factories
from workflows.models import (
    SUITED,
    BulkAction,
    BulkOperation,
    BulkStatus,
    ExecutionStatus,
    StepStatus,
    WorkflowEvent,
    WorkflowExecution,
    WorkflowStep,
)
from workflows.services.executions import bulk_operations
from workflows.services.executions.bulk_operations import (
    BulkOrder,
    cancel_bulk,
    start_bulk,
    work_off_bulk,
)

pytestmark = pytest.mark.django_db


def make_failed(workflow, **fields):
    execution = factories.make_execution(workflow, status="FAILED", **fields)
    execution.steps.update(status=StepStatus.FAILED)
    return execution


@pytest.fixture
def workflow():
    return factories.make_workflow("w")


def order(action="RETRY", **fields) -> BulkOrder:
    return BulkOrder(**{"action": BulkAction(action), "filter": {}, "actor": "ann", **fields})


def begin(action="RETRY", **fields) -> BulkOperation:
    made = order(action, **fields)
    return start_bulk(made, expected_count=bulk_operations.count_bulk(made))


def statuses() -> dict[str, int]:
    found = list(WorkflowExecution.objects.values_list("status", flat=True))
    return {status: found.count(status) for status in sorted(set(found))}


def test_every_execution_that_the_action_suits_is_acted_on_once(workflow):
    for _ in range(7):
        make_failed(workflow)
    factories.make_execution(workflow, status="COMPLETED")
    operation = begin()
    assert (operation.total, operation.status) == (7, "RUNNING")
    assert work_off_bulk() == 7
    operation.refresh_from_db()
    assert (operation.done, operation.succeeded, operation.refused) == (7, 7, 0)
    assert (operation.status, operation.percent) == ("COMPLETED", 100)
    assert operation.started_at <= operation.completed_at
    assert statuses() == {"COMPLETED": 1, "RUNNING": 7}
    retried = WorkflowEvent.objects.filter(kind="RETRIED")
    assert retried.count() == 7
    assert set(retried.values_list("actor", flat=True)) == {"ann"}
    assert work_off_bulk() == 0


@pytest.mark.parametrize(
    ("action", "status", "after"),
    [
        ("CANCEL", "RUNNING", "CANCELLED"),
        ("PAUSE", "RUNNING", "PAUSED"),
        ("RESUME", "PAUSED", "WAITING"),
        ("RETRY", "FAILED", "RUNNING"),
    ],
)
def test_each_action(workflow, action, status, after):
    execution = make_failed(workflow)
    WorkflowExecution.objects.update(status=status)
    begin(action, reason="The bank is closed.")
    work_off_bulk()
    execution.refresh_from_db()
    assert execution.status == after
    if action == "CANCEL":
        cancelled = execution.events.get(kind="CANCELLED")
        assert cancelled.payload == {"reason": "The bank is closed."}


def test_a_filter_selects_as_the_list_does(workflow):
    wanted = make_failed(workflow, correlation_id="order-7")
    make_failed(workflow, correlation_id="order-8")
    make_failed(factories.make_workflow("other"), correlation_id="order-7")
    operation = begin(filter={"workflow": str(workflow.pk), "correlation_id": "order-7"})
    assert operation.total == 1
    work_off_bulk()
    wanted.refresh_from_db()
    assert statuses() == {"FAILED": 2, "RUNNING": 1}
    assert wanted.status == "RUNNING"


def test_what_is_created_later_is_not_touched(workflow):
    make_failed(workflow)
    operation = begin()
    late = make_failed(workflow)
    WorkflowExecution.objects.filter(pk=late.pk).update(
        created_at=operation.created_before + timedelta(seconds=1)
    )
    work_off_bulk()
    assert statuses() == {"FAILED": 1, "RUNNING": 1}


def test_an_execution_that_fails_again_meanwhile_is_not_retried_again(workflow, monkeypatch):
    monkeypatch.setattr(bulk_operations, "BATCH", 2)
    for _ in range(5):
        make_failed(workflow)
    operation = begin()

    def fail_again() -> float:
        WorkflowExecution.objects.filter(status="RUNNING").update(status="FAILED")
        return 0.0

    assert work_off_bulk(clock=fail_again) == 5
    operation.refresh_from_db()
    assert operation.done == 5
    assert WorkflowEvent.objects.filter(kind="RETRIED").count() == 5


def test_the_work_is_bounded_in_time_and_taken_up_again(workflow, monkeypatch):
    monkeypatch.setattr(bulk_operations, "BATCH", 2)
    for _ in range(7):
        make_failed(workflow)
    operation = begin()
    ticks = iter(range(100))
    assert work_off_bulk(seconds=3, clock=lambda: float(next(ticks))) == 2
    operation.refresh_from_db()
    assert (operation.status, operation.percent, operation.lease_until) == ("RUNNING", 28, None)
    assert work_off_bulk() == 5
    assert WorkflowEvent.objects.filter(kind="RETRIED").count() == 7


def test_who_holds_the_lease_works_alone_until_it_ends(workflow):
    make_failed(workflow)
    operation = begin()
    bulk_operations.claim_operation()
    assert work_off_bulk() == 0
    BulkOperation.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert work_off_bulk() == 1
    operation.refresh_from_db()
    assert operation.status == BulkStatus.COMPLETED


def test_a_holder_whose_lease_was_taken_over_writes_nothing(workflow):
    make_failed(workflow)
    begin()
    stale = bulk_operations.claim_operation()
    BulkOperation.objects.update(lease_until=None)
    assert work_off_bulk() == 1
    WorkflowExecution.objects.update(status="FAILED")
    assert bulk_operations.work_batch(stale) is False
    assert WorkflowEvent.objects.filter(kind="RETRIED").count() == 1


def test_a_batch_that_the_database_ends_is_undone_whole_and_done_again(workflow, monkeypatch):
    for _ in range(3):
        make_failed(workflow)
    operation = begin()
    calls = []

    def retry_then_fail(pk, order):
        calls.append(pk)
        bulk_operations.retry_execution(pk, actor=order.actor)
        if len(calls) == 3:
            raise OperationalError("deadlock detected")

    monkeypatch.setitem(bulk_operations.ACTIONS, BulkAction.RETRY, retry_then_fail)
    assert work_off_bulk() == 0
    assert statuses() == {"FAILED": 3}
    operation.refresh_from_db()
    assert (operation.done, operation.cursor_id, operation.lease_until) == (0, None, None)
    assert work_off_bulk() == 3
    assert statuses() == {"RUNNING": 3}
    assert WorkflowEvent.objects.filter(kind="RETRIED").count() == 3


def test_refusals_are_counted_by_reason_with_an_example(workflow):
    unretriable = [make_failed(workflow) for _ in range(3)]
    WorkflowStep.objects.update(status=StepStatus.COMPLETED)
    make_failed(workflow)
    operation = begin()
    work_off_bulk()
    operation.refresh_from_db()
    assert (operation.succeeded, operation.refused) == (1, 3)
    (refusal,) = operation.refusals
    assert refusal["count"] == 3
    assert "no failed step" in refusal["reason"]
    assert refusal["example"] in {str(e.pk) for e in unretriable}


def test_a_fault_with_one_execution_does_not_hold_up_the_others(workflow, monkeypatch):
    first = make_failed(workflow)
    make_failed(workflow)
    operation = begin()

    def break_on_first(pk, order):
        if pk == first.pk:
            raise KeyError("surprise")

    monkeypatch.setitem(bulk_operations.ACTIONS, BulkAction.RETRY, break_on_first)
    work_off_bulk()
    operation.refresh_from_db()
    assert (operation.succeeded, operation.refused) == (1, 1)
    assert operation.refusals[0]["reason"] == "Internal error: KeyError."


def test_a_cancelled_operation_stops_and_keeps_what_was_done(workflow, monkeypatch):
    monkeypatch.setattr(bulk_operations, "BATCH", 2)
    for _ in range(5):
        make_failed(workflow)
    operation = begin()
    ticks = iter(range(100))
    work_off_bulk(seconds=3, clock=lambda: float(next(ticks)))
    stopped = cancel_bulk(operation.pk, actor="bob")
    assert (stopped.status, stopped.cancelled_by, stopped.done) == ("CANCELLED", "bob", 2)
    assert work_off_bulk() == 0
    assert statuses() == {"FAILED": 3, "RUNNING": 2}
    with pytest.raises(Conflict, match="CANCELLED already"):
        cancel_bulk(operation.pk, actor="bob")


def test_an_order_is_refused_when_there_are_a_good_many_more_than_expected(workflow):
    for _ in range(20):
        make_failed(workflow)
    with pytest.raises(Conflict, match="20 executions now, not 9"):
        start_bulk(order(), expected_count=9)
    assert start_bulk(order(), expected_count=10).total == 20
    assert start_bulk(order(), expected_count=500).total == 20


def test_an_order_about_nothing_or_too_much_is_refused(workflow, monkeypatch):
    with pytest.raises(ValidationFailed, match="No execution matches"):
        start_bulk(order(), expected_count=0)
    monkeypatch.setattr(bulk_operations, "MOST_EXECUTIONS", 1)
    make_failed(workflow)
    make_failed(workflow)
    with pytest.raises(ValidationFailed, match="more than 1 executions"):
        start_bulk(order(), expected_count=2)


def test_operations_take_turns(workflow, monkeypatch):
    monkeypatch.setattr(bulk_operations, "BATCH", 1)
    make_failed(workflow)
    make_failed(workflow)
    first = begin()
    factories.make_execution(workflow, status="PAUSED")
    second = begin("RESUME")
    ticks = iter(range(100))
    work_off_bulk(seconds=3, clock=lambda: float(next(ticks)))
    work_off_bulk(seconds=3, clock=lambda: float(next(ticks)))
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.done, second.done) == (1, 1)


def test_a_batch_costs_a_few_statements_per_execution_however_many_there_are(workflow):
    def statements(executions: int) -> float:
        WorkflowExecution.objects.update(status="COMPLETED")
        base = WorkflowExecution.objects.bulk_create(
            WorkflowExecution(
                workflow=workflow,
                version=workflow.current_version,
                workflow_name="w",
                status="FAILED",
            )
            for _ in range(executions)
        )
        WorkflowStep.objects.bulk_create(
            WorkflowStep(execution=e, step_id="shout", path="shout", status="FAILED") for e in base
        )
        begin()
        with CaptureQueriesContext(connection) as queries:
            assert work_off_bulk(seconds=600) == executions
        return len(queries) / executions

    few, many = statements(bulk_operations.BATCH), statements(4 * bulk_operations.BATCH)
    assert many <= few
    assert many < 15


def test_actions_suit_only_states_that_their_services_accept():
    assert set(SUITED) == set(BulkAction)
    assert ExecutionStatus.COMPLETED not in {s for found in SUITED.values() for s in found}
