"""The engine against a real database, with only the network edge scripted."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from registry.exceptions import RegistryUnreachableError, ServiceUnavailableError
from registry.models import Service, ServiceAction, ServiceInstance
from tests.support.engine import (
    ScriptedClient,
    call,
    commit_all,
    ended,
    make_workflow,
    running_engine,
    start,
    step_rows,
)
from tests.support.waiting import PATIENCE, until
from workflows import services
from workflows.engine.lease_recovery import recover_expired
from workflows.engine.store import Batch, Store
from workflows.models import WorkflowExecution, WorkflowStep

pytestmark = pytest.mark.django_db(transaction=True)

CHAIN = [call("a", next="b"), call("b", next="c"), call("c")]


def chain_client():
    return ScriptedClient(
        a=lambda d: {"n": d["n"] + 1}, b=lambda d: {"n": d["n"] * 10}, c=lambda d: {"n": d["n"]}
    )


def test_chain_runs_to_its_end_and_records_every_step_once():
    execution = start(make_workflow(CHAIN), {"n": 1})
    with running_engine(chain_client()):
        found = ended(execution)
    assert (found.status, found.output) == ("COMPLETED", {"n": 20})
    assert step_rows(found) == [("a", 1, "COMPLETED"), ("b", 1, "COMPLETED"), ("c", 1, "COMPLETED")]
    kinds = list(found.events.order_by("sequence").values_list("sequence", "kind"))
    assert kinds == [(1, "STARTED"), (2, "COMPLETED")]


def test_two_engines_share_the_work_and_call_each_step_once():
    workflow = make_workflow(CHAIN)
    executions = [start(workflow, {"n": n}) for n in range(60)]
    client = chain_client()
    with running_engine(client, max_in_flight=7), running_engine(client, max_in_flight=7) as other:
        other.look()
        found = [ended(execution) for execution in executions]
    assert [e.output["n"] for e in found] == [(n + 1) * 10 for n in range(60)]
    assert len(client.calls) == 180
    assert WorkflowStep.objects.count() == 180


def test_every_attempt_carries_the_same_idempotency_key():
    failures = iter([ServiceUnavailableError("down"), ServiceUnavailableError("down")])

    def answer(_):
        error = next(failures, None)
        if error:
            raise error
        return {"ok": True}

    client = ScriptedClient(a=answer)
    retry = {"max_attempts": 5, "base_delay": 0.01, "jitter": False}
    execution = start(make_workflow([call("a", retry=retry)]))
    with running_engine(client) as engine:
        for attempt in (2, 3):
            until(lambda n=attempt: execution.steps.filter(attempt=n).exists())
            until(lambda: execution.steps.filter(wake_at__lte=timezone.now()).exists())
            engine.look()
        found = ended(execution)
    assert step_rows(found) == [("a", 1, "FAILED"), ("a", 2, "FAILED"), ("a", 3, "COMPLETED")]
    assert len({headers["Idempotency-Key"] for _, _, headers in client.calls}) == 1


def test_cancel_during_a_call_drops_its_answer():
    client = chain_client()
    client.held.add("b")
    execution = start(make_workflow(CHAIN), {"n": 1})
    with running_engine(client):
        client.entered.acquire(timeout=PATIENCE)
        client.entered.acquire(timeout=PATIENCE)
        services.cancel_execution(execution.pk, actor="me", reason="not needed")
        client.gate.set()
        until(lambda: client.called("b"))
    found = services.get_execution(str(execution.pk))
    assert found.status == "CANCELLED"
    assert step_rows(found) == [("a", 1, "COMPLETED"), ("b", 1, "CANCELLED")]


def test_retry_goes_on_from_the_failed_step_and_keeps_the_completed_ones():
    client = chain_client()

    def fail(_):
        raise ServiceUnavailableError("down")

    client.answers["b"] = fail
    execution = start(make_workflow(CHAIN), {"n": 1})
    with running_engine(client) as engine:
        assert ended(execution).status == "FAILED"
        client.answers["b"] = lambda d: {"n": d["n"] * 10}
        services.retry_execution(execution.pk, actor="me")
        engine.look()
        found = ended(services.get_execution(str(execution.pk)))
    assert (found.status, found.output, found.errors) == ("COMPLETED", {"n": 20}, [])
    assert client.called("a") == 1
    assert ("b", 2, "COMPLETED") in step_rows(found)
    kinds = list(found.events.order_by("sequence").values_list("kind", flat=True))
    assert kinds == ["STARTED", "FAILED", "RETRIED", "COMPLETED"]


def test_outage_of_the_registry_is_waited_out(monkeypatch):
    monkeypatch.setattr("workflows.engine.step_call.OUTAGE_PAUSE_SECONDS", 0.01)
    outages = [RegistryUnreachableError("The registry cannot say where s is.")] * 3

    def answer(document):
        if outages:
            raise outages.pop()
        return {"n": 1}

    using = ScriptedClient(a=answer)
    execution = start(make_workflow([call("a")]))
    with running_engine(using):
        found = ended(execution)
    assert (found.status, len(using.calls), found.steps.count()) == ("COMPLETED", 4, 1)


def test_stopping_engine_gives_back_what_it_holds():
    client = chain_client()
    client.held.add("b")
    execution = start(make_workflow(CHAIN), {"n": 1})
    with running_engine(client) as engine:
        client.entered.acquire(timeout=PATIENCE)
        client.entered.acquire(timeout=PATIENCE)
        engine.stop(grace_seconds=0)
        row = execution.steps.get(path="b")
        assert (row.status, row.lease_owner, row.deaths) == ("PENDING", "", 0)
    other = chain_client()
    with running_engine(other):
        assert ended(execution).status == "COMPLETED"


def test_outcome_that_the_database_refuses_fails_its_own_step_only():
    client = ScriptedClient(bad=lambda _: {"n": float("nan")}, good=lambda _: {"n": 1})
    bad = start(make_workflow([call("bad")], name="bad"))
    good = start(make_workflow([call("good")], name="good"))
    with running_engine(client):
        assert ended(good).status == "COMPLETED"
        found = ended(bad)
    assert found.status == "FAILED"
    assert found.errors[0]["code"] == "unrecordable"


def test_fault_of_the_engine_fails_the_step_visibly():
    client = ScriptedClient(a=lambda _: 1 / 0)
    execution = start(make_workflow([call("a")]))
    with running_engine(client):
        found = ended(execution)
    assert found.errors[0]["code"] == "internal_error"


def test_definition_that_cannot_be_read_any_more_fails_the_execution():
    workflow = make_workflow(CHAIN)
    execution = start(workflow, {"n": 1})
    workflow.versions.update(steps=[{"id": "a"}])
    with running_engine(chain_client()):
        found = ended(execution)
    assert (found.status, found.errors[0]["code"]) == ("FAILED", "validation_error")


# --- Claims and leases, without an engine ---


def claim_one(store, **more):
    (claim,) = store.commit(Batch(look=True, room=1, **more)).claims
    return claim


def settle_with(claim, output):
    from workflows import decide
    from workflows.engine.store import Settled

    outcome = decide.CallSuccess(output, claim.row.input, "s", "http://s")
    transition = decide.settle(claim.execution, claim.row, outcome, now=timezone.now(), fraction=0)
    return Settled(claim, transition)


def test_a_row_is_claimed_by_one_worker_only():
    start(make_workflow(CHAIN), {"n": 1})
    first, second = (Store(owner=name, lease_seconds=30) for name in ("one", "two"))
    assert claim_one(first).fence == 1
    assert second.commit(Batch(look=True, room=1)).claims == []


def test_claims_of_many_threads_never_meet():
    workflow = make_workflow(CHAIN)
    for n in range(30):
        start(workflow, {"n": n})
    taken, lock = [], threading.Lock()

    def work(name):
        store = Store(owner=name, lease_seconds=30)
        while claims := store.commit(Batch(look=True, room=2)).claims:
            with lock:
                taken.extend(claim.row.id for claim in claims)
        connection.close()

    threads = [threading.Thread(target=work, args=(str(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    rest = Store(owner="rest", lease_seconds=30).commit(Batch(look=True, room=100)).claims
    assert len(taken) == len(set(taken))
    assert len(taken) + len(rest) == 30


def test_stale_fence_writes_nothing():
    execution = start(make_workflow(CHAIN), {"n": 1})
    late = Store(owner="late", lease_seconds=30)
    stale = claim_one(late)
    expire(execution)
    assert len(recover_expired()) == 1
    fresh = claim_one(Store(owner="fresh", lease_seconds=30, quarantine=True))
    assert fresh.fence == stale.fence + 2
    done = commit_all(late, Batch(settled=[settle_with(stale, {"n": 7})], room=5))
    assert done.lost == [stale]
    assert done.claims == []
    assert step_rows(execution) == [("a", 1, "RUNNING")]


def test_stale_outcome_beside_the_fresh_one_leads_nowhere():
    ways = [{"when": "output.n == `7`", "step": "b"}, {"step": "c"}]
    execution = start(make_workflow([call("a", next=ways), call("b"), call("c")]), {"n": 1})
    store = Store(owner="one", lease_seconds=30)
    stale = claim_one(store)
    expire(execution)
    recover_expired()
    fresh = claim_one(Store(owner="one", lease_seconds=30, quarantine=True))
    settled = [settle_with(stale, {"n": 7}), settle_with(fresh, {"n": 8})]
    done = commit_all(store, Batch(settled=settled))
    assert done.lost == [stale]
    assert step_rows(execution) == [("a", 1, "COMPLETED"), ("c", 1, "RUNNING")]


def test_outcome_committed_twice_is_recorded_once():
    execution = start(make_workflow(CHAIN), {"n": 1})
    store = Store(owner="one", lease_seconds=30)
    settled = settle_with(claim_one(store), {"n": 7})
    store.commit(Batch(settled=[settled]))
    assert commit_all(store, Batch(settled=[settled])).lost == [settled.claim]
    assert step_rows(execution) == [("a", 1, "COMPLETED"), ("b", 1, "RUNNING")]


def test_lease_is_renewed_while_the_call_lasts():
    execution = start(make_workflow(CHAIN), {"n": 1})
    store = Store(owner="one", lease_seconds=30)
    claim = claim_one(store)
    expire(execution)
    store.commit(Batch(renew=[claim]))
    assert recover_expired() == []


def test_lost_claim_is_told_on_renewal():
    execution = start(make_workflow(CHAIN), {"n": 1})
    store = Store(owner="one", lease_seconds=30)
    claim = claim_one(store)
    services.cancel_execution(execution.pk)
    assert store.commit(Batch(renew=[claim])).lost == [claim]


def expire(execution):
    past = timezone.now() - timedelta(seconds=60)
    WorkflowStep.objects.filter(execution=execution, status="RUNNING").update(lease_until=past)


def test_rows_of_a_dead_worker_are_given_back_by_a_few_statements_however_many_there_are():
    workflow, counts = make_workflow(CHAIN), []
    for number in (1, 2, 60):
        for _ in range(number):
            start(workflow, {"n": 1})
        claimed = Store(owner="one", lease_seconds=30).commit(Batch(look=True, room=100)).claims
        assert len(claimed) == number
        past = timezone.now() - timedelta(seconds=60)
        WorkflowStep.objects.filter(status="RUNNING").update(lease_until=past)
        with CaptureQueriesContext(connection) as queries:
            assert len(recover_expired()) == number
        counts.append(len(queries))
        given_back = WorkflowStep.objects.filter(status="PENDING")
        assert list(given_back.values_list("deaths", flat=True)) == [1] * number
        given_back.update(status="COMPLETED")
    assert counts[1] == counts[2]


def test_step_that_took_three_workers_with_it_is_set_aside():
    execution = start(make_workflow(CHAIN), {"n": 1})
    for deaths in (1, 2):
        claim_one(Store(owner="one", lease_seconds=30, quarantine=deaths > 1))
        expire(execution)
        assert len(recover_expired()) == 1
        assert execution.steps.get().deaths == deaths
    claim_one(Store(owner="one", lease_seconds=30, quarantine=True))
    expire(execution)
    assert recover_expired() == []
    found = WorkflowExecution.objects.get()
    assert (found.status, found.errors[0]["code"]) == ("NEEDS_REVIEW", "worker_died")
    assert list(found.events.values_list("kind", flat=True)) == ["STARTED", "NEEDS_REVIEW"]


def test_call_that_must_not_be_sent_twice_is_set_aside_when_its_worker_dies():
    service = Service.objects.create(name="s", status="ONLINE")
    ServiceInstance.objects.create(service=service, url="http://127.0.0.1:9")
    ServiceAction.objects.create(service=service, name="a", idempotent=False)
    execution = start(make_workflow(CHAIN), {"n": 1})
    claim_one(Store(owner="one", lease_seconds=30))
    expire(execution)
    assert recover_expired() == []
    found = WorkflowExecution.objects.get()
    assert (found.status, found.errors[0]["code"]) == ("NEEDS_REVIEW", "outcome_unknown")
    services.retry_execution(found.pk, actor="me")
    assert step_rows(execution) == [("a", 1, "NEEDS_REVIEW"), ("a", 2, "PENDING")]


# --- Starting ---


def test_same_idempotency_key_answers_the_first_execution():
    workflow = make_workflow(CHAIN)
    first = start(workflow, {"n": 1}, idempotency_key="k")
    assert start(workflow, {"n": 1}, idempotency_key="k").pk == first.pk
    assert WorkflowExecution.objects.count() == 1


def test_same_idempotency_key_from_many_threads_makes_one_execution():
    workflow = make_workflow(CHAIN)
    found, lock = [], threading.Lock()

    def work():
        made = start(workflow, {"n": 1}, idempotency_key="k")
        with lock:
            found.append(made.pk)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(found) == len(threads)
    assert len(set(found)) == 1
    assert WorkflowExecution.objects.count() == 1


@pytest.mark.each_python
def test_a_loop_that_nests_what_it_made_before_is_stopped_in_words():
    nested: Any = "$.steps.nest.output"
    for _ in range(20):
        nested = {"in": nested}
    steps = [
        {"id": "nest", "type": "TRANSFORM", "output": {"in": nested}, "next": "again"},
        {"id": "again", "type": "CHOICE", "next": [{"when": "`true`", "step": "nest"}]},
    ]
    for step in steps:
        step["max_visits"] = 100
    execution = start(make_workflow(steps))
    with running_engine(ScriptedClient()):
        found = ended(execution)
    (error,) = found.errors
    assert (found.status, error["code"], error["step"]) == ("FAILED", "expression_error", "nest")
    assert "nested more than 100 levels deep" in error["message"]
