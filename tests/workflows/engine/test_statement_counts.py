"""What one commit of the engine costs: the same few statements, however many rows it carries."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.support.engine import call, make_workflow, start
from workflows import decide
from workflows.engine.store import Batch, Settled, Store

pytestmark = pytest.mark.django_db(transaction=True)

UNDO = {"service": "s", "action": "undo"}


def commit(store, batch):
    """What was done, and how many statements it took besides those around it."""
    with CaptureQueriesContext(connection) as queries:
        done = store.commit(batch)
    texts = [query["sql"] for query in queries]
    return done, sum(not text.startswith(("BEGIN", "COMMIT", "SET")) for text in texts)


def answered(claim):
    outcome = decide.CallSuccess({"n": 1}, {}, "s", "http://s")
    now = timezone.now()
    return Settled(claim, decide.settle(claim.execution, claim.row, outcome, now=now, fraction=0))


@pytest.mark.parametrize("more", [{}, {"compensate": UNDO}])
@pytest.mark.parametrize("executions", [1, 20])
def test_a_commit_costs_the_same_at_one_row_and_at_twenty(executions, more):
    workflow = make_workflow([call("a", next="b", **more), call("b")])
    for _ in range(executions):
        start(workflow)
    store = Store(owner="one", lease_seconds=30)
    begun, claiming = commit(store, Batch(look=True, room=100))
    followed, going_on = commit(store, Batch(settled=[answered(c) for c in begun.claims]))
    ended, ending = commit(store, Batch(settled=[answered(c) for c in followed.claims]))
    assert (len(begun.claims), len(followed.claims), len(ended.ended)) == (executions,) * 3
    # PostgreSQL claims in a single statement, beside one that reads the definition the first time,
    # and so it records what leads to the next step, or to the end.
    straight = connection.vendor == "postgresql"
    assert (claiming, going_on, ending) == ((2, 1, 1) if straight else (5, 3, 4))
