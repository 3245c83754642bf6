"""When an execution is WAITING: all that is open waits, and nothing runs or is to be claimed."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from registry.exceptions import ServiceUnavailableError
from tests.support.engine import (
    ScriptedClient,
    call,
    ended,
    make_workflow,
    running_engine,
    start,
)
from tests.support.waiting import until
from tests.workflows.engine.test_worker import claim_one, settle_with
from workflows import decide, services
from workflows.engine.lease_recovery import overdue_executions
from workflows.engine.store import Batch, Settled, Store
from workflows.models import WorkflowExecution

pytestmark = pytest.mark.django_db(transaction=True)

GO = {"id": "go", "type": "EVENT", "event": "go"}
STOP = {"id": "stop", "type": "EVENT", "event": "stop"}
LATER = {"id": "later", "type": "WAIT", "seconds": 3600}
ASK = {"id": "ask", "type": "APPROVAL"}
CHILD = {"id": "child", "type": "WORKFLOW", "workflow": "child"}


def client(**answers):
    return ScriptedClient(**{"a": lambda d: {"a": 1}, **answers})


def status_of(execution):
    return services.get_execution(str(execution.pk)).status


def fork(*branches):
    return {"id": "fork", "type": "PARALLEL", "branches": list(branches)}


@pytest.mark.parametrize("wait", [GO, LATER, ASK], ids=lambda w: w["type"])
def test_execution_that_only_waits_says_so(wait):
    execution = start(make_workflow([call("a", next=wait["id"]), wait]))
    with running_engine(client()):
        until(lambda: status_of(execution) == "WAITING")
    assert execution.steps.get(path=wait["id"]).status == "WAITING"


def test_execution_that_waits_for_its_next_attempt_says_so():
    def refuse(_):
        raise ServiceUnavailableError("down")

    execution = start(make_workflow([call("a", retry={"base_delay": 30, "max_delay": 30})]))
    with running_engine(client(a=refuse)):
        until(lambda: status_of(execution) == "WAITING")


def test_execution_that_waits_for_a_child_says_so_while_the_child_runs():
    make_workflow([call("a")], name="child")
    using = client()
    using.held.add("a")
    execution = start(make_workflow([CHILD]))
    with running_engine(using):
        until(lambda: using.called("a") and status_of(execution) == "WAITING")
        assert WorkflowExecution.objects.get(workflow_name="child").status == "RUNNING"
        using.gate.set()
        assert ended(services.get_execution(str(execution.pk))).status == "COMPLETED"


def test_it_runs_again_once_what_waited_is_claimed():
    using = client()
    using.held.add("a")
    execution = start(make_workflow([{**GO, "next": "a"}, call("a")]))
    with running_engine(using) as engine:
        until(lambda: status_of(execution) == "WAITING")
        services.signal_execution(execution.pk, name="go")
        engine.look()
        until(lambda: using.called("a"))
        assert status_of(execution) == "RUNNING"
        using.gate.set()
        assert ended(services.get_execution(str(execution.pk))).status == "COMPLETED"


def test_container_that_waits_for_a_running_branch_is_no_wait():
    using = client()
    using.held.add("a")
    execution = start(make_workflow([fork([GO], [call("a")])]))
    with running_engine(using):
        until(lambda: execution.steps.filter(path="fork/0/go", status="WAITING").exists())
        until(lambda: using.called("a"))
        assert status_of(execution) == "RUNNING"
        using.gate.set()
        until(lambda: status_of(execution) == "WAITING")
    found = dict(execution.steps.values_list("path", "status"))
    assert found == {"fork": "WAITING", "fork/0/go": "WAITING", "fork/1/a": "COMPLETED"}


def test_branches_that_all_wait_make_the_execution_wait():
    execution = start(make_workflow([fork([GO], [STOP])]))
    with running_engine(client()) as engine:
        until(lambda: status_of(execution) == "WAITING")
        for name in ("stop", "go"):
            services.signal_execution(execution.pk, name=name)
            engine.look()
        assert ended(services.get_execution(str(execution.pk))).status == "COMPLETED"


def test_waiting_execution_is_paused_and_goes_on_waiting():
    execution = start(make_workflow([GO]))
    with running_engine(client()):
        until(lambda: status_of(execution) == "WAITING")
        assert services.pause_execution(execution.pk).status == "PAUSED"
        assert services.resume_execution(execution.pk).status == "WAITING"


def test_waiting_execution_that_was_given_its_signal_while_paused_runs_on():
    execution = start(make_workflow([GO]))
    with running_engine(client()) as engine:
        until(lambda: status_of(execution) == "WAITING")
        services.pause_execution(execution.pk)
        services.signal_execution(execution.pk, name="go")
        assert services.resume_execution(execution.pk).status == "RUNNING"
        engine.look()
        assert ended(services.get_execution(str(execution.pk))).status == "COMPLETED"


def test_waiting_execution_has_not_ended_and_keeps_its_deadline():
    execution = start(make_workflow([GO], timeout=3600))
    with running_engine(client()):
        until(lambda: status_of(execution) == "WAITING")
    found = services.get_execution(str(execution.pk))
    assert services.wait_for_end(found, seconds=0.05).status == "WAITING"
    past = timezone.now() - timedelta(seconds=60)
    WorkflowExecution.objects.update(deadline_at=past)
    assert overdue_executions() == [str(execution.pk)]


def test_elements_that_follow_each_other_ask_nothing_about_waiting():
    each = {"id": "each", "type": "MAP", "over": "$.input.items", "max_concurrency": 1,
            "steps": [call("a", input={"n": "$.item"})]}  # fmt: skip
    start(make_workflow([each]), {"items": [1, 2, 3]})
    store = Store(owner="one", lease_seconds=30)
    container = claim_one(store)
    begun = decide.resume(container.execution, container.row, now=timezone.now())
    (first,) = store.commit(Batch(settled=[Settled(container, begun)], room=5)).claims
    with CaptureQueriesContext(connection) as queries:
        (second,) = store.commit(Batch(settled=[settle_with(first, {})], room=5)).claims
    assert second.row.path == "each/1/a"
    assert not [q for q in queries if "'RUNNING' AND NOT EXISTS" in q["sql"]]
