"""Branches, elements, waits, signals, approvals and children, against a real database."""

from datetime import timedelta

import pytest
from django.utils import timezone

from core.exceptions import Conflict
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
from workflows import services
from workflows.invariants import check_executions
from workflows.models import WorkflowExecution, WorkflowStep
from workflows.services import Start
from workflows.tasks import sweep

pytestmark = pytest.mark.django_db(transaction=True)

FORK = {
    "id": "fork",
    "type": "PARALLEL",
    "branches": [
        [call("a", next="a2"), call("a2", "a")],
        [call("b")],
    ],
    "next": "after",
}
AFTER = {"id": "after", "type": "TRANSFORM", "output": {"seen": "$.steps.fork.output"}}
EACH = {
    "id": "each",
    "type": "MAP",
    "over": "$.input.items",
    "steps": [call("double", input={"n": "$.item", "i": "$.index"})],
}


def client(**answers):
    base = {
        "a": lambda d: {"a": d.get("x")},
        "b": lambda d: {"b": d.get("x")},
        "double": lambda d: {"twice": d["n"] * 2},
    }
    return ScriptedClient(**{**base, **answers})


def down(_):
    raise ServiceUnavailableError("down")


def run(steps, input=None, using=None, **document):
    execution = start(make_workflow(steps, **document), input)
    with running_engine(using or client()):
        return ended(execution)


def statuses(execution):
    return {s.path: s.status for s in execution.steps.order_by("attempt")}


# --- PARALLEL ---


def test_branches_run_and_their_outputs_are_joined():
    found = run([FORK, AFTER], {"x": 1})
    assert (found.status, found.errors) == ("COMPLETED", [])
    assert found.output == {"seen": {"a2": {"a": 1}, "b": {"b": 1}}}
    assert statuses(found)["fork/0/a2"] == "COMPLETED"


def test_failed_branch_fails_all_and_stops_the_others():
    using = client(b=down)
    using.held.add("a")
    execution = start(make_workflow([FORK, AFTER]), {"x": 1})
    with running_engine(using):
        found = ended(execution)
        using.gate.set()
    assert found.status == "FAILED"
    assert found.errors[0]["code"] == "branch_failed"
    assert "down" in found.errors[0]["message"]
    assert statuses(found)["fork/0/a"] == "CANCELLED"
    assert WorkflowStep.objects.filter(status__in=("RUNNING", "PENDING", "WAITING")).count() == 0


def test_any_goes_on_with_the_first_branch_that_completes():
    using = client()
    using.held.add("a")
    execution = start(make_workflow([{**FORK, "join": "ANY"}, AFTER]), {"x": 1})
    with running_engine(using):
        found = ended(execution)
        using.gate.set()
    assert found.output == {"seen": {"b": {"b": 1}}}
    assert statuses(found)["fork/0/a"] == "CANCELLED"


def test_branch_that_still_goes_on_is_no_part_of_what_a_join_gives():
    slow = [call("a", next="late"), call("late")]
    quick = [{"id": "go", "type": "EVENT", "event": "go", "next": "b"}, call("b")]
    fork = {"id": "fork", "type": "PARALLEL", "branches": [slow, quick], "join": "ANY"}
    using = client(late=lambda _: {"late": 1})
    using.held.add("late")
    execution = start(make_workflow([fork]), {"x": 1})
    with running_engine(using) as engine:
        until(lambda: using.called("late"))
        services.signal_execution(execution.pk, name="go", actor="me")
        engine.look()
        found = ended(execution)
        using.gate.set()
    assert found.output == {"b": {"b": 1}}


def test_failed_fork_may_be_optional():
    found = run([{**FORK, "optional": True}, AFTER], {"x": 1}, client(b=down))
    assert (found.status, found.output) == ("COMPLETED", {"seen": None})


def test_retry_goes_on_in_the_failed_branch_only():
    using = client(b=down)
    execution = start(make_workflow([FORK, AFTER]), {"x": 1})
    with running_engine(using) as engine:
        assert ended(execution).status == "FAILED"
        using.answers["b"] = lambda _: {"b": 2}
        services.retry_execution(execution.pk, actor="me")
        engine.look()
        found = ended(services.get_execution(str(execution.pk)))
    assert found.status == "COMPLETED", found.errors
    assert found.output["seen"]["b"] == {"b": 2}


def test_forks_nest():
    inner = {"id": "inner", "type": "PARALLEL", "branches": [[call("a")], [call("b")]]}
    outer = {"id": "outer", "type": "PARALLEL", "branches": [[inner], [call("c", "b")]]}
    found = run([outer], {"x": 1})
    assert found.output == {"inner": {"a": {"a": 1}, "b": {"b": 1}}, "c": {"b": 1}}


# --- MAP ---


def test_elements_are_mapped_in_order():
    found = run([EACH], {"items": [3, 1, 2]})
    assert found.output == [{"twice": 6}, {"twice": 2}, {"twice": 4}]


def test_no_elements_give_an_empty_list():
    assert run([EACH], {"items": []}).output == []


def test_element_sees_its_item_and_index():
    using = client()
    run([EACH], {"items": [5, 6]}, using)
    assert sorted((d["n"], d["i"]) for _, d, _ in using.calls) == [(5, 0), (6, 1)]


def test_no_more_elements_run_at_once_than_allowed():
    using = client()
    using.held.add("double")
    execution = start(make_workflow([{**EACH, "max_concurrency": 2}]), {"items": list(range(6))})
    with running_engine(using) as engine:
        until(lambda: len(using.calls) == 2)
        engine.look()
        assert execution.steps.filter(path__startswith="each/").count() == 2
        using.gate.set()
        assert ended(execution).output == [{"twice": n * 2} for n in range(6)]


def test_tolerated_failures_leave_gaps():
    def picky(d):
        return down(d) if d["n"] == 1 else {"twice": d["n"] * 2}

    found = run([{**EACH, "tolerate_failures": 1}], {"items": [0, 1, 2]}, client(double=picky))
    assert found.output == [{"twice": 0}, None, {"twice": 4}]


def test_too_many_failures_fail_the_map():
    found = run([EACH], {"items": [0, 1]}, client(double=down))
    assert (found.status, found.errors[0]["code"]) == ("FAILED", "branch_failed")


def test_what_is_no_list_fails_the_map():
    found = run([EACH], {"items": 7})
    assert found.errors[0]["code"] == "expression_error"


def test_later_steps_of_an_element_see_its_own_earlier_ones():
    steps = [
        call("double", input={"n": "$.item"}, next="sum"),
        {
            "id": "sum",
            "type": "TRANSFORM",
            "output": {"s": "$.add(item, steps.double.output.twice)"},
        },
    ]
    found = run([{**EACH, "steps": steps}], {"items": [1, 2]})
    assert found.output == [{"s": 3}, {"s": 6}]


def test_element_overlays_what_was_before_it_and_nothing_later():
    steps = [
        call("double", input={"n": "$.item.n"}, next="pause"),
        {"id": "pause", "type": "WAIT", "seconds": 0.001, "next": "a"},
        call("a"),
    ]
    using = client(double=lambda d: {"x": d["n"] * 2}, a=lambda d: {"a": d["x"]})
    execution = start(make_workflow([{**EACH, "steps": steps}]), {"items": [{"n": 4, "x": 0}]})
    with running_engine(using) as engine:
        until(lambda: engine.look() or services.get_execution(str(execution.pk)).has_ended)
    assert ended(execution).output == [{"a": 8}]


def test_a_thousand_elements_end():
    found = run([{**EACH, "max_concurrency": 100}], {"items": list(range(1000))})
    assert found.status == "COMPLETED"
    assert found.output[999] == {"twice": 1998}


# --- WAIT, EVENT ---


def test_wait_holds_nothing_and_goes_on_when_its_time_has_come():
    execution = start(
        make_workflow([{"id": "w", "type": "WAIT", "seconds": 3600, "next": "a"}, call("a")])
    )
    with running_engine(client()) as engine:
        until(lambda: execution.steps.filter(status="WAITING").exists())
        row = execution.steps.get()
        assert row.lease_until is None
        past = (timezone.now() - timedelta(seconds=1)).isoformat()
        WorkflowStep.objects.filter(pk=row.pk).update(
            wake_at=timezone.now() - timedelta(seconds=1), input={"until": past}
        )
        engine.look()
        assert ended(execution).status == "COMPLETED"


WAITING_FOR = [{"id": "e", "type": "EVENT", "event": "paid", "match": "event.amount > `5`"}]


def test_signal_lets_a_waiting_execution_go_on():
    execution = start(make_workflow(WAITING_FOR))
    with running_engine(client()) as engine:
        until(lambda: execution.steps.filter(status="WAITING").exists())
        services.signal_execution(execution.pk, name="paid", payload={"amount": 1}, actor="me")
        engine.look()
        until(lambda: execution.steps.filter(status="WAITING").exists())
        services.signal_execution(execution.pk, name="paid", payload={"amount": 9}, actor="me")
        engine.look()
        assert ended(execution).output == {"amount": 9}


def test_signal_that_came_early_is_kept():
    execution = start(make_workflow(WAITING_FOR))
    services.signal_execution(execution.pk, name="paid", payload={"amount": 9}, actor="me")
    with running_engine(client()):
        assert ended(execution).output == {"amount": 9}


def test_signal_that_cannot_be_judged_is_set_aside_and_the_wait_goes_on():
    step = {**WAITING_FOR[0], "match": "add(event.amount, `1`) > `5`", "next": None}
    execution = start(make_workflow([step]))
    bad = [{"amount": "nine"}, {"amount": [9]}]
    with running_engine(client()) as engine:
        for payload in bad:
            until(lambda: execution.steps.filter(status="WAITING").exists())
            services.signal_execution(execution.pk, name="paid", payload=payload, actor="me")
            engine.look()
        until(lambda: execution.events.filter(kind="SIGNAL_SET_ASIDE").count() == 2)
        until(lambda: execution.steps.filter(status="WAITING").exists())
        services.signal_execution(execution.pk, name="paid", payload={"amount": 9}, actor="me")
        engine.look()
        assert ended(execution).output == {"amount": 9}
    kept = list(execution.events.filter(kind="SIGNAL_SET_ASIDE").order_by("sequence"))
    signals = list(execution.events.filter(kind="SIGNAL").values_list("sequence", flat=True))
    assert [event.payload["signal"] for event in kept] == sorted(signals)[:2]
    assert all(e.payload["step"] == "e" and "add" in e.payload["reason"] for e in kept)
    assert not list(check_executions())


def test_signals_of_before_the_wait_are_set_aside_in_one_commit_with_the_good_one():
    step = {**WAITING_FOR[0], "match": "add(event.amount, `1`) > `5`", "next": None}
    execution = start(make_workflow([step]))
    for payload in ({"amount": "nine"}, {"amount": 9}):
        services.signal_execution(execution.pk, name="paid", payload=payload, actor="me")
    with running_engine(client()):
        assert ended(execution).output == {"amount": 9}
    events = execution.events.order_by("sequence").values_list("sequence", "kind")
    assert list(events) == [
        (1, "STARTED"), (2, "SIGNAL"), (3, "SIGNAL"), (4, "SIGNAL_SET_ASIDE"), (5, "COMPLETED"),
    ]  # fmt: skip


def test_each_signal_is_taken_once():
    steps = [
        {**WAITING_FOR[0], "next": "second"},
        {**WAITING_FOR[0], "id": "second", "timeout": 0.1},
    ]
    execution = start(make_workflow(steps))
    services.signal_execution(execution.pk, name="paid", payload={"amount": 9}, actor="me")
    with running_engine(client()) as engine:
        until(lambda: execution.steps.filter(path="second", status="WAITING").exists())
        until(lambda: engine.look() or services.get_execution(str(execution.pk)).has_ended)
    assert ended(execution).errors[0]["code"] == "event_timeout"


def test_branches_do_not_take_the_same_signal():
    wait = {"type": "EVENT", "event": "paid"}
    branches = [[{"id": f"e{n}", **wait}] for n in range(3)]
    execution = start(make_workflow([{"id": "all", "type": "PARALLEL", "branches": branches}]))
    for amount in (1, 2, 3):
        services.signal_execution(execution.pk, name="paid", payload={"amount": amount})
    with running_engine(client()):
        found = ended(execution)
    assert sorted(output["amount"] for output in found.output.values()) == [1, 2, 3]


def test_ended_execution_takes_no_signal():
    execution = run([call("a")])
    with pytest.raises(Conflict):
        services.signal_execution(execution.pk, name="paid", actor="me")


# --- APPROVAL ---

ASK = {"id": "ask", "type": "APPROVAL", "assignees": ["ann", "bob"], "minimum": 2, "next": "a"}


def waiting_approval(engine, execution, path="ask"):
    engine.look()
    until(lambda: execution.steps.filter(path=path, status="WAITING").exists())


def test_enough_approvals_let_it_go_on():
    execution = start(make_workflow([ASK, call("a")]), {"x": 1})
    with running_engine(client()) as engine:
        waiting_approval(engine, execution)
        services.decide_approval(execution.pk, "ask", approve=True, actor="ann")
        assert execution.steps.get(path="ask").status == "WAITING"
        services.decide_approval(execution.pk, "ask", approve=True, actor="bob", comment="fine")
        engine.look()
        assert ended(execution).status == "COMPLETED"
    output = execution.steps.get(path="ask").output
    assert [d["by"] for d in output["decisions"]] == ["ann", "bob"]


def test_one_rejection_fails_it_with_its_reason():
    execution = start(make_workflow([ASK, call("a")]))
    with running_engine(client()) as engine:
        waiting_approval(engine, execution)
        services.decide_approval(
            execution.pk, "ask", approve=False, actor="bob", comment="too dear"
        )
        engine.look()
        found = ended(execution)
    assert (found.errors[0]["code"], found.errors[0]["message"]) == (
        "rejected",
        "bob rejected 'ask': too dear",
    )


def test_strangers_and_repeated_decisions_are_refused():
    execution = start(make_workflow([ASK, call("a")]))
    with running_engine(client()) as engine:
        waiting_approval(engine, execution)
        with pytest.raises(Conflict, match="not one of them"):
            services.decide_approval(execution.pk, "ask", approve=True, actor="eve")
        services.decide_approval(execution.pk, "ask", approve=True, actor="ann")
        with pytest.raises(Conflict, match="already"):
            services.decide_approval(execution.pk, "ask", approve=True, actor="ann")


@pytest.mark.parametrize(
    ("policy", "status"), [("APPROVE", "COMPLETED"), ("REJECT", "FAILED"), ("FAIL", "FAILED")]
)
def test_timeout_follows_its_policy(policy, status):
    step = {"id": "ask", "type": "APPROVAL", "timeout": 0.1, "on_timeout": policy}
    execution = start(make_workflow([step]))
    with running_engine(client()) as engine:
        until(lambda: engine.look() or services.get_execution(str(execution.pk)).has_ended)
    assert ended(execution).status == status


# --- WORKFLOW, on_error, pause, deadline ---


def test_child_runs_and_gives_its_output():
    make_workflow([call("a")], name="child")
    parent = {"id": "p", "type": "WORKFLOW", "workflow": "child", "input": {"x": "$.input.y"}}
    found = run([parent], {"y": 4})
    assert found.output == {"a": 4}
    child = WorkflowExecution.objects.get(workflow_name="child")
    assert child.parent_step.execution_id == found.pk


def test_failed_child_fails_its_step():
    make_workflow([call("b")], name="child")
    found = run([{"id": "p", "type": "WORKFLOW", "workflow": "child"}], {}, client(b=down))
    assert (found.status, found.errors[0]["code"]) == ("FAILED", "child_failed")


def test_missing_child_fails_its_step():
    found = run([{"id": "p", "type": "WORKFLOW", "workflow": "nowhere"}])
    assert (found.status, found.errors[0]["code"]) == ("FAILED", "not_found")


def test_cancel_reaches_the_child():
    using = client()
    using.held.add("a")
    make_workflow([call("a")], name="child")
    execution = start(make_workflow([{"id": "p", "type": "WORKFLOW", "workflow": "child"}]))
    with running_engine(using):
        until(lambda: using.calls)
        services.cancel_execution(execution.pk, actor="me")
        using.gate.set()
    assert WorkflowExecution.objects.get(workflow_name="child").status == "CANCELLED"


def test_error_is_routed_by_its_code():
    steps = [
        call("b", on_error=[{"match": ["service_unavailable"], "step": "a"}], next="c"),
        call("c", "b"),
        call("a"),
    ]
    found = run(steps, {"x": 1}, client(b=down))
    assert (found.status, found.output) == ("COMPLETED", {"a": 1})


def test_paused_execution_begins_nothing_until_it_is_resumed():
    using = client()
    using.held.add("a")
    execution = start(make_workflow([call("a", next="b"), call("b")]), {"x": 1})
    with running_engine(using) as engine:
        until(lambda: using.calls)
        services.pause_execution(execution.pk, actor="me")
        using.gate.set()
        until(lambda: execution.steps.filter(path="b").exists())
        engine.look()
        assert execution.steps.get(path="b").status == "PENDING"
        services.resume_execution(execution.pk, actor="me")
        engine.look()
        assert ended(services.get_execution(str(execution.pk))).status == "COMPLETED"


def test_execution_past_its_deadline_fails():
    execution = start(
        make_workflow([{"id": "e", "type": "EVENT", "event": "never"}], timeout=60, defaults={})
    )
    assert execution.deadline_at is not None
    WorkflowExecution.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
    sweep()
    found = services.get_execution(str(execution.pk))
    assert (found.status, found.errors[0]["code"]) == ("FAILED", "deadline_exceeded")


def test_reviewed_step_goes_on_with_what_a_person_said():
    execution = start(make_workflow([call("a", next="b"), call("b")]), {"x": 1})
    WorkflowStep.objects.filter(execution=execution).update(
        status="NEEDS_REVIEW", input={"x": 1}, wake_at=None
    )
    WorkflowExecution.objects.update(status="NEEDS_REVIEW")
    services.settle_reviewed(execution.pk, "a", output={"x": 7}, actor="me")
    using = client()
    with running_engine(using):
        found = ended(services.get_execution(str(execution.pk)))
    assert (found.status, found.output) == ("COMPLETED", {"b": 7})
    assert using.called("a") == 0


def test_start_of_a_child_keeps_the_correlation():
    make_workflow([call("a")], name="child")
    workflow = make_workflow([{"id": "p", "type": "WORKFLOW", "workflow": "child"}])
    begun = services.start_execution(workflow, Start(input={}, context={"request_id": "r1"}))
    with running_engine(client()):
        ended(begun.execution)
    assert WorkflowExecution.objects.get(workflow_name="child").correlation_id == "r1"


def test_child_that_was_to_be_cancelled_by_a_worker_that_died_is_found():
    make_workflow([{"id": "w", "type": "EVENT", "event": "never"}], "inner")
    execution = start(make_workflow([{"id": "c", "type": "WORKFLOW", "workflow": "inner"}]))
    children = WorkflowExecution.objects.filter(parent_step__execution=execution)
    with running_engine(ScriptedClient()):
        until(lambda: children.filter(status="WAITING").exists())
        sweep()
        assert children.get().status == "WAITING"
    execution.steps.update(status="CANCELLED", wake_at=None)
    sweep()
    assert children.get().status == "CANCELLED"


def test_child_of_a_branch_that_is_not_waited_for_is_cancelled():
    make_workflow([{"id": "e", "type": "EVENT", "event": "never"}], name="endless")
    first = [{"id": "child", "type": "WORKFLOW", "workflow": "endless"}]
    second = [{"id": "go", "type": "EVENT", "event": "go"}]
    execution = start(
        make_workflow([{**FORK, "branches": [first, second], "join": "ANY"}, AFTER], name="parent")
    )
    children = WorkflowExecution.objects.filter(workflow_name="endless")
    with running_engine(client()) as engine:
        until(lambda: children.filter(steps__status="WAITING").exists())
        services.signal_execution(execution.pk, name="go", actor="me")
        engine.look()
        assert ended(execution).status == "COMPLETED"
        until(lambda: children.filter(status="CANCELLED").exists())


def test_child_that_takes_too_long_is_cancelled():
    using = client()
    using.held.add("a")
    make_workflow([call("a")], name="child")
    step = {"id": "p", "type": "WORKFLOW", "workflow": "child", "timeout": 0.2}
    execution = start(make_workflow([step]))
    with running_engine(using) as engine:
        until(lambda: using.calls)
        until(lambda: engine.look() or services.get_execution(str(execution.pk)).has_ended)
        until(lambda: WorkflowExecution.objects.get(workflow_name="child").status == "CANCELLED")
        using.gate.set()
    assert ended(execution).errors[0]["code"] == "child_timeout"


def test_workflow_that_starts_itself_ends():
    make_workflow([{"id": "p", "type": "WORKFLOW", "workflow": "w"}])
    execution = start(services.get_workflow("w"))
    with running_engine(client()):
        found = ended(execution)
    assert found.status == "FAILED"
    assert WorkflowExecution.objects.count() == 21


def test_retry_gives_a_late_execution_its_time_anew():
    execution = start(make_workflow([call("a")], timeout=60, defaults={}), {"x": 1})
    WorkflowExecution.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
    sweep()
    retried = services.retry_execution(execution.pk, actor="me")
    assert retried.deadline_at > timezone.now()
    with running_engine(client()):
        assert ended(services.get_execution(str(execution.pk))).status == "COMPLETED"


def test_others_may_decide_once_an_approval_is_due():
    step = {**ASK, "minimum": 1, "escalate_to": ["eve"], "due": 3600}
    execution = start(make_workflow([step, call("a")]))
    with running_engine(client()) as engine:
        waiting_approval(engine, execution)
        with pytest.raises(Conflict, match="not one of them"):
            services.decide_approval(execution.pk, "ask", approve=True, actor="eve")
        row = execution.steps.get(path="ask")
        past = (timezone.now() - timedelta(seconds=1)).isoformat()
        WorkflowStep.objects.filter(pk=row.pk).update(input={**row.input, "due": past})
        services.decide_approval(execution.pk, "ask", approve=True, actor="eve")
        engine.look()
        assert ended(execution).status == "COMPLETED"


def test_decision_after_the_time_to_decide_is_refused():
    execution = start(make_workflow([{**ASK, "timeout": 3600}, call("a")]))
    with running_engine(client()) as engine:
        waiting_approval(engine, execution)
    row = execution.steps.get(path="ask")
    past = (timezone.now() - timedelta(seconds=1)).isoformat()
    WorkflowStep.objects.filter(pk=row.pk).update(input={**row.input, "until": past})
    with pytest.raises(Conflict, match="The time to decide 'ask' ended at"):
        services.decide_approval(execution.pk, "ask", approve=True, actor="ann")
