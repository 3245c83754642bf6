"""What is claimed first."""

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from tests.support.engine import (
    ScriptedClient,
    call,
    ended,
    make_workflow,
    running_engine,
    start,
)
from workflows.engine.store import Batch, Store
from workflows.engine.store.dialect import own_dialect
from workflows.models import WorkflowExecution, WorkflowStep

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def store():
    made = Store(owner="test", lease_seconds=60)
    made.measure_clock()
    return made


def step_of(execution):
    return str(execution.steps.get().pk)


def claimed(store, room, **batch):
    found = store.commit(Batch(room=room, **batch))
    return [claim.execution.id for claim in found.claims]


def test_higher_priority_is_claimed_first_then_the_oldest(store):
    workflow = make_workflow([call("a")])
    ids = {p: str(start(workflow, priority=p).pk) for p in (0, -100, 100, 5)}
    later = str(start(workflow, priority=5).pk)
    order = [claimed(store, 1, look=True)[0] for _ in range(5)]
    assert order == [ids[100], ids[5], later, ids[0], ids[-100]]


def test_timers_that_are_due_take_part_by_their_priority(store):
    workflow = make_workflow([call("a")])
    low, high, future = (start(workflow, priority=p) for p in (0, 10, 50))
    now = timezone.now()
    high.steps.update(status="WAITING", wake_at=now - timedelta(seconds=5))
    future.steps.update(status="WAITING", wake_at=now + timedelta(hours=1))
    assert claimed(store, 1, look=True) == [str(high.pk)]
    assert claimed(store, 5, look=True) == [str(low.pk)]


def test_old_timers_of_low_priority_do_not_hide_one_of_high_priority(store):
    workflow = make_workflow([call("a")])
    executions = [start(workflow, priority=p) for p in (-10, -10, -10, 10)]
    now = timezone.now()
    for age, execution in zip((90, 80, 70, 1), executions, strict=True):
        execution.steps.update(status="WAITING", wake_at=now - timedelta(seconds=age))
    assert claimed(store, 1, look=True) == [str(executions[3].pk)]
    # What is claimed at once is begun at once: its order means nothing.
    assert set(claimed(store, 2, look=True)) == {str(e.pk) for e in executions[:2]}


def test_named_rows_do_not_take_the_last_places_from_more_urgent_ones(store):
    workflow = make_workflow([call("a")])
    low = [start(workflow, priority=-1) for _ in range(3)]
    high = start(workflow, priority=1)
    wanted = [step_of(e) for e in low]
    assert claimed(store, 1, wanted=wanted) == [str(high.pk)]
    assert claimed(store, 1, wanted=wanted, look=True) == [str(low[0].pk)]
    assert set(claimed(store, 5, wanted=wanted)) == {str(e.pk) for e in low[1:]}


def test_a_worker_that_is_full_takes_the_urgent_ones_out_of_turn():
    order = []
    client = ScriptedClient(a=lambda d: order.append(d["n"]) or {})
    workflow = make_workflow([call("a")])
    executions = [start(workflow, {"n": n}) for n in range(6)]
    executions.append(start(workflow, {"n": "urgent"}, priority=9))
    with running_engine(client, max_in_flight=1):
        assert {ended(e).status for e in executions} == {"COMPLETED"}
    assert order == ["urgent", 0, 1, 2, 3, 4, 5]


def test_followers_branches_attempts_and_children_inherit_the_priority():
    make_workflow([call("inner", "a")], "child")
    steps = [
        call("one", "a", next="both"),
        {"id": "both", "type": "PARALLEL", "branches": [[call("x", "a")], [call("y", "a")]],
         "next": "each"},
        {"id": "each", "type": "MAP", "over": "$.input.items", "max_concurrency": 1,
         "steps": [call("z", "a")], "next": "sub"},
        {"id": "sub", "type": "WORKFLOW", "workflow": "child"},
    ]  # fmt: skip
    execution = start(make_workflow(steps), {"items": [1, 2]}, priority=42)
    with running_engine(ScriptedClient(a=lambda d: {})):
        execution = ended(execution)
    assert execution.status == "COMPLETED"
    assert set(WorkflowStep.objects.values_list("priority", flat=True)) == {42}
    assert set(WorkflowExecution.objects.values_list("priority", flat=True)) == {42}


FUTURE, FINISHED = 20_000, 20_000


def fill():
    """Future timers and finished steps in numbers, and three rows that are due."""
    execution = start(make_workflow([call("a")]))
    execution.steps.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO workflow_step (id, execution_id, step_id, path, scope, attempt, name,"
            " status, service, instance, action, wake_at, lease_owner, fence, priority, deaths,"
            " retry_base, total, begun, done, failed, needed, tolerated, created_at, updated_at)"
            " SELECT gen_random_uuid(), %s, 's', 'p' || n, '', 1, '',"
            " CASE WHEN n <= %s THEN 'WAITING' WHEN n <= %s THEN 'COMPLETED' ELSE 'PENDING' END,"
            " '', '', '', CASE WHEN n <= %s THEN now() + interval '1 day' WHEN n <= %s THEN NULL"
            " ELSE now() END, '', 0, n %% 3, 0, 0, 0, 0, 0, 0, 0, 0, now(), now()"
            " FROM generate_series(1, %s) n",
            [execution.pk, FUTURE, FUTURE + FINISHED, FUTURE, FUTURE + FINISHED,
             FUTURE + FINISHED + 3],
        )  # fmt: skip
        cursor.execute("ANALYZE workflow_step")
        cursor.execute("ANALYZE workflow_execution")


def nodes_of(plan):
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes_of(inner)


def test_a_look_reads_as_many_rows_as_are_due(backend):
    if backend != "postgres":
        pytest.skip("EXPLAIN is PostgreSQL's")
    fill()
    text, params = own_dialect().due(), {"stamp": timezone.now(), "room": 200}
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {text} SELECT id FROM due", params)
        (found,) = cursor.fetchone()
    plan = (found if isinstance(found, list) else json.loads(found))[0]["Plan"]
    nodes = list(nodes_of(plan))
    assert plan["Actual Rows"] == 3
    steps = [n for n in nodes if n.get("Relation Name") == "workflow_step"]
    assert {n.get("Index Name") for n in steps} == {"step_claim_idx"}
    read = [
        (n["Actual Rows"] + n.get("Rows Removed by Filter", 0)) * n["Actual Loops"] for n in nodes
    ]
    assert max(read) <= 20
