"""Executions that are undone, against a real database."""

from datetime import timedelta

import pytest
from django.utils import timezone

from core.exceptions import Conflict
from registry.exceptions import ServiceUnavailableError
from registry.models import Service, ServiceAction, ServiceInstance
from tests.support.engine import (
    ScriptedClient,
    call,
    ended,
    make_workflow,
    running_engine,
    start,
)
from tests.support.waiting import until
from tests.workflows.engine.test_worker import claim_one, expire, settle_with
from workflows import services
from workflows.engine.lease_recovery import overdue_executions, recover_expired
from workflows.engine.store import Batch, Store
from workflows.models import WorkflowExecution, WorkflowStep
from workflows.services import Start
from workflows.tasks import sweep

pytestmark = pytest.mark.django_db(transaction=True)


def undo(**more):
    return {"service": "u", "action": "undo", **more}


def step(step_id, **more):
    """A step that answers its own id, and whose undoing is given it."""
    return call(step_id, "do", input={"id": step_id}, compensate=undo(), **more)


FAILING = call("bad")
CHAIN = [step("a", next="b"), step("b", next="bad"), FAILING]


def refuse(_):
    raise ServiceUnavailableError("down")


def client(**answers):
    return ScriptedClient(**{"do": lambda d: d, "undo": lambda d: d, "bad": refuse, **answers})


def undone(using):
    """What was undone, in its order."""
    return [document["id"] for action, document, _ in using.calls if action == "undo"]


def run(steps, input=None, using=None, **document):
    execution = start(make_workflow(steps, **document), input)
    with running_engine(using or client()):
        return ended(execution)


def statuses(execution):
    return {s.path: s.status for s in execution.steps.order_by("attempt")}


def kinds(execution):
    return list(execution.events.order_by("sequence").values_list("kind", flat=True))


def test_failure_undoes_what_completed_the_last_one_first():
    using = client()
    found = run(CHAIN, using=using)
    assert (found.status, found.ends_as, undone(using)) == ("FAILED", "FAILED", ["b", "a"])
    assert statuses(found) == {
        "a": "COMPENSATED",
        "b": "COMPENSATED",
        "bad": "FAILED",
        "~b": "COMPLETED",
        "~a": "COMPLETED",
    }
    assert [e["path"] for e in found.errors] == ["bad"]
    assert found.completed_at >= found.steps.get(path="~a").completed_at
    assert kinds(found) == ["STARTED", "COMPENSATING", "FAILED"]
    event = found.events.get(kind="COMPENSATING")
    assert event.payload == {"ends_as": "FAILED", "errors": found.errors}


def test_good_end_undoes_nothing():
    using = client()
    found = run([step("a", next="end"), {"id": "end", "type": "SUCCEED"}], using=using)
    assert (found.status, found.ends_as, undone(using)) == ("COMPLETED", None, [])


def test_failure_with_nothing_completed_ends_at_once():
    found = run([call("bad", compensate=undo())])
    assert (found.status, found.ends_as, kinds(found)) == ("FAILED", None, ["STARTED", "FAILED"])
    assert statuses(found) == {"bad": "FAILED"}


def test_failure_that_was_handled_undoes_nothing():
    using = client()
    found = run([step("a", next="bad"), call("bad", optional=True)], using=using)
    assert (found.status, undone(using)) == ("COMPLETED", [])


def test_step_that_succeeded_and_found_no_way_on_is_undone():
    using = client()
    nowhere = {"next": [{"when": "output.id == 'other'", "step": "b"}]}
    found = run([step("a", **nowhere), step("b", next=None)], using=using)
    assert (found.status, found.errors[0]["code"], undone(using)) == ("FAILED", "no_route", ["a"])
    assert statuses(found) == {"a": "COMPENSATED", "~a": "COMPLETED"}


def test_only_steps_that_say_how_are_undone():
    using = client()
    plain = call("plain", "do", input={"id": "plain"}, next="bad")
    found = run([step("a", next="plain"), plain, FAILING], using=using)
    assert undone(using) == ["a"]
    assert statuses(found)["plain"] == "COMPLETED"


def test_every_visit_of_a_step_is_undone():
    again = [{"when": "output.n < `3`", "step": "a"}, {"step": "bad"}]
    count = iter((1, 2, 3))
    using = client(do=lambda d: {"id": d["id"], "n": next(count)})
    looping = call("a", "do", input={"id": "a"}, max_visits=5, next=again,
                   compensate=undo(input={"id": "$.output.n"}))  # fmt: skip
    found = run([looping, FAILING], using=using)
    assert undone(using) == [3, 2, 1]
    assert statuses(found)["a#2"] == "COMPENSATED"


def test_undoing_sees_what_the_step_saw():
    template = {"id": "$.output.id", "before": "$.steps.a.output.id", "who": "$.input.who"}
    using = client()
    second = call("b", "do", input={"id": "b"}, compensate=undo(input=template), next="bad")
    run([step("a", next="b"), second, FAILING], {"who": "me"}, using)
    given = [document for action, document, _ in using.calls if action == "undo"]
    assert given == [{"id": "b", "before": "a", "who": "me"}, {"id": "a"}]


def test_undoing_of_an_earlier_visit_does_not_see_the_later_ones():
    steps = [
        call("mark", "do", input={"id": "$.length(keys(steps))"}, max_visits=3, next="a"),
        call("a", "do", input={"id": "$.steps.mark.output.id"}, max_visits=3,
             compensate=undo(input={"id": "$.steps.mark.output.id"}),
             next=[{"when": "output.id < `2`", "step": "mark"}, {"step": "bad"}]),
        FAILING,
    ]  # fmt: skip
    using = client()
    run(steps, using=using)
    assert undone(using) == [2, 0]


def test_undoing_has_its_own_idempotency_key():
    using = client()
    run([step("a", next="bad"), FAILING], using=using)
    keys = [headers["Idempotency-Key"] for _, _, headers in using.calls]
    assert len(set(keys)) == 3


# --- Branches, elements, children ---


def test_branches_are_undone_in_the_order_of_their_ends():
    fork = {"id": "fork", "type": "PARALLEL", "next": "bad",
            "branches": [[step("a", next="a2"), step("a2")], [step("b")]]}  # fmt: skip
    using = client()
    found = run([fork, FAILING], using=using)
    done = found.steps.filter(status="COMPENSATED").order_by("-completed_at", "-id")
    assert undone(using) == list(done.values_list("step_id", flat=True))
    assert sorted(undone(using)) == ["a", "a2", "b"]
    assert statuses(found)["fork"] == "COMPLETED"
    assert statuses(found)["~fork/0/a"] == "COMPLETED"


def test_failed_branch_stops_the_others_and_undoes_what_they_completed():
    fork = {"id": "fork", "type": "PARALLEL",
            "branches": [[step("a", next="slow"), call("slow")], [call("wait"), ]]}  # fmt: skip
    using = client(slow=lambda d: d, wait=refuse)
    using.held |= {"slow", "wait"}
    execution = start(make_workflow([fork]))
    with running_engine(using):
        until(lambda: using.called("slow") and using.called("wait"))
        using.held.discard("wait")
        found = ended(execution)
        using.gate.set()
    assert (found.status, undone(using)) == ("FAILED", ["a"])
    assert statuses(found)["fork/0/slow"] == "CANCELLED"


def test_elements_are_undone_with_their_item_in_sight():
    each = {"id": "each", "type": "MAP", "over": "$.input.items", "next": "bad",
            "max_concurrency": 1, "steps": [
                call("do", input={"id": "$.item.n"},
                     compensate=undo(input={"id": "$.item.n", "index": "$.index"}))
            ]}  # fmt: skip
    using = client()
    found = run([each, FAILING], {"items": [{"n": n} for n in range(7)]}, using)
    given = [document for action, document, _ in using.calls if action == "undo"]
    assert given == [{"id": n, "index": n} for n in reversed(range(7))]
    assert found.steps.filter(status="COMPENSATED").count() == 7


def test_elements_that_completed_are_undone_when_another_failed():
    each = {"id": "each", "type": "MAP", "over": "$.input.items", "max_concurrency": 1,
            "steps": [call("do", input={"id": "$.item"}, compensate=undo())]}  # fmt: skip

    def third_fails(document):
        return refuse(document) if document["id"] == 3 else document

    using = client(do=third_fails)
    found = run([each], {"items": [1, 2, 3, 4]}, using)
    assert (found.status, undone(using)) == ("FAILED", [2, 1])


def test_child_undoes_its_own_and_its_parent_what_came_before():
    make_workflow([step("inner", next="bad"), FAILING], name="child")
    using = client()
    child = {"id": "child", "type": "WORKFLOW", "workflow": "child"}
    found = run([step("outer", next="child"), child], using=using)
    assert (found.status, undone(using)) == ("FAILED", ["inner", "outer"])
    assert found.errors[0]["code"] == "child_failed"
    assert WorkflowExecution.objects.get(workflow_name="child").status == "FAILED"


def test_completed_child_is_undone_by_the_call_of_its_step():
    make_workflow([step("inner")], name="child")
    child = {"id": "child", "type": "WORKFLOW", "workflow": "child", "next": "bad",
             "compensate": undo(input={"id": "$.concat('child of ', output.id)"})}  # fmt: skip
    using = client()
    found = run([child, FAILING], using=using)
    assert undone(using) == ["child of inner"]
    assert statuses(found)["child"] == "COMPENSATED"


# --- Cancelling, deadlines, pausing ---


def waiting_for_signal(engine, **document):
    """An execution that did `a` and `b` and waits for a signal."""
    wait = {"id": "wait", "type": "EVENT", "event": "go", "next": "bad"}
    workflow = make_workflow(
        [step("a", next="b"), step("b", next="wait"), wait, FAILING], **document
    )
    execution = start(workflow)
    engine.look()
    until(lambda: execution.steps.filter(path="wait", status="WAITING").exists())
    return execution


def test_cancelling_undoes_what_completed():
    using = client()
    with running_engine(using) as engine:
        execution = waiting_for_signal(engine)
        told = services.cancel_execution(execution.pk, actor="me", reason="changed my mind")
        assert (told.status, told.completed_at) == ("COMPENSATING", None)
        engine.look()
        found = ended(execution)
    assert (found.status, undone(using), found.errors) == ("CANCELLED", ["b", "a"], [])
    assert statuses(found)["wait"] == "CANCELLED"
    assert kinds(found) == ["STARTED", "COMPENSATING", "CANCELLED"]
    event = found.events.get(kind="COMPENSATING")
    assert (event.actor, event.payload["reason"]) == ("me", "changed my mind")


def test_cancelled_parent_and_child_both_undo_what_they_did():
    make_workflow([step("inner", next="wait"), {"id": "wait", "type": "EVENT", "event": "go"}],
                  name="child")  # fmt: skip
    child = {"id": "child", "type": "WORKFLOW", "workflow": "child"}
    using = client()
    execution = start(make_workflow([step("outer", next="child"), child]))
    with running_engine(using) as engine:
        until(lambda: WorkflowStep.objects.filter(path="wait", status="WAITING").exists())
        services.cancel_execution(execution.pk, actor="me")
        engine.look()
        found = ended(execution)
        inner = ended(WorkflowExecution.objects.get(workflow_name="child"))
    assert (found.status, inner.status) == ("CANCELLED", "CANCELLED")
    assert sorted(undone(using)) == ["inner", "outer"]


def held_undoing(engine, using):
    """An execution whose first undoing is under way."""
    using.held.add("undo")
    execution = start(make_workflow(CHAIN, timeout=3600))
    engine.look()
    until(lambda: using.called("undo"))
    return services.get_execution(str(execution.pk))


def test_what_is_being_undone_is_neither_cancelled_nor_paused_nor_retried():
    using = client()
    with running_engine(using) as engine:
        execution = held_undoing(engine, using)
        assert execution.status == "COMPENSATING"
        with pytest.raises(Conflict, match="being undone already, and ends FAILED"):
            services.cancel_execution(execution.pk)
        with pytest.raises(Conflict, match="being undone; that cannot be paused"):
            services.pause_execution(execution.pk)
        with pytest.raises(Conflict, match="COMPENSATING; only one that is FAILED"):
            services.retry_execution(execution.pk)
        with pytest.raises(Conflict, match="takes no more signals"):
            services.signal_execution(execution.pk, name="go")
        assert services.wait_for_end(execution, seconds=0.05).status == "COMPENSATING"
        using.gate.set()
        assert ended(execution).status == "FAILED"


def test_deadline_that_passes_while_undoing_does_nothing():
    using = client()
    with running_engine(using) as engine:
        execution = held_undoing(engine, using)
        past = timezone.now() - timedelta(seconds=60)
        WorkflowExecution.objects.filter(pk=execution.pk).update(deadline_at=past)
        assert overdue_executions() == []
        sweep()
        using.gate.set()
        found = ended(execution)
    assert (found.status, undone(using)) == ("FAILED", ["b", "a"])
    assert [e["path"] for e in found.errors] == ["bad"]


def test_deadline_undoes_what_completed():
    using = client()
    with running_engine(using) as engine:
        execution = waiting_for_signal(engine, timeout=3600)
        past = timezone.now() - timedelta(seconds=60)
        WorkflowExecution.objects.filter(pk=execution.pk).update(deadline_at=past)
        sweep()
        engine.look()
        found = ended(execution)
    assert (found.status, found.errors[0]["code"]) == ("FAILED", "deadline_exceeded")
    assert undone(using) == ["b", "a"]


def test_paused_execution_that_is_cancelled_is_undone():
    using = client()
    with running_engine(using) as engine:
        execution = waiting_for_signal(engine)
        services.pause_execution(execution.pk)
        services.cancel_execution(execution.pk)
        engine.look()
        assert ended(execution).status == "CANCELLED"
    assert undone(using) == ["b", "a"]


def test_execution_that_was_undone_cannot_be_retried():
    found = run(CHAIN)
    with pytest.raises(Conflict, match="its effects were undone"):
        services.retry_execution(found.pk)
    assert services.get_execution(str(found.pk)).status == "FAILED"


def test_execution_that_failed_before_anything_completed_can_be_retried():
    found = run([call("bad", compensate=undo())])
    assert services.retry_execution(found.pk).status == "RUNNING"


# --- Undoing that fails ---


def test_undoing_is_retried():
    failures = iter([True, True, False, False])

    def answer(document):
        return refuse(document) if next(failures) else document

    using = client(undo=answer)
    retry = {"max_attempts": 3, "base_delay": 0.01, "jitter": False}
    execution = start(make_workflow(CHAIN, defaults={"retry": retry}))
    with running_engine(using) as engine:
        until(lambda: _look(engine) and services.get_execution(str(execution.pk)).has_ended)
    found = services.get_execution(str(execution.pk))
    assert (found.status, undone(using)) == ("FAILED", ["b", "b", "b", "a"])
    rows = found.steps.filter(path="~b").order_by("attempt").values_list("attempt", "status")
    assert list(rows) == [(1, "FAILED"), (2, "FAILED"), (3, "COMPLETED")]


def _look(engine):
    engine.look()
    return True


def stuck(engine):
    """An execution of which `b` could not be undone."""
    execution = start(make_workflow(CHAIN))
    engine.look()
    found = ended(execution)
    assert found.status == "NEEDS_REVIEW"
    return found


def test_undoing_that_fails_needs_a_person():
    using = client(undo=refuse)
    with running_engine(using) as engine:
        found = stuck(engine)
    assert (found.ends_as, found.completed_at) == ("FAILED", None)
    assert statuses(found) == {"a": "COMPLETED", "b": "COMPLETED", "bad": "FAILED", "~b": "FAILED"}
    assert [e["path"] for e in found.errors] == ["bad", "~b"]
    assert kinds(found) == ["STARTED", "COMPENSATING", "NEEDS_REVIEW"]
    with pytest.raises(Conflict, match="being undone already"):
        services.cancel_execution(found.pk)


def test_retry_goes_on_undoing_from_there():
    using = client(undo=refuse)
    with running_engine(using) as engine:
        found = stuck(engine)
        using.answers["undo"] = lambda d: d
        services.retry_execution(found.pk, actor="me")
        engine.look()
        found = ended(services.get_execution(str(found.pk)))
    assert (found.status, undone(using)) == ("FAILED", ["b", "b", "a"])
    assert [e["path"] for e in found.errors] == ["bad"]
    rows = found.steps.filter(path="~b").order_by("attempt").values_list("attempt", "status")
    assert list(rows) == [(1, "FAILED"), (2, "COMPLETED")]
    keys = {h["Idempotency-Key"] for a, d, h in using.calls if (a, d) == ("undo", {"id": "b"})}
    assert len(keys) == 1
    assert kinds(found)[2:] == ["NEEDS_REVIEW", "RETRIED", "FAILED"]


def test_retry_gives_undoing_a_fresh_budget_of_attempts():
    using = client(undo=refuse)
    retry = {"max_attempts": 2, "base_delay": 0.01, "jitter": False}
    with running_engine(using) as engine:
        execution = start(make_workflow(CHAIN, defaults={"retry": retry}))
        until(lambda: _look(engine) and services.get_execution(str(execution.pk)).has_ended)
        services.retry_execution(execution.pk)
        until(lambda: _look(engine) and services.get_execution(str(execution.pk)).has_ended)
    assert execution.steps.filter(path="~b").count() == 4


def test_person_who_undid_a_step_lets_the_rest_be_undone():
    using = client(undo=refuse)
    with running_engine(using) as engine:
        found = stuck(engine)
        using.answers["undo"] = lambda d: d
        services.settle_reviewed(found.pk, "~b", output={"by": "hand"}, actor="me")
        engine.look()
        found = ended(services.get_execution(str(found.pk)))
    assert (found.status, undone(using)) == ("FAILED", ["b", "a"])
    assert found.steps.get(path="~b").output == {"by": "hand"}
    assert statuses(found)["b"] == "COMPENSATED"
    assert kinds(found)[3:] == ["STEP_COMPLETED", "FAILED"]


def test_person_who_says_it_is_not_undone_leaves_it_to_review():
    using = client(undo=refuse)
    with running_engine(using) as engine:
        found = stuck(engine)
        found = services.settle_reviewed(found.pk, "~b", error="The bank is shut.", actor="me")
        engine.look()
    assert found.status == "NEEDS_REVIEW"
    assert [(e["path"], e["code"]) for e in found.errors][1:] == [("~b", "failed_by_person")]
    assert found.steps.get(path="~b").error["message"] == "The bank is shut."
    assert undone(using) == ["b"]
    assert found.events.get(kind="STEP_FAILED").actor == "me"
    services.settle_reviewed(found.pk, "~b", actor="me")
    assert services.get_execution(str(found.pk)).status == "COMPENSATING"


def test_undoing_that_went_well_is_not_to_be_settled():
    found = run(CHAIN)
    with pytest.raises(Conflict, match="only NEEDS_REVIEW can be settled"):
        services.settle_reviewed(found.pk, "~b", actor="me")


# --- Workers that die ---


def failed_first_undoing(**more):
    """An execution whose first undoing was claimed by a worker, without an engine."""
    execution = start(make_workflow([step("a", next="bad"), call("bad")], **more), {})
    store = Store(owner="one", lease_seconds=30)
    done = store.commit(Batch(settled=[settle_with(claim_one(store), {"id": "a"})], room=5))
    done = store.commit(Batch(settled=[failed_with(done.claims[0])], room=5))
    (claim,) = done.claims
    assert claim.row.path == "~a"
    return execution, store, claim


def failed_with(claim):
    from workflows import decide
    from workflows.engine.store import Settled

    outcome = decide.CallFailure(ServiceUnavailableError("down"))
    now = timezone.now()
    transition = decide.settle(claim.execution, claim.row, outcome, now=now, fraction=0)
    return Settled(claim, transition)


def test_first_undoing_is_claimed_in_the_commit_of_the_failure():
    _, _, claim = failed_first_undoing()
    assert WorkflowExecution.objects.get().status == "COMPENSATING"
    assert claim.execution.steps["a"]["output"] == {"id": "a"}
    assert "bad" not in claim.execution.steps


def test_undoing_of_a_dead_worker_is_done_again():
    execution, store, stale = failed_first_undoing()
    expire(execution)
    assert len(recover_expired()) == 1
    using = client()
    with running_engine(using, quarantine=True):
        assert ended(execution).status == "FAILED"
    assert undone(using) == ["a"]
    assert store.commit(Batch(settled=[settle_with(stale, {})])).lost == [stale]
    assert execution.steps.get(path="~a").attempt == 1


def test_undoing_that_took_three_workers_with_it_is_set_aside():
    execution, _, _ = failed_first_undoing()
    for left in (1, 1, 0):
        expire(execution)
        assert len(recover_expired()) == left
        if left:
            claim_one(Store(owner="one", lease_seconds=30, quarantine=True))
    found = WorkflowExecution.objects.get()
    assert (found.status, found.ends_as) == ("NEEDS_REVIEW", "FAILED")
    assert [e["code"] for e in found.errors] == ["service_unavailable", "worker_died"]
    assert execution.steps.get(path="~a").status == "NEEDS_REVIEW"
    services.retry_execution(found.pk)
    using = client()
    with running_engine(using):
        found = ended(execution)
    assert (found.status, statuses(found)["~a"]) == ("FAILED", "COMPLETED")


@pytest.mark.parametrize(("undoing", "step_itself"), [(False, True), (True, False)])
def test_whether_it_may_be_sent_twice_is_asked_of_what_undoes(undoing, step_itself):
    for name, action, idempotent in (("u", "undo", undoing), ("s", "do", step_itself)):
        service = Service.objects.create(name=name, status="ONLINE")
        ServiceInstance.objects.create(service=service, url="http://127.0.0.1:9")
        ServiceAction.objects.create(service=service, name=action, idempotent=idempotent)
    execution, _, _ = failed_first_undoing()
    expire(execution)
    assert len(recover_expired()) == undoing
    expected = "COMPENSATING" if undoing else "NEEDS_REVIEW"
    assert WorkflowExecution.objects.get().status == expected


def test_undoing_recorded_twice_counts_once():
    execution, store, claim = failed_first_undoing()
    settled = settle_with(claim, {})
    assert [e for e, _ in store.commit(Batch(settled=[settled])).ended] == [str(execution.pk)]
    assert store.commit(Batch(settled=[settled])).lost == [claim]
    assert kinds(execution) == ["STARTED", "COMPENSATING", "FAILED"]


def test_worker_that_died_between_two_undoings_leaves_the_next_to_be_found():
    execution = start(make_workflow(CHAIN))
    store = Store(owner="one", lease_seconds=30)
    done = store.commit(Batch(settled=[settle_with(claim_one(store), {"id": "a"})], room=5))
    done = store.commit(Batch(settled=[settle_with(done.claims[0], {"id": "b"})], room=5))
    done = store.commit(Batch(settled=[failed_with(done.claims[0])], room=5))
    store.commit(Batch(settled=[settle_with(done.claims[0], {})], room=0))
    assert statuses(execution) | {"a": "COMPLETED", "b": "COMPENSATED", "~a": "PENDING"} == (
        statuses(execution)
    )
    using = client()
    with running_engine(using):
        assert ended(execution).status == "FAILED"
    assert undone(using) == ["a"]


def test_undoing_whose_definition_cannot_be_read_needs_a_person():
    execution, _, _ = failed_first_undoing()
    expire(execution)
    assert len(recover_expired()) == 1
    execution.workflow.versions.update(steps=[{"id": "a"}])
    with running_engine(client(), quarantine=True):
        found = ended(execution)
    assert (found.status, found.errors[-1]["code"]) == ("NEEDS_REVIEW", "validation_error")
    assert found.steps.get(path="~a").status == "NEEDS_REVIEW"


def test_outcome_of_undoing_that_cannot_be_recorded_needs_a_person():
    found = run(CHAIN, using=client(undo=lambda _: {"n": float("nan")}))
    assert (found.status, found.errors[-1]["code"]) == ("NEEDS_REVIEW", "unrecordable")


def test_start_with_the_key_of_an_execution_being_undone_answers_it():
    using = client()
    using.held.add("undo")
    workflow = make_workflow(CHAIN)
    first = start(workflow, idempotency_key="k")
    with running_engine(using):
        until(lambda: using.called("undo"))
        again = services.start_execution(workflow, Start(input={}, context={}, idempotency_key="k"))
        assert (again.created, again.execution.status) == (False, "COMPENSATING")
        using.gate.set()
        ended(first)
