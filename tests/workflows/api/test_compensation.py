"""Executions that are undone, over the API."""

import pytest

from tests.factories import caller
from tests.support.engine import call, ended, make_workflow, running_engine, start
from tests.support.waiting import PATIENCE
from tests.workflows.engine.test_compensation import CHAIN, client, refuse, run, stuck, undone
from workflows import services

pytestmark = pytest.mark.django_db(transaction=True)

UNDO = {"service": "u", "action": "undo"}


def stuck_execution():
    with running_engine(client(undo=refuse)) as engine:
        return stuck(engine)


def test_steps_that_undo_are_steps_of_the_answer(api):
    found = api.get(f"/executions/{run(CHAIN).pk}").json()
    assert found["status"] == "FAILED"
    assert {s["path"]: s["status"] for s in found["steps"]} == {
        "a": "COMPENSATED", "b": "COMPENSATED", "bad": "FAILED",
        "~b": "COMPLETED", "~a": "COMPLETED",
    }  # fmt: skip
    assert [e["step"] for e in found["errors"]] == ["bad"]


def test_undone_execution_is_not_retried(api):
    answer = api.post(f"/executions/{run(CHAIN).pk}/retry")
    assert answer.status_code == 409
    assert "its effects were undone" in answer.json()["detail"]


def test_cancelled_execution_is_undone_before_it_ends(api):
    steps = [*CHAIN[:1], call("b", "held")]
    using = client(held=lambda d: d)
    using.held.add("held")
    execution = start(make_workflow(steps))
    with running_engine(using) as engine:
        using.entered.acquire(timeout=PATIENCE)
        using.entered.acquire(timeout=PATIENCE)
        answer = api.post(f"/executions/{execution.pk}/cancel", {"reason": "no"})
        assert (answer.status_code, answer.json()["status"]) == (200, "COMPENSATING")
        for action in ("cancel", "pause"):
            refused = api.post(f"/executions/{execution.pk}/{action}")
            assert refused.status_code == 409
            assert "being undone" in refused.json()["detail"]
        engine.look()
        found = api.get(f"/executions/{execution.pk}?wait=20").json()
        using.gate.set()
    assert (found["status"], undone(using)) == ("CANCELLED", ["a"])


def test_executions_are_filtered_by_the_new_statuses(api):
    execution = start(make_workflow(CHAIN))
    for status in ("COMPENSATING", "WAITING"):
        type(execution).objects.update(status=status)
        found = api.get(f"/executions?status={status.lower()}").json()
        assert [item["status"] for item in found["items"]] == [status]


def test_person_says_over_the_api_that_a_step_is_not_and_then_that_it_is_undone(api):
    found = stuck_execution()
    url = f"/executions/{found.pk}/steps/~b"
    kept = api.post(f"{url}/fail", {"reason": "Nobody answers."}).json()
    assert (kept["status"], kept["errors"][-1]["message"]) == ("NEEDS_REVIEW", "Nobody answers.")
    told = api.post(f"{url}/complete", {"output": {"by": "hand"}}).json()
    assert told["status"] == "COMPENSATING"
    using = client()
    with running_engine(using):
        assert ended(services.get_execution(str(found.pk))).status == "FAILED"
    assert undone(using) == ["a"]
    kinds = [e["kind"] for e in api.get(f"/executions/{found.pk}/events").json()["items"]]
    assert kinds[3:] == ["STEP_FAILED", "STEP_COMPLETED", "FAILED"]


def test_step_of_the_way_there_is_not_settled_while_it_is_undone(api):
    found = stuck_execution()
    answer = api.post(f"/executions/{found.pk}/steps/a/complete", {})
    assert answer.status_code == 409


def test_definition_with_compensations_is_saved_and_checked():
    editor = caller("WORKFLOW_EDITOR")
    good = {"id": "a", "type": "WORKFLOW", "workflow": "w", "compensate": UNDO}
    bad = {**good, "compensate": {"service": "u", "retries": 3}}
    make_workflow(CHAIN)
    answers = [
        editor.post("/workflows/validate", {"steps": [step], "status": "DRAFT"}).json()
        for step in (good, bad)
    ]
    assert [a["valid"] for a in answers] == [True, False]
    assert answers[1]["errors"].keys() == {
        "steps[0].compensate.action",
        "steps[0].compensate.retries",
    }
    stored = editor.post("/workflows", {"name": "x", "steps": [good], "status": "DRAFT"})
    assert stored.status_code == 201
    assert stored.json()["steps"] == [good]
