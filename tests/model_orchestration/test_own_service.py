"""The hub as a service of models: found and called as any other, within the process."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from model_orchestration.calls.own_service import SERVICE_ID
from model_orchestration.exceptions import AnswerUnfit
from model_orchestration.models import Model, ModelBudget, Request
from model_orchestration.service_actions import BY_NAME, OFFERS
from model_orchestration.services.offering import offer_models
from registry.calls.client import ServiceClient
from registry.calls.targets.resolver import CallTarget, resolve
from registry.models import Service
from tests import factories
from tests.support.connections import make_connection
from tests.support.engine import ended, make_workflow, running_engine
from tests.support.model_providers import Provider, answering
from workflows import services
from workflows.services import Start

TYPE = CallTarget("service_type", "MODEL_ORCHESTRATION")


@pytest.mark.django_db
def test_hub_is_a_service_while_it_has_models_and_the_last_to_be_called() -> None:
    offer_models()
    assert not Service.objects.exists()
    Model.objects.create(name="small", connection=make_connection(), capabilities=["CHAT"])
    offer_models()
    offer_models()  # a sign of life
    own = Service.objects.with_parts().get()
    assert (own.pk, own.type, own.status) == (SERVICE_ID, "MODEL_ORCHESTRATION", "ONLINE")
    assert {action.name for action in own.actions.all()} == {offer.name for offer in OFFERS}
    assert own.instances.get().weight == 0
    assert resolve(TYPE, "execute_task").service == own.name
    factories.make_service(
        "other", type="MODEL_ORCHESTRATION", actions=("execute_task",), urls=("http://127.0.0.1:9",)
    )
    assert {resolve(TYPE, "execute_task").service for _ in range(20)} == {"other"}
    assert resolve(TYPE, "embedding").service == own.name
    Model.objects.all().delete()
    offer_models()
    assert not Service.objects.filter(pk=SERVICE_ID).exists()


@pytest.mark.django_db
def test_service_of_somebody_else_keeps_its_name() -> None:
    Model.objects.create(name="small", connection=make_connection(), capabilities=["CHAT"])
    factories.make_service("Hub-Models")
    offer_models()
    assert Service.objects.get().name == "Hub-Models"


@pytest.mark.once
def test_answer_has_to_be_what_was_asked_for() -> None:
    offer = BY_NAME["review_plan"]
    good = {"review": "Fine.", "risks": []}

    def told(text: str) -> dict[str, Any]:
        return {"choices": [{"message": {"content": text}}]}

    assert offer.result(told(json.dumps(good))) == good
    assert offer.result(told(f"```json\n{json.dumps(good)}\n```")) == good
    for bad in ("No.", '{"review": 1, "risks": []}', '{"review": "x"}', "[]", ""):
        with pytest.raises(AnswerUnfit):
            offer.result(told(bad))


@pytest.fixture
def _offered(make_model: Callable[..., Model]) -> None:
    make_model(cost_per_token="0.000001")
    offer_models()


def run(steps: list[dict[str, Any]], **context: Any) -> Any:
    start = Start(input={"question": "Say hello."}, context=context, actor="program")
    execution = services.start_execution(make_workflow(steps), start).execution
    with running_engine(ServiceClient()):
        return ended(execution)


ASK = {
    "id": "ask", "service_type": "MODEL_ORCHESTRATION", "action": "chat",
    "input": {"messages": [{"role": "user", "content": "$.input.question"}], "max_tokens": 9},
    "next": "plan",
}  # fmt: skip
PLAN = {
    "id": "plan", "service_type": "MODEL_ORCHESTRATION", "action": "generate_execution_plan",
    "input": {"task": "Build it."}, "next": None,
}  # fmt: skip


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_offered")
def test_steps_ask_models_for_who_began_the_workflow(provider: Provider, key: str) -> None:
    plan = {"steps": ["Begin.", "End."], "required_tools": []}
    provider.next(answering("Hello."), answering(json.dumps(plan)))
    execution = run([ASK, PLAN], project_id="apollo", user_id="ada")
    assert execution.status == "COMPLETED", execution.error
    outputs = {step.step_id: step.output for step in execution.steps.all()}
    assert outputs["ask"]["response"]["choices"][0]["message"]["content"] == "Hello."
    assert outputs["plan"] == plan
    rows = list(Request.objects.order_by("id"))
    assert {(row.caller, row.project_id, row.user_id) for row in rows} == {
        ("program", "apollo", "ada")}  # fmt: skip
    assert {row.task_id for row in rows} == {str(execution.pk)}
    assert [row.state for row in rows] == ["SETTLED", "SETTLED"] and rows[0].cost > 0
    # Nothing but the provider was called.
    assert [each.path for each in provider.received] == ["/v1/chat/completions"] * 2
    wanted = provider.received[1].body["response_format"]["json_schema"]["schema"]
    assert wanted["required"] == ["steps", "required_tools"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_offered")
def test_step_is_refused_what_its_starter_may_not_spend(provider: Provider, key: str) -> None:
    ModelBudget.objects.create(name="none", scope="KEY", subject="program", request_limit=0)
    execution = run([{**ASK, "next": None}])
    assert execution.status == "FAILED"
    told = json.dumps(execution.errors)
    assert "answered 429" in told and "'none'" in told
    assert provider.received == [] and Request.objects.get().state == "REFUSED"


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_offered", "shared_client", "keys_stay_known")
def test_action_is_called_over_the_api_too(provider: Provider) -> None:
    program = factories.caller("SERVICE", name="caller")
    path = "/api/registry/services/hub-models/actions/embedding/execute"
    answer = program.post(path, {"input_data": {"input": ["a", "bb"]}})
    assert answer.status_code == 200, answer.content
    vectors = [each["embedding"][0] for each in answer.json()["response"]["data"]]
    assert vectors == [1.0, 2.0]
    assert Request.objects.get().caller == "caller"
    refused = program.post(path, {"input_data": {"input": "a", "model": "unknown"}})
    assert refused.status_code == 502 and "no model 'unknown'" in refused.content.decode()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_offered", "shared_client", "keys_stay_known")
def test_routes_answer_as_the_service_does(provider: Provider) -> None:
    program = factories.caller("SERVICE")
    review = {"review": "Good.", "risks": ["Late."]}
    provider.next(answering(json.dumps(review)), answering("Well."))
    answer = program.post("/api/models/plans/review", {"tasks": [{"title": "A"}]})
    assert answer.status_code == 200 and answer.json() == review
    unfit = program.post("/api/models/tasks/execute", {"task": "Do it."})
    assert unfit.status_code == 502 and unfit.json()["code"] == "answer_unfit"
