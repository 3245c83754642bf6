"""Running an execution again: what is kept, what is called, what is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from core.exceptions import Conflict, ValidationFailed
from tests.support.engine import (
    ScriptedClient,
    call,
    ended,
    make_workflow,
    running_engine,
    start,
    step_rows,
)
from workflows import services
from workflows.models import Workflow, WorkflowExecution, WorkflowStep, WorkflowVersion
from workflows.services import Rerun, Start

pytestmark = pytest.mark.django_db(transaction=True)

CHAIN = [call("a", next="b"), call("b", next="c"), call("c")]


def client() -> ScriptedClient:
    return ScriptedClient(
        a=lambda d: {"a": d.get("n", 0) + 1},
        b=lambda d: {"b": d["a"] * 10},
        c=lambda d: {"c": [d["n"], d["a"], d["b"]]},
    )


def add_version(workflow: Workflow, steps: list[dict[str, Any]]) -> None:
    number = workflow.versions.count() + 1
    WorkflowVersion.objects.create(workflow=workflow, number=number, steps=steps, checksum="-")


def rerun(execution: WorkflowExecution, **given: Any) -> WorkflowExecution:
    asked = Start(input={}, context={}, actor="me")
    return services.rerun_execution(execution.pk, Rerun(**given), asked).execution


def finished(steps: list[dict[str, Any]], input: dict[str, Any], edge: Any) -> WorkflowExecution:
    execution = start(make_workflow(steps), input)
    with running_engine(edge):
        return ended(execution)


def run(execution: WorkflowExecution, edge: Any) -> WorkflowExecution:
    with running_engine(edge):
        return ended(execution)


def test_steps_before_the_chosen_one_are_kept_and_not_called():
    first = finished(CHAIN, {"n": 1}, client())
    edge = client()
    second = run(rerun(first, from_step="c", input={"n": 5}), edge)
    assert [action for action, _, _ in edge.calls] == ["c"]
    assert second.output == {"c": [5, 2, 20]}
    assert (second.rerun_of_id, second.input) == (first.pk, {"n": 5})
    assert list(second.steps.order_by("id").values_list("path", "status", "reused")) == [
        ("a", "COMPLETED", True),
        ("b", "COMPLETED", True),
        ("c", "COMPLETED", False),
    ]
    event = second.events.get(sequence=1)
    assert (event.kind, event.actor) == ("STARTED", "me")
    assert event.payload == {"rerun_of": str(first.pk), "from_step": "c", "reused": ["a", "b"]}


def test_without_a_step_everything_runs_again_under_other_idempotency_keys():
    edge = client()
    first = finished(CHAIN, {"n": 1}, edge)
    keys = {headers["Idempotency-Key"] for _, _, headers in edge.calls}
    again = client()
    second = run(rerun(first), again)
    assert (second.output, again.called("a")) == (first.output, 1)
    assert keys.isdisjoint(headers["Idempotency-Key"] for _, _, headers in again.calls)


def test_step_is_given_the_input_that_was_edited():
    first = finished(CHAIN, {"n": 1}, client())
    edge = client()
    second = run(rerun(first, from_step="b", step_input={"a": 7}), edge)
    assert edge.calls[0][:2] == ("b", {"a": 7})
    assert second.output == {"c": [1, 2, 70]}


def test_failed_execution_is_rerun_from_the_step_that_failed_in_the_newest_version():
    steps = [call("a", next="b"), call("b", action="gone", next="c"), call("c")]
    workflow = make_workflow(steps)
    execution = start(workflow, {"n": 1})
    edge = client()
    edge.answers["gone"] = lambda d: d["missing"]
    with running_engine(edge):
        first = ended(execution)
    assert first.status == "FAILED"
    add_version(workflow, CHAIN)
    second = run(rerun(first, from_step="b", version="newest"), edge)
    assert (second.status, second.version.number, edge.called("a")) == ("COMPLETED", 2, 1)
    assert second.output == {"c": [1, 2, 20]}


def test_skipped_routed_and_replaced_steps_are_kept_as_they_were():
    def fail(_: Any) -> Any:
        raise ValidationFailed("no")

    steps = [
        call("skipped", when="input.never", next="lost"),
        call("lost", on_error=[{"match": ["*"], "step": "replaced"}], next=None),
        call("replaced", fallback={"output": {"a": 9}}, next="look"),
        {
            "id": "look",
            "type": "TRANSFORM",
            "output": {
                "seen": "$.[steps.skipped.status, steps.lost.error.code, steps.replaced.output.a]"
            },
        },
    ]
    edge = ScriptedClient(lost=fail, replaced=fail)
    first = finished(steps, {}, edge)
    second = run(rerun(first, from_step="look"), ScriptedClient())
    assert first.output == {"seen": ["SKIPPED", "validation_error", 9]}
    assert second.output == first.output
    assert second.steps.filter(reused=True).count() == 3


def test_rerun_from_a_later_visit_keeps_the_earlier_ones_and_counts_them():
    steps = [
        call("a", max_visits=3, next=[{"when": "output.a < `3`", "step": "a"}, {"step": "end"}]),
        {"id": "end", "type": "TRANSFORM", "output": {"a": "$.steps.a.output.a"}},
    ]
    answers = iter([1, 2, 3])
    edge = ScriptedClient(a=lambda _: {"a": next(answers)})
    first = finished(steps, {}, edge)
    assert [path for path, _, _ in step_rows(first)] == ["a", "a#2", "a#3", "end"]
    low = ScriptedClient(a=lambda _: {"a": 0})
    second = run(rerun(first, from_step="a#2"), low)
    assert (second.status, second.errors[0]["code"]) == ("FAILED", "max_visits")
    assert low.called("a") == 2


def test_container_is_kept_as_a_whole_and_can_be_rerun_as_a_whole():
    steps = [
        {
            "id": "fork",
            "type": "PARALLEL",
            "branches": [[call("a")], [call("d")]],
            "next": "sum",
        },
        {"id": "sum", "type": "TRANSFORM", "output": {"all": "$.steps.fork.output"}},
    ]
    edge = ScriptedClient(a=lambda _: {"a": 1}, d=lambda _: {"d": 2})
    first = finished(steps, {}, edge)
    kept = run(rerun(first, from_step="sum"), ScriptedClient())
    assert kept.output == first.output == {"all": {"a": {"a": 1}, "d": {"d": 2}}}
    again = run(rerun(first, from_step="fork"), edge)
    assert (again.output, edge.called("a")) == (first.output, 2)
    for inside in ("a", "fork/0/a"):
        with pytest.raises(ValidationFailed, match="Rerun from 'fork'"):
            rerun(first, from_step=inside)


def test_signal_that_the_first_run_took_is_not_one_of_the_rerun():
    steps = [
        {"id": "one", "type": "EVENT", "event": "go", "next": "two"},
        {"id": "two", "type": "EVENT", "event": "go"},
    ]
    execution = start(make_workflow(steps))
    for number in (1, 2):
        services.signal_execution(execution.pk, name="go", payload={"number": number})
    with running_engine(ScriptedClient()):
        first = ended(execution)
    second = rerun(first, from_step="two")
    services.signal_execution(second.pk, name="go", payload={"number": 3})
    assert run(second, ScriptedClient()).output == {"number": 3}


def test_execution_that_needs_review_can_be_rerun_and_stays_as_it_is():
    first = finished(CHAIN, {"n": 1}, client())
    first.steps.filter(path="c").update(status="NEEDS_REVIEW", completed_at=None)
    WorkflowExecution.objects.filter(pk=first.pk).update(status="NEEDS_REVIEW")
    second = run(rerun(first, from_step="c"), client())
    assert (second.status, second.steps.filter(reused=True).count()) == ("COMPLETED", 2)
    assert services.get_execution(str(first.pk)).status == "NEEDS_REVIEW"


def test_what_was_undone_cannot_be_kept():
    first = finished(CHAIN, {"n": 1}, client())
    first.steps.filter(path="a").update(status="COMPENSATED")
    with pytest.raises(Conflict, match="What 'a' did was undone"):
        rerun(first, from_step="b")
    assert WorkflowExecution.objects.count() == 1
    assert rerun(first, from_step="a").steps.filter(reused=True).count() == 0


def test_step_that_is_new_and_read_later_cannot_be_left_out():
    workflow = make_workflow(CHAIN)
    execution = start(workflow, {"n": 1})
    with running_engine(client()):
        first = ended(execution)
    add_version(
        workflow,
        [
            call("a", next="new"),
            call("new", next="b"),
            call("b", next="c"),
            call("c", input={"new": "$.steps.new.output"}),
        ],
    )
    with pytest.raises(Conflict, match=r"'c' reads 'new'.*Rerun from 'new'"):
        rerun(first, from_step="b", version=2)
    with pytest.raises(Conflict, match=r"did not reach 'new'\. It reached: a, b, c\."):
        rerun(first, from_step="new", version=2)


def test_step_that_the_version_dropped_is_left_out():
    workflow = make_workflow(CHAIN)
    execution = start(workflow, {"n": 1})
    with running_engine(client()):
        first = ended(execution)
    add_version(workflow, [call("b", next="c"), call("c", input={"known": "$.keys(steps)"})])
    edge = ScriptedClient(c=lambda d: d)
    second = run(rerun(first, from_step="c", version=2), edge)
    assert second.output == {"known": ["b"]}


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        ({"from_step": "zzz"}, ValidationFailed, "no step 'zzz' in this version; it has a, b, c"),
        ({"version": 7}, ValidationFailed, "has no version 7"),
        ({"from_step": "d", "step_input": {}}, ValidationFailed, "'d' is a TRANSFORM"),
        ({"from_step": "~a"}, ValidationFailed, "no step '~a'"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_stored(given, error, sentence):
    steps = [*CHAIN[:2], call("c", next="d"), {"id": "d", "type": "TRANSFORM", "output": {}}]
    first = finished(steps, {"n": 1}, client())
    with pytest.raises(error, match=sentence):
        rerun(first, **given)
    assert WorkflowExecution.objects.count() == 1


def test_only_what_has_ended_can_be_rerun():
    execution = start(make_workflow(CHAIN), {"n": 1})
    with pytest.raises(Conflict, match="PENDING; only one that has ended"):
        rerun(execution)


def test_same_key_refuses_a_rerun_with_another_edited_input():
    first = finished(CHAIN, {"n": 1}, client())
    asked = Start(input={}, context={}, idempotency_key="k")

    def again(step_input: dict[str, Any] | None) -> bool:
        edited = Rerun(from_step="b", step_input=step_input)
        return services.rerun_execution(first.pk, edited, asked).created

    assert again({"a": 1})
    assert not again({"a": 1.0})
    for other in ({"a": True}, None):
        with pytest.raises(Conflict, match="another input of the step"):
            again(other)


def test_same_key_answers_the_same_rerun_and_refuses_another():
    first = finished(CHAIN, {"n": 1}, client())
    asked = Start(input={}, context={}, idempotency_key="k")
    made = services.rerun_execution(first.pk, Rerun(from_step="b"), asked)
    again = services.rerun_execution(first.pk, Rerun(from_step="b"), asked)
    assert (made.created, again.created) == (True, False)
    assert again.execution.pk == made.execution.pk
    for other in (Rerun(from_step="c"), Rerun(from_step="b", input={"n": 2})):
        with pytest.raises(Conflict, match="was used with another"):
            services.rerun_execution(first.pk, other, asked)
    with pytest.raises(Conflict, match="was used with a rerun"):
        services.start_execution(
            first.workflow, Start(input={"n": 1}, context={}, idempotency_key="k")
        )


def test_order_of_completion_decides_the_running_document():
    steps = [call("x", next="y"), call("y", next="z"), call("z")]
    edge = ScriptedClient(x=lambda _: {"v": "x"}, y=lambda _: {"v": "y"}, z=lambda d: dict(d))
    first = finished(steps, {}, edge)
    # As after a retry of `x`: it ended after `y`, though its row is the older one.
    ends = WorkflowStep.objects.get(path="y").completed_at
    for path, minutes in (("x", 1), ("z", 2)):
        WorkflowStep.objects.filter(path=path).update(
            completed_at=ends + timedelta(minutes=minutes)
        )
    assert run(rerun(first, from_step="z"), edge).output == {"v": "x"}
