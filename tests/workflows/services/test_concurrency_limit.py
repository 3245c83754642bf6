"""How many executions of a workflow go on at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.support.engine import (
    ScriptedClient,
    call,
    ended,
    make_workflow,
    running_engine,
    start,
)
from tests.support.waiting import until
from workflows import services, tasks
from workflows.engine.runtime import runtime
from workflows.models import WorkflowExecution, WorkflowStep, WorkflowVersion
from workflows.services.executions.concurrency_limit import (
    dequeue_everywhere,
    dequeue_executions,
    queue_of,
)

pytestmark = pytest.mark.django_db(transaction=True)


def limited(places, steps=None, name="w"):
    return make_workflow(steps or [call("a")], name=name, concurrency=places)


def queued():
    return WorkflowExecution.objects.filter(queued_at__isnull=False)


def is_queued(execution):
    execution.refresh_from_db()
    return execution.is_queued


@pytest.fixture
def engine(monkeypatch):
    """An engine that is told of steps that became ready, as a worker's is."""
    client = ScriptedClient(a=lambda d: {"n": 1}, b=lambda d: {})
    with running_engine(client) as engine:
        monkeypatch.setattr(runtime, "_engine", engine)
        engine.client = client
        yield engine
        client.gate.set()


def test_no_more_than_the_limit_go_on_at_once(engine):
    engine.client.held.add("a")
    workflow = limited(2)
    executions = [start(workflow) for _ in range(5)]
    until(lambda: engine.client.called("a") == 2)
    assert queued().count() == 3
    assert engine.client.called("a") == 2
    engine.client.gate.set()
    assert {ended(e).status for e in executions} == {"COMPLETED"}
    assert queued().count() == 0


def test_concurrent_starts_do_not_exceed_the_limit():
    workflow = limited(3)

    def begin(_):
        try:
            return start(workflow).pk
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(begin, range(24)))
    assert len(set(made)) == 24
    assert (queued().count(), dequeue_everywhere()) == (21, 0)


def test_the_most_urgent_goes_on_first_then_the_oldest():
    workflow = limited(1)
    holder, low, first, second, high = (start(workflow, priority=p) for p in (0, -5, 0, 0, 7))
    assert [queue_of(e) and queue_of(e).position for e in (holder, low)] == [None, 4]
    order = []
    for _ in range(4):
        holding = WorkflowExecution.objects.get(queued_at=None, status="PENDING")
        services.cancel_execution(holding.pk)
        order.append(WorkflowExecution.objects.get(queued_at=None, status="PENDING").pk)
    assert order == [high.pk, first.pk, second.pk, low.pk]


def test_a_lost_admission_is_made_up_for_by_the_sweep():
    workflow = limited(1)
    holder, waiting = start(workflow), start(workflow)
    WorkflowExecution.objects.filter(pk=holder.pk).update(status="COMPLETED")
    assert is_queued(waiting)
    tasks.sweep()
    assert not is_queued(waiting)
    assert waiting.steps.get().wake_at is not None


def test_paused_holds_its_place_and_needs_review_frees_it():
    workflow = limited(1)
    holder, waiting = start(workflow), start(workflow)
    services.pause_execution(holder.pk)
    assert dequeue_everywhere() == 0
    services.resume_execution(holder.pk)
    WorkflowExecution.objects.filter(pk=holder.pk).update(status="NEEDS_REVIEW")
    assert dequeue_everywhere() == 1
    assert not is_queued(waiting)


def test_a_retried_execution_queues_again_and_then_runs(engine):
    workflow = limited(1)
    first = start(workflow)
    ended(first)
    WorkflowExecution.objects.filter(pk=first.pk).update(status="FAILED")
    first.steps.update(status="FAILED")
    engine.client.held.add("a")
    second = start(workflow)
    until(lambda: engine.client.called("a") == 2)
    services.retry_execution(first.pk)
    assert is_queued(first)
    engine.client.gate.set()
    assert (ended(second).status, ended(first).status) == ("COMPLETED", "COMPLETED")


def test_a_queued_execution_can_be_paused_resumed_and_cancelled():
    workflow = limited(1)
    holder, waiting = start(workflow), start(workflow)
    services.pause_execution(waiting.pk)
    services.cancel_execution(holder.pk)
    waiting.refresh_from_db()
    assert (waiting.status, waiting.queued_at is None) == ("PAUSED", False)
    services.resume_execution(waiting.pk)
    assert not is_queued(waiting)
    assert waiting.steps.get().wake_at is not None
    third = start(workflow)
    assert is_queued(third)
    services.cancel_execution(third.pk)
    third.refresh_from_db()
    assert (third.status, third.queued_at) == ("CANCELLED", None)


def test_a_resumed_execution_keeps_waiting_while_there_is_no_room():
    workflow = limited(1)
    start(workflow)
    waiting = start(workflow)
    services.pause_execution(waiting.pk)
    services.resume_execution(waiting.pk)
    assert is_queued(waiting)
    assert waiting.steps.get().wake_at is None


def test_the_current_version_says_the_limit():
    workflow = limited(1)
    executions = [start(workflow) for _ in range(4)]
    assert queued().count() == 3
    workflow.current_version = WorkflowVersion.objects.create(
        workflow=workflow, number=2, steps=[call("a")], options={"concurrency": 2}
    )
    workflow.save()
    assert dequeue_executions(workflow.pk) == 1
    workflow.current_version = WorkflowVersion.objects.create(
        workflow=workflow, number=3, steps=[call("a")], options={}
    )
    workflow.save()
    assert dequeue_executions(workflow.pk) == 2
    assert not any(is_queued(e) for e in executions)


def test_the_time_of_an_execution_begins_with_its_place():
    workflow = make_workflow([call("a")], concurrency=1, defaults={}, timeout=60)
    holder, waiting = start(workflow), start(workflow)
    holder.refresh_from_db()
    assert holder.deadline_at is not None
    assert waiting.deadline_at is None
    services.cancel_execution(holder.pk)
    waiting.refresh_from_db()
    assert waiting.deadline_at is not None


def test_children_count_and_wait_for_their_turn(engine):
    limited(1, name="inner")
    each = [{"id": "child", "type": "WORKFLOW", "workflow": "inner"}]
    outer = make_workflow([{"id": "m", "type": "MAP", "over": "$.input.items", "steps": each}], "o")
    engine.client.held.add("a")
    execution = start(outer, {"items": [1, 2, 3]})
    until(lambda: queued().count() == 2 and engine.client.called("a") == 1)
    engine.client.gate.set()
    assert ended(execution).status == "COMPLETED"


def test_a_limited_workflow_inside_of_itself_fails_instead_of_waiting_for_ever(engine):
    make_workflow([{"id": "again", "type": "WORKFLOW", "workflow": "w"}], "via")
    workflow = limited(1, [{"id": "over", "type": "WORKFLOW", "workflow": "via"}])
    found = ended(start(workflow))
    assert found.status == "FAILED"
    inner = WorkflowStep.objects.get(step_id="again")
    assert "cannot run inside of itself" in inner.error["message"]


def test_a_signal_does_not_let_a_queued_execution_go_on():
    workflow = limited(1, [{"id": "e", "type": "EVENT", "event": "go"}])
    start(workflow)
    waiting = start(workflow)
    WorkflowStep.objects.filter(execution=waiting).update(status="WAITING", input={"event": "go"})
    services.signal_execution(waiting.pk, name="go")
    step = waiting.steps.get()
    assert (step.status, step.wake_at, step.held_wake_at is None) == ("PENDING", None, False)


def test_a_workflow_without_a_limit_starts_without_asking_for_a_place():
    free, one = make_workflow([call("a")], "free"), limited(1, name="one")
    start(free)
    with CaptureQueriesContext(connection) as plain:
        start(free)
    assert not any("FOR " in q["sql"] and 'workflow"' in q["sql"] for q in plain.captured_queries)
    # Execution, step and event.
    assert sum(q["sql"].count("INSERT INTO") for q in plain.captured_queries) == 3
    with CaptureQueriesContext(connection) as locked:
        start(one)
    assert len(locked) > len(plain)


def test_two_engines_and_many_starts_never_exceed_the_limit(monkeypatch):
    going, most, lock = 0, 0, threading.Lock()

    def answer(_):
        return {}

    client = ScriptedClient(a=answer)
    original = client.call

    async def counted(*args, **kwargs):
        nonlocal going, most
        with lock:
            going += 1
            most = max(most, going)
        try:
            return await original(*args, **kwargs)
        finally:
            with lock:
                going -= 1

    client.call = counted
    workflow = limited(3, [call("a", next="w"), {"id": "w", "type": "CHOICE", "next": [
        {"step": "b"}]}, call("b", "a")])  # fmt: skip
    with running_engine(client) as one, running_engine(client):
        monkeypatch.setattr(runtime, "_engine", one)
        executions = [start(workflow) for _ in range(30)]
        assert {ended(e).status for e in executions} == {"COMPLETED"}
    assert most <= 3
