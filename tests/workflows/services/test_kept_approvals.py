"""What people approved holds for what they saw, and for one execution that goes on with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from core.exceptions import Conflict, UseDenied, ValidationFailed
from tests.support.engine import (
    ScriptedClient,
    call,
    make_workflow,
    running_engine,
    start,
)
from tests.support.waiting import until
from workflows import services
from workflows.models import Workflow, WorkflowExecution, WorkflowStep, WorkflowVersion
from workflows.services import Rerun, Start

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]


def agree(name: str = "agree", *, then: str | None = "pay", **more: Any) -> dict[str, Any]:
    asked = {"amount": "$.input.amount"}
    return {"id": name, "type": "APPROVAL", "input": asked, "next": then, **more}


ENGINES: list[Any] = []
FIRST = call("first", next="agree")
PAY = call("pay", next="tell")
TELL = call("tell")
STEPS = [FIRST, agree(), PAY, TELL]
CHILD = {"id": "agree", "type": "WORKFLOW", "workflow": "child", "next": "pay"}
FORK = {"id": "agree", "type": "PARALLEL", "branches": [[agree("inner", then=None)]], "next": "pay"}
# What asks people: the step itself, one inside of it, one of an execution that it starts.
WAYS = {"step": agree(), "branch": FORK, "child": CHILD}


def edge() -> ScriptedClient:
    def tell(document: dict[str, Any]) -> Any:
        if document.get("fails"):
            raise ValidationFailed("no")
        return {"told": True}

    return ScriptedClient(first=lambda _: {"f": 1}, pay=lambda _: {"paid": 1}, tell=tell)


@pytest.fixture
def calls() -> Iterator[ScriptedClient]:
    client = edge()
    with running_engine(client) as engine:
        ENGINES.append(engine)
        yield client
        ENGINES.clear()


def happens(condition: Callable[[], Any]) -> None:
    """Wait for something that the engine does once it looks."""

    def looked() -> Any:
        ENGINES[-1].look()
        return condition()

    until(looked)


def ended(execution: WorkflowExecution) -> WorkflowExecution:
    happens(lambda: services.get_execution(str(execution.pk)).has_ended)
    return services.get_execution(str(execution.pk))


def make(asking: dict[str, Any] | None = None, name: str = "w") -> Workflow:
    make_workflow([agree(then=None)], name="child")
    return make_workflow([FIRST, asking or agree(), PAY, TELL], name=name)


def waiting_rows() -> list[WorkflowStep]:
    return list(
        WorkflowStep.objects.filter(status="WAITING", input__has_key="decisions").select_related(
            "execution"
        )
    )


def approve(approve: bool = True) -> None:
    """Decide what waits, once it does."""
    happens(waiting_rows)
    for row in waiting_rows():
        services.decide_approval(row.execution_id, row.path, approve=approve, actor="boss")


def paid(workflow: Workflow, amount: int = 10, **more: Any) -> WorkflowExecution:
    execution = start(workflow, {"amount": amount, **more})
    approve()
    return ended(execution)


def rerun(execution: WorkflowExecution, may_operate: bool = True, **given: Any) -> Any:
    asked = Start(input={}, context={}, actor="me", may_operate=may_operate)
    return services.rerun_execution(execution.pk, Rerun(**given), asked).execution


def is_asked(execution: WorkflowExecution) -> bool:
    """Let it go on, and say whether people were asked anew before it ended."""
    happens(lambda: services.get_execution(str(execution.pk)).has_ended or waiting_rows())
    return bool(waiting_rows())


def begin_of(execution: WorkflowExecution) -> tuple[str, str | None]:
    payload = execution.events.get(sequence=1).payload
    return payload["from_step"], payload.get("asked_from")


@pytest.mark.parametrize("way", WAYS)
def test_an_approval_holds_for_one_rerun_of_what_it_was_given_for(calls, way):
    first = paid(make(WAYS[way]))
    second = rerun(first, may_operate=False, from_step="pay")
    assert (is_asked(second), begin_of(second)) == (False, ("pay", None))
    third = rerun(first, may_operate=False, from_step="pay")
    assert (is_asked(third), begin_of(third)) == (True, ("agree", "pay"))
    assert calls.called("pay") == 2
    approve()
    assert (ended(third).status, calls.called("pay"), calls.called("first")) == ("COMPLETED", 3, 1)
    # One that was asked itself has an approval of its own.
    assert not is_asked(rerun(third, from_step="pay"))


@pytest.mark.parametrize("way", WAYS)
def test_a_rerun_of_the_rerun_asks_again(calls, way):
    first = paid(make(WAYS[way]))
    second = ended(rerun(first, from_step="pay"))
    third = rerun(second, from_step="tell")
    assert (is_asked(third), begin_of(third)) == (True, ("agree", "tell"))


@pytest.mark.parametrize("way", WAYS)
def test_another_input_is_asked_for_again(calls, way):
    first = paid(make(WAYS[way]))
    second = rerun(first, from_step="pay", input={"amount": 1_000_000})
    assert (is_asked(second), begin_of(second)) == (True, ("agree", "pay"))
    assert calls.called("pay") == 1
    shown = waiting_rows()[0].input["document"]
    assert shown == ({"amount": 1_000_000})


def test_the_same_input_in_other_words_is_no_edit(calls):
    first = paid(make())
    second = rerun(first, may_operate=False, from_step="pay", input={"amount": 10.0})
    assert not is_asked(second)


@pytest.mark.parametrize(
    "edit", [{"input": {"amount": 11}}, {"step_input": {"n": 1}}, {"version": 2}], ids=str
)
def test_edits_take_the_scope(calls, edit):
    workflow = make()
    first = paid(workflow)
    add_version(workflow, STEPS)
    with pytest.raises(UseDenied, match="workflows:operate"):
        rerun(first, may_operate=False, from_step="pay", **edit)
    assert WorkflowExecution.objects.count() == 1


def test_what_an_approved_call_is_given_cannot_be_edited(calls):
    first = paid(make())
    with pytest.raises(Conflict, match="Rerun from 'agree'"):
        rerun(first, from_step="pay", step_input={"amount": 1_000_000})
    assert rerun(first, from_step="first", step_input={"n": 1}).input == {"amount": 10}


def add_version(workflow: Workflow, steps: list[dict[str, Any]]) -> None:
    number = workflow.versions.count() + 1
    WorkflowVersion.objects.create(workflow=workflow, number=number, steps=steps, checksum="-")


def test_another_version_asks_again(calls):
    workflow = make()
    first = paid(workflow)
    add_version(workflow, [FIRST, agree(), call("pay", "tell", next="tell"), TELL])
    second = rerun(first, from_step="pay", version=2)
    assert (is_asked(second), begin_of(second)) == (True, ("agree", "pay"))


def test_an_approval_that_another_version_adds_is_not_gone_around(calls):
    workflow = make_workflow([call("first", next="pay"), PAY, TELL])
    first = ended(start(workflow, {"amount": 10}))
    add_version(workflow, STEPS)
    with pytest.raises(Conflict, match="rerun from 'first'"):
        rerun(first, from_step="pay", version=2)
    assert is_asked(rerun(first, from_step="first", version=2))


def test_what_was_decided_by_the_input_is_decided_anew(calls):
    """Below the limit nobody was asked: skipped, and gone around."""
    skipped = make(agree(when="input.amount > `100`"))
    first = ended(start(skipped, {"amount": 10}))
    assert not is_asked(rerun(first, from_step="pay"))
    second = rerun(first, from_step="pay", input={"amount": 1_000_000})
    assert (is_asked(second), begin_of(second)) == (True, ("agree", "pay"))
    services.cancel_execution(second.pk)
    ways = [{"when": "input.amount > `100`", "step": "agree"}, {"step": "pay"}]
    choose = {"id": "choose", "type": "CHOICE", "next": ways}
    around = make_workflow([choose, agree(), PAY, TELL], name="around")
    first = ended(start(around, {"amount": 10}))
    with pytest.raises(Conflict, match="rerun from 'choose'"):
        rerun(first, from_step="pay", input={"amount": 1_000_000})
    assert is_asked(rerun(first, from_step="choose", input={"amount": 1_000_000}))


def test_a_circle_that_asks_can_be_rerun_from_its_beginning(calls):
    ways = [{"when": "input.amount > `100`", "step": "agree"}, {"step": None}]
    steps = [
        agree(max_visits=2),
        call("pay", max_visits=2, next="more"),
        agree("more", then="turn"),
    ]
    turn = {"id": "turn", "type": "CHOICE", "max_visits": 2, "next": ways}
    workflow = make_workflow([*steps[:2], {**steps[2], "max_visits": 2}, turn])
    execution = start(workflow, {"amount": 10})
    approve()
    approve()
    first = ended(execution)
    with pytest.raises(Conflict):
        rerun(first, from_step="pay", input={"amount": 11})
    assert is_asked(rerun(first, input={"amount": 11}))


def test_what_a_rerun_took_over_goes_on_there_alone(calls):
    first = paid(make(), fails=True)
    assert first.status == "FAILED"
    second = rerun(first, from_step="tell")
    ended(second)
    with pytest.raises(Conflict, match="A rerun has taken over"):
        services.retry_execution(first.pk)
    assert services.retry_execution(second.pk).status == "RUNNING"


def test_a_step_in_review_goes_on_in_the_rerun_alone(calls):
    first = paid(make(), fails=True)
    WorkflowExecution.objects.filter(pk=first.pk).update(status="NEEDS_REVIEW")
    WorkflowStep.objects.filter(execution=first, path="tell").update(status="NEEDS_REVIEW")
    rerun(first, from_step="tell")
    with pytest.raises(Conflict, match="A rerun has taken over"):
        services.settle_reviewed(first.pk, "tell", output={}, actor="me")
    assert services.cancel_execution(first.pk).status == "CANCELLED"


def test_a_retry_keeps_what_was_approved_as_nothing_else_does(calls):
    first = paid(make(), fails=True)
    services.retry_execution(first.pk)
    assert (ended(first).status, calls.called("pay")) == ("FAILED", 1)
    assert not waiting_rows()


def test_a_rejection_is_not_used_up(calls):
    workflow = make(agree(on_error=[{"match": ["rejected"], "step": "tell"}]))
    execution = start(workflow, {"amount": 10})
    approve(approve=False)
    first = ended(execution)
    assert [is_asked(rerun(first, from_step="tell")) for _ in range(2)] == [False, False]


def test_the_same_key_answers_the_same_rerun_although_it_began_earlier(calls):
    first = paid(make())
    asked = Start(input={}, context={}, actor="me", idempotency_key="k")
    wanted = Rerun(from_step="pay", input={"amount": 11})
    second = services.rerun_execution(first.pk, wanted, asked).execution
    assert services.rerun_execution(first.pk, wanted, asked).execution.pk == second.pk
    with pytest.raises(Conflict):
        services.rerun_execution(first.pk, Rerun(from_step="tell"), asked)


def test_what_the_hub_said_of_the_first_is_said_of_the_rerun_too(calls):
    noted = {"webhook": "orders", "request_id": "r"}
    workflow = make_workflow([TELL])
    asked = Start(input={"a": 1}, context={"team": "blue"}, noted=noted)
    first = ended(services.start_execution(workflow, asked).execution)
    assert rerun(first).context == {"webhook": "orders", "team": "blue", "request_id": "r"}
    edited = rerun(first, input={"a": 2})
    assert edited.context == {"team": "blue", "request_id": "r"}
