"""Undoing, decided from values alone."""

from datetime import timedelta

import pytest

from registry.exceptions import ServiceResponseError, ServiceUnavailableError
from tests.workflows.decide.test_routing import NOW, call, failure, run_of
from workflows import decide
from workflows.decide import CallSuccess
from workflows.definition.step_paths import (
    compensated_path,
    compensation_path,
    is_compensation,
    scope_of,
)
from workflows.exceptions import WorkflowError

UNDO = {"service": "u", "action": "undo"}


def undoing(steps, *, output, path="a", **document):
    """A run in which the step `a` came to an output, and the row that undoes it."""
    run = run_of(steps, **document)
    run.learn("a", status="COMPLETED", output=output, error=None)
    row = decide.first_attempt(run.definition, "a", path, now=NOW)
    return run, row


def resumed(compensate, *, output, **more):
    run, row = undoing([call("a", compensate=compensate)], output=output, **more)
    return run, row, decide.resume(run, row, now=NOW)


def refused(run, row):
    return failure(run, row, ServiceUnavailableError("down"))


@pytest.mark.parametrize("path", ["a", "fork/0/a#2", "each/17/both/1/a"])
def test_path_of_what_undoes_a_step_says_which_step_it_was(path):
    made = compensation_path(path)
    assert (made, compensated_path(made)) == (f"~{path}", path)
    assert (is_compensation(made), is_compensation(path)) == (True, False)
    assert scope_of(made) == scope_of(path) == path.rpartition("/")[0]


def test_only_steps_that_say_how_can_be_undone():
    steps = [call("a", compensate=UNDO, next="b"), call("b")]
    assert decide.compensable_steps(run_of(steps).definition) == ["a"]


def test_row_that_undoes_a_step_names_whom_it_calls():
    _, row = undoing([call("a", name="Book", compensate=UNDO)], output={}, path="each/3/a")
    assert (row.path, row.scope, row.step_id) == ("~each/3/a", "", "a")
    assert (row.name, row.service, row.action) == ("Book", "u", "undo")
    assert (row.status, row.attempt, row.wake_at) == ("PENDING", 1, NOW)


def test_call_is_that_of_the_compensation():
    definition = run_of([call("a", compensate={**UNDO, "timeout": 7})]).definition
    assert decide.call_at(definition, "a", "a").target.name == "s"
    undo = decide.call_at(definition, "a", "~a")
    assert (undo.target.name, undo.action, undo.timeout) == ("u", "undo", 7)


@pytest.mark.parametrize(
    ("output", "given"),
    [({"id": 5}, {"id": 5}), ([1, 2], {"output": [1, 2]}), (None, {"output": None})],
)
def test_without_an_input_it_is_given_the_output(output, given):
    _, row, transition = resumed(UNDO, output=output)
    assert transition is None
    assert row.input == given


def test_input_reads_the_output_and_what_the_step_could_see():
    template = {"id": "$.output.id", "who": "$.input.who", "same": "$.steps.a.output.id"}
    _, row, _ = resumed({**UNDO, "input": template}, output={"id": 5}, input={"who": "me"})
    assert row.input == {"id": 5, "who": "me", "same": 5}


def test_input_that_is_no_object_needs_a_person():
    _, row, transition = resumed({**UNDO, "input": "$.output.id"}, output={"id": 5})
    assert (row.status, transition.review["code"]) == ("FAILED", "expression_error")
    assert transition.followers == []


def test_next_attempt_keeps_its_input():
    run, row, _ = resumed({**UNDO, "retry": {"max_attempts": 2}}, output={"id": 5})
    (again,) = refused(run, row).followers
    assert decide.resume(run, again, now=NOW) is None
    assert again.input == {"id": 5}


def test_answer_marks_the_step_as_undone():
    run, row, _ = resumed(UNDO, output={"id": 5})
    sent = CallSuccess({"gone": True}, {"id": 5}, "u", "http://u")
    transition = decide.settle(run, row, sent, now=NOW, fraction=0)
    assert transition.compensated
    assert (row.status, row.output, row.instance) == ("COMPLETED", {"gone": True}, "http://u")
    assert (transition.finish, transition.leaves, transition.followers) == (None, None, [])


def test_it_is_retried_by_its_own_policy_not_by_that_of_the_step():
    step = call("a", compensate={**UNDO, "retry": {"max_attempts": 2, "jitter": False}})
    run, row = undoing([step], output={})
    decide.resume(run, row, now=NOW)
    transition = refused(run, row)
    (again,) = transition.followers
    assert (row.status, row.error["handled"], transition.review) == ("FAILED", "RETRIED", None)
    assert (again.path, again.attempt, again.status) == ("~a", 2, "WAITING")
    assert again.wake_at == NOW + timedelta(seconds=0.5)
    assert refused(run, again).review["attempt"] == 2


def test_it_is_retried_by_the_defaults_of_the_definition():
    defaults = {"retry": {"max_attempts": 2}}
    run, row = undoing([call("a", compensate=UNDO)], output={}, defaults=defaults)
    decide.resume(run, row, now=NOW)
    assert len(refused(run, row).followers) == 1


def test_what_helps_a_failed_step_does_not_help_its_undoing():
    step = call("a", compensate=UNDO, optional=True, fallback={"output": {}})
    run, row = undoing([step], output={})
    decide.resume(run, row, now=NOW)
    error = ServiceResponseError("no", upstream_status=500)
    transition = failure(run, row, error)
    assert (transition.review["step"], transition.review["path"]) == ("a", "~a")
    assert (transition.finish, transition.compensated) == (None, False)


def test_fault_of_ours_needs_a_person():
    run, row, _ = resumed(UNDO, output={})
    fault = WorkflowError("broken", code="internal_error")
    assert decide.give_up(run, row, fault, now=NOW).review["code"] == "internal_error"


def test_word_of_a_person_takes_the_place_of_an_answer():
    run, row = undoing([call("a", compensate={**UNDO, "input": "$.output.id"})], output={"id": 5})
    row.error = {"told": {"output": {"by": "hand"}}, "by": "me"}
    transition = decide.resume(run, row, now=NOW)
    assert transition.compensated
    assert (row.status, row.output, row.error) == ("COMPLETED", {"by": "hand"}, None)
