"""What runs next, decided from values alone."""

from datetime import UTC, datetime, timedelta

import pytest

from core.exceptions import SchemaViolation
from registry.exceptions import (
    ServiceNotFoundError,
    ServiceResponseError,
    ServiceTimeoutError,
    ServiceUnavailableError,
)
from workflows import decide
from workflows.decide import CallFailure, CallSuccess, ChildExecution, ExecutionState, Facts, Row
from workflows.definition import parse

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def call(step_id, **more):
    return {"id": step_id, "service": "s", "action": "a", **more}


def run_of(steps, *, input=None, **document):
    return ExecutionState(
        id="0190a0a0-0000-7000-8000-000000000001",
        workflow="w",
        started_at=NOW,
        input=input or {},
        context={},
        definition=parse({"steps": steps, **document}),
    )


def first_row(run, **more):
    return Row(id="r1", step_id=run.definition.first, path=run.definition.first, **more)


def started(run):
    row = first_row(run)
    assert decide.resume(run, row, now=NOW) is None
    return row


def answer(run, row, output, **more):
    outcome = CallSuccess(output, row.input, "s", "http://s")
    return decide.settle(run, row, outcome, now=NOW, fraction=0.5, **more)


def failure(run, row, error, *, now=NOW):
    return decide.settle(run, row, CallFailure(error), now=now, fraction=0.5)


def test_first_step_without_input_is_given_the_executions_input():
    run = run_of([call("a")], input={"x": 1})
    assert started(run).input == {"x": 1}


def test_answer_of_the_last_step_ends_the_execution_with_its_output():
    run = run_of([call("a")])
    transition = answer(run, started(run), {"y": 2})
    assert transition.settled.status == "COMPLETED"
    assert (transition.finish.status, transition.finish.output) == ("COMPLETED", {"y": 2})


def test_following_step_is_given_the_running_document():
    run = run_of([call("a", next="b"), call("b")], input={"x": 1, "y": 0})
    transition = answer(run, started(run), {"y": 2})
    (follower,) = transition.followers
    assert (follower.step_id, follower.status) == ("b", "PENDING")
    assert follower.input == {"x": 1, "y": 2}
    assert transition.finish is None


def test_input_template_reads_earlier_outputs():
    run = run_of([call("a", next="b"), call("b", input={"t": "$.steps.a.output.y"})])
    transition = answer(run, started(run), {"y": 2})
    assert transition.followers[0].input == {"t": 2}


def test_input_that_is_no_object_fails_the_step():
    run = run_of([call("a", next="b"), call("b", input="$.steps.a.output.y")])
    transition = answer(run, started(run), {"y": 2})
    assert transition.followers[0].status == "FAILED"
    assert transition.finish.errors[0]["step"] == "b"
    assert transition.finish.errors[0]["code"] == "expression_error"


def test_steps_without_a_call_run_inside_one_decision():
    steps = [
        call("a", next="b"),
        {"id": "b", "type": "TRANSFORM", "output": {"n": "$.steps.a.output.y"}, "next": "c"},
        {
            "id": "c",
            "type": "CHOICE",
            "next": [{"when": "steps.b.output.n > `1`", "step": "d"}, {"step": None}],
        },
        call("d"),
    ]
    run = run_of(steps)
    transition = answer(run, started(run), {"y": 2})
    shown = [(row.step_id, row.status) for row in transition.followers]
    assert shown == [("b", "COMPLETED"), ("c", "COMPLETED"), ("d", "PENDING")]


def test_false_condition_skips_the_step_and_goes_on():
    run = run_of([call("a", when="input.go", next="b"), call("b")], input={"go": False})
    transition = decide.resume(run, first_row(run), now=NOW)
    assert transition.settled.status == "SKIPPED"
    assert [row.step_id for row in transition.followers] == ["b"]


def test_choice_without_a_matching_route_fails():
    steps = [{"id": "a", "type": "CHOICE", "next": [{"when": "input.go", "step": "b"}]}, call("b")]
    run = run_of(steps)
    transition = decide.resume(run, first_row(run), now=NOW)
    assert transition.finish.errors[0]["code"] == "no_route"


def test_fail_step_ends_with_its_error():
    steps = [{"id": "a", "type": "FAIL", "error": {"code": "too_small", "message": "Too small."}}]
    run = run_of(steps)
    finish = decide.resume(run, first_row(run), now=NOW).finish
    assert finish.status == "FAILED"
    assert (finish.errors[0]["code"], finish.errors[0]["message"]) == ("too_small", "Too small.")


def test_succeed_step_ends_early_with_its_output():
    steps = [
        {"id": "a", "type": "SUCCEED", "when": "input.done", "output": {"ok": True}, "next": "b"},
        call("b"),
    ]
    run = run_of(steps, input={"done": True})
    finish = decide.resume(run, first_row(run), now=NOW).finish
    assert (finish.status, finish.output) == ("COMPLETED", {"ok": True})


def test_definitions_output_shapes_the_result():
    run = run_of([call("a")], output={"twice": "$.add(output.y, output.y)"})
    assert answer(run, started(run), {"y": 2}).finish.output == {"twice": 4}


RETRY = {"max_attempts": 3, "base_delay": 1, "backoff": "FIXED", "jitter": False}


def test_unavailable_service_is_tried_again_later():
    run = run_of([call("a", retry=RETRY)])
    transition = failure(run, started(run), ServiceUnavailableError("down"))
    assert transition.settled.error["handled"] == "RETRIED"
    (again,) = transition.followers
    assert (again.attempt, again.status, again.path) == (2, "WAITING", "a")
    assert again.wake_at == NOW + timedelta(seconds=1)
    assert transition.finish is None


def test_retry_after_of_the_service_is_honoured():
    run = run_of([call("a", retry=RETRY)])
    transition = failure(run, started(run), ServiceUnavailableError("busy", retry_after=40.0))
    assert transition.followers[0].wake_at == NOW + timedelta(seconds=40)


def test_attempts_never_exceed_the_maximum():
    run = run_of([call("a", retry=RETRY)])
    row = started(run)
    row.attempt = 3
    transition = failure(run, row, ServiceTimeoutError("slow"))
    assert transition.followers == []
    assert transition.finish.status == "FAILED"


def test_retry_by_a_person_begins_a_new_budget():
    run = run_of([call("a", retry=RETRY)])
    row = started(run)
    row.attempt, row.retry_base = 4, 3
    assert failure(run, row, ServiceTimeoutError("slow")).followers[0].attempt == 5


def test_budget_of_time_ends_the_retries():
    run = run_of([call("a", retry={**RETRY, "max_elapsed": 10})])
    row = started(run)
    row.retry_since = NOW - timedelta(seconds=11)
    assert failure(run, row, ServiceTimeoutError("slow")).finish.status == "FAILED"


@pytest.mark.parametrize(
    ("bound", "base_delay", "retry_after", "sentence"),
    [
        ({"max_elapsed": 1}, 4, None, "`max_elapsed` is 1 s"),
        ({"max_elapsed": 2}, 1, 6.0, "`max_elapsed` is 2 s"),
        ({"timeout": 3}, 4, None, "`timeout` of the execution"),
        ({"timeout": 5}, 1, 6.0, "`timeout` of the execution"),
    ],
)
def test_attempt_that_would_begin_after_a_bound_is_given_up_before_its_pause(
    bound, base_delay, retry_after, sentence
):
    elapsed = {k: v for k, v in bound.items() if k == "max_elapsed"}
    run = run_of([call("a", retry={**RETRY, "base_delay": base_delay, **elapsed})])
    if "timeout" in bound:
        run.deadline = NOW + timedelta(seconds=bound["timeout"])
    transition = failure(
        run, started(run), ServiceUnavailableError("Down.", retry_after=retry_after)
    )
    assert transition.followers == []
    (error,) = transition.finish.errors
    assert error["code"] == "service_unavailable"
    assert error["message"].startswith("Down. No further attempt: it would begin")
    assert sentence in error["message"]


def test_attempt_that_begins_just_before_the_bounds_is_made():
    run = run_of([call("a", retry={**RETRY, "max_elapsed": 1.001})])
    run.deadline = NOW + timedelta(seconds=1.001)
    assert failure(run, started(run), ServiceUnavailableError("Down.")).followers


def test_attempt_that_nobody_could_begin_in_time_is_not_made():
    run = run_of([call("a", retry={**RETRY, "max_elapsed": 10}, on_error=[
        {"match": ["retry_too_late"], "step": "b"}]), call("b")])  # fmt: skip
    row = first_row(run, attempt=2, input={}, retry_since=NOW - timedelta(seconds=11))
    transition = decide.resume(run, row, now=NOW)
    assert transition.settled.error["code"] == "retry_too_late"
    assert transition.followers[0].step_id == "b"


@pytest.mark.parametrize("kind", ["ACTION", "TRANSFORM", "WAIT", "WORKFLOW"])
def test_nothing_begins_after_the_deadline_of_the_execution(kind):
    step = {
        "ACTION": call("a"),
        "TRANSFORM": {"id": "a", "type": "TRANSFORM", "output": {}},
        "WAIT": {"id": "a", "type": "WAIT", "seconds": 1},
        "WORKFLOW": {"id": "a", "type": "WORKFLOW", "workflow": "other"},
    }[kind]
    run = run_of([step])
    run.deadline = NOW
    transition = decide.resume(run, first_row(run), now=NOW)
    assert transition.finish.errors[0]["code"] == "deadline_exceeded"


def test_child_of_a_step_past_the_deadline_is_cancelled():
    run = run_of([{"id": "a", "type": "WORKFLOW", "workflow": "other"}])
    run.deadline = NOW
    run.facts = Facts(child=ChildExecution("c1", "RUNNING", None, []))
    row = first_row(run, input={"input": {}, "until": None})
    assert decide.resume(run, row, now=NOW).orphan == "c1"


@pytest.mark.parametrize(
    "error",
    [
        SchemaViolation("does not fit"),
        ServiceNotFoundError("No service named 's' found"),
        ServiceResponseError("answered 404", upstream_status=404),
    ],
)
def test_permanent_error_is_not_tried_again(error):
    run = run_of([call("a", retry=RETRY)])
    assert failure(run, started(run), error).finish.status == "FAILED"


def test_missing_service_is_named_as_the_guide_names_it():
    run = run_of([{"id": "a", "service_type": "PLANNING_SYSTEM", "action": "plan"}])
    error = ServiceNotFoundError("No service of type PLANNING_SYSTEM found")
    finish = failure(run, started(run), error).finish
    sentence = "Service not found: No service of type PLANNING_SYSTEM found"
    assert finish.errors[0]["message"] == sentence


def test_fallback_output_stands_in_and_the_error_is_kept():
    run = run_of([call("a", fallback={"output": {"y": 0}}, next="b"), call("b")])
    transition = failure(run, started(run), ServiceUnavailableError("down"))
    assert transition.settled.status == "COMPLETED"
    assert transition.settled.output == {"y": 0}
    assert transition.settled.error["handled"] == "FALLBACK"
    assert transition.followers[0].input == {"y": 0}


def test_fallback_step_takes_over():
    run = run_of([call("a", fallback={"step": "c"}, next="b"), call("b"), call("c")])
    transition = failure(run, started(run), ServiceUnavailableError("down"))
    assert transition.settled.status == "FAILED"
    assert [row.step_id for row in transition.followers] == ["c"]


def test_optional_step_is_skipped_with_its_error():
    run = run_of([call("a", optional=True, next="b"), call("b")], input={"x": 1})
    transition = failure(run, started(run), ServiceUnavailableError("down"))
    assert (transition.settled.status, transition.settled.output) == ("SKIPPED", None)
    assert transition.settled.error["code"] == "service_unavailable"
    assert transition.followers[0].input == {"x": 1}


def test_loop_ends_at_max_visits():
    steps = [
        call("a", max_visits=2, next=[{"when": "output.more", "step": "a"}, {"step": None}]),
    ]
    run = run_of(steps)
    again = answer(run, started(run), {"more": True}).followers[0]
    assert again.path == "a#2"
    transition = answer(run, again, {"more": True})
    assert transition.finish.errors[0]["code"] == "max_visits"


def test_row_claimed_anew_is_called_with_its_recorded_input():
    run = run_of([call("a", input={"n": "$.input.n"})], input={"n": 1})
    row = first_row(run, input={"n": 0})
    assert decide.resume(run, row, now=NOW) is None
    assert row.input == {"n": 0}


def test_now_and_uuid_of_an_input_do_not_change_between_decisions():
    steps = [call("a", input={"id": "$.uuid()", "at": "$.now()"})]
    rows = []
    for _ in range(2):
        run = run_of(steps)
        rows.append(started(run).input)
    assert rows[0] == rows[1]
