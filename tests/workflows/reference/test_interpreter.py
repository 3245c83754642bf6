"""The reference interpreter on cases that show what it says."""

from tests.workflows.reference.cases import Case, Script
from tests.workflows.reference.interpreter import Interpreter

UNDO = {"service": "s", "action": "undo"}


def call(step_id, **more):
    return {"id": step_id, "service": "s", "action": "a", **more}


def run(steps, replies=None, **case):
    made = Case({"steps": steps}, script=Script(replies or {}), **case)
    return Interpreter(made).run()


def shown(outcome):
    return [(r.path, r.attempt, r.status, r.handled) for r in outcome.records]


def test_every_attempt_is_a_record():
    retry = {"max_attempts": 2}
    found = run([call("a", retry=retry, optional=True)], {"a": [["timeout", "circuit"]]})
    assert found.status == "COMPLETED"
    assert shown(found) == [("a", 1, "FAILED", "RETRIED"), ("a", 2, "SKIPPED", "OPTIONAL")]


def test_what_waits_for_ever_is_cancelled():
    found = run([{"id": "e", "type": "EVENT", "event": "paid"}])
    assert (found.status, shown(found)) == ("CANCELLED", [("e", 1, "CANCELLED", None)])


def test_failed_execution_undoes_what_completed_the_last_first():
    steps = [
        call("a", compensate={**UNDO, "input": {"id": "$.output.id"}}, next="b"),
        call("b", compensate=UNDO, next="c"),
        call("c"),
    ]
    replies = {"a": [[{"id": 1}]], "b": [[{"id": 2}]], "c": [["missing"]]}
    found = run(steps, replies)
    undone = [(r.path, r.status, r.called_with) for r in found.records if r.path[0] == "~"]
    assert undone == [("~b", "COMPLETED", {"id": 2}), ("~a", "COMPLETED", {"id": 1})]
    assert [r.status for r in found.records[:3]] == ["COMPENSATED", "COMPENSATED", "FAILED"]
    assert found.status == "FAILED"


def test_what_cannot_be_undone_needs_a_person():
    undo = {**UNDO, "retry": {"max_attempts": 2}}
    steps = [call("a", compensate=undo, next="b"), call("b")]
    found = run(steps, {"b": [["missing"]], "~a": [["timeout"]]})
    assert found.status == "NEEDS_REVIEW"
    assert shown(found)[-2:] == [("~a", 1, "FAILED", "RETRIED"), ("~a", 2, "FAILED", None)]
