"""Models, prices, routes, budgets and quotas, as an operator sets them over the API."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from model_orchestration import catalog
from model_orchestration.acceptance import Purpose, admit
from model_orchestration.adapters.base import ModelCall
from model_orchestration.exceptions import BudgetExceeded
from model_orchestration.limits import Spender
from model_orchestration.models import Model, ModelBudget, ModelRoute, Request, RequestType
from tests import factories
from tests.support.connections import make_connection
from tests.support.credentials import make_credential

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("keys_stay_known")]
CALL = ModelCall(RequestType.CHAT, {"messages": [{"role": "user", "content": "x"}]})


@pytest.fixture
def small(api: APIClient) -> dict[str, Any]:
    make_connection(name="provider")
    return register(api)


def register(api: APIClient, name: str = "small", **fields: Any) -> Any:
    body = {"model_id": name, "capabilities": ["chat"], "provider": "Custom",
            "connection": "provider", **fields}  # fmt: skip
    answer = api.post("/api/models", body)
    assert answer.status_code == 201, answer.content
    return answer.json()


def test_model_is_registered_found_changed_and_forgotten(
    api: APIClient, small: dict[str, Any]
) -> None:
    assert (small["model_id"], small["provider"], small["capabilities"]) == (
        "small", "CUSTOM", ["CHAT"])  # fmt: skip
    assert api.get("/api/models/SMALL").json() == small
    assert api.put("/api/models/small", {"status": "deprecated"}).json()["status"] == "DEPRECATED"
    again = {"name": "small", "capabilities": ["CHAT"], "connection": "provider"}
    assert api.post("/models", again).status_code == 409
    assert api.delete("/api/models/small").status_code == 204
    assert api.get("/api/models/small").status_code == 404


def test_a_connection_with_a_credential_takes_the_right_to_use_it(
    api: APIClient, small: dict[str, Any]
) -> None:
    make_credential("API_KEY", name="provider-key")
    make_connection(name="keyed", credential="provider-key")
    writer = factories.caller(scopes=["models:read", "models:write"])
    body = {"name": "large", "capabilities": ["CHAT"], "provider": "CUSTOM"}
    for refused in (
        writer.post("/models", {**body, "connection": "keyed"}),
        writer.patch("/models/small", {"connection": "keyed"}),
    ):
        assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
        assert "credentials:use" in refused.json()["detail"]
    assert writer.post("/models", {**body, "connection": "provider"}).status_code == 201
    register(api, "keyed", connection="keyed")
    # Who may not is not kept from changing what is allowed already.
    assert writer.patch("/models/keyed", {"description": "Other."}).status_code == 200


def test_alias_never_reads_as_an_id(api: APIClient, small: dict[str, Any]) -> None:
    refused = api.patch("/api/models/small", {"aliases": ["fast", "f" * 32]})
    assert refused.status_code == 400
    assert "reads as an id" in refused.json()["errors"]["aliases"][0]


def test_list_is_filtered_in_any_case_and_paged(api: APIClient, small: dict[str, Any]) -> None:
    register(api, "vectors", capabilities=["EMBEDDING"], provider="ollama", display_name="Maps")

    def names(query: str) -> list[str]:
        return [each["model_id"] for each in api.get(f"/api/models?{query}").json()["items"]]

    assert names("") == ["small", "vectors"]
    assert names("provider=Ollama") == names("capability=embedding") == ["vectors"]
    assert names("status=active&search=MAP") == ["vectors"]
    page = api.get("/api/models?page=2&page_size=1").json()
    assert (page["total"], page["page"], page["page_size"]) == (2, 2, 1)
    assert api.get("/api/models?status=asleep").status_code == 400


def test_second_model_of_a_provider_needs_no_connection(
    api: APIClient, small: dict[str, Any]
) -> None:
    body = {"model_id": "large", "provider": "CUSTOM", "capabilities": ["CHAT"]}
    assert api.post("/models", body).json()["connection"] == "provider"
    refused = api.post("/models", {**body, "model_id": "other", "provider": "OPENAI"})
    assert "connection" in refused.json()["errors"]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"model_id": "requests"}, "name"), ({"model_id": "a/b"}, "name"),
        ({"aliases": ["small"]}, "aliases"), ({"aliases": ["all"]}, "aliases"),
        ({"connection": "nowhere"}, "connection"), ({"capabilities": []}, "capabilities"),
        ({"configuration": {"timeout_seconds": "x"}}, "configuration.timeout_seconds"),
        ({"configuration": {"on_disconnect": "x"}}, "configuration.on_disconnect"),
        ({"cost_per_token": -1}, "cost_per_token"),
    ],
)  # fmt: skip
def test_wrong_field_of_a_model_is_named(
    api: APIClient, small: dict[str, Any], fields: dict[str, Any], path: str
) -> None:
    ModelRoute.objects.create(name="all", targets=[{"model": "small"}])
    body = {"model_id": "other", "capabilities": ["CHAT"], "provider": "CUSTOM", **fields}
    refused = api.post("/models", body)
    assert refused.status_code == 400
    assert path in refused.json()["errors"]


def test_route_keeps_its_models_and_follows_their_names(
    api: APIClient, small: dict[str, Any]
) -> None:
    made = api.post("/models/routes", {"name": "fast", "targets": [{"model": "small"}]})
    assert made.status_code == 201
    unknown = api.post("/models/routes", {"name": "slow", "targets": [{"model": "smal"}]})
    assert "targets[0].model" in unknown.json()["errors"]
    assert api.delete("/models/small").json()["used_by"] == ["route fast"]
    api.patch("/models/small", {"model_id": "tiny"})
    assert api.get("/models/routes/fast").json()["targets"] == [{"model": "tiny"}]


def test_price_holds_from_its_time_on(api: APIClient, small: dict[str, Any]) -> None:
    past = (timezone.now() - timedelta(days=1)).isoformat()
    later = (timezone.now() + timedelta(days=1)).isoformat()
    assert api.post("/models/small/prices", {"input": 1, "output": 2}).status_code == 201
    body = {"input": 3, "output": 4}
    assert api.post("/models/small/prices", {**body, "valid_from": past}).status_code == 400
    assert api.post("/models/small/prices", {**body, "valid_from": later}).status_code == 201
    listed = api.get("/models/small/prices").json()["items"]
    assert [each["input"] for each in listed] == [3, 1]
    target = catalog.read_catalog(timezone.now()).choices.models["small"]
    assert target.price is not None and target.price.input == 1


def test_budget_and_quota_tell_what_is_left(api: APIClient, small: dict[str, Any]) -> None:
    api.put("/models/small", {"cost_per_token": 0.001, "max_tokens": 10})
    made = api.post("/models/budgets", {"name": "a", "scope": "project", "subject": "apollo",
                                        "cost_limit": 0.5, "period": "day"})  # fmt: skip
    assert made.status_code == 201
    api.put("/models/quotas/custom", {"daily_token_limit": 1000})
    admit(CALL, "small", Purpose(Spender(project_id="apollo")))
    row = Request.objects.get()
    standing = api.get("/models/budgets/a/standing").json()
    assert standing["cost"]["reserved"] == row.reserved_nanousd / 10**9
    assert standing["cost"]["remaining"] == 0.5 - standing["cost"]["reserved"]
    assert standing["reset_at"]
    quota = api.get("/models/quotas").json()["items"][0]
    assert quota["standing"]["day"]["tokens"]["reserved"] == row.reserved_tokens
    assert api.get("/models/quotas/openai").status_code == 404
    assert api.delete("/models/quotas/custom").status_code == 204


def test_raised_budget_lets_pass_at_once(api: APIClient, small: dict[str, Any]) -> None:
    ModelBudget.objects.create(name="b", scope="ALL", request_limit=0)
    with pytest.raises(BudgetExceeded):
        admit(CALL, "small", Purpose(Spender()))
    assert api.patch("/models/budgets/b", {"request_limit": 1}).status_code == 200
    assert admit(CALL, "small", Purpose(Spender()))


def test_usage_is_summed_by_what_is_asked_for(
    api: APIClient, small: dict[str, Any], django_assert_num_queries: Callable[..., Any]
) -> None:
    for number in range(4):
        Request.objects.create(
            request_id=f"r{number}", request_type="CHAT", model_id=("a", "b")[number % 2],
            model_asked="x", provider="CUSTOM", project_id="apollo", success=number > 0,
            total_tokens=10, cost_nanousd=500_000_000, state="SETTLED",
        )  # fmt: skip
    answer = api.get("/models/usage?group_by=model,day").json()["items"]
    assert [(each["model"], each["requests"], each["errors"], each["cost"]) for each in answer] == [
        ("a", 2, 1, 1.0), ("b", 2, 0, 1.0)]  # fmt: skip
    assert api.get("/usage").json()["items"][0]["total_tokens"] == 40
    assert "group_by" in api.get("/models/usage?group_by=modell").json()["errors"]
    with django_assert_num_queries(2):
        listed = api.get("/models/requests?model=A&state=settled").json()
    assert listed["total"] == 2
    one = api.get(f"/models/requests/{listed['items'][0]['id']}").json()
    assert one["cost"] == 0.5
    assert api.get("/models/requests/nothing").status_code == 404


def test_who_may_only_use_models_changes_none(small: dict[str, Any]) -> None:
    program = factories.caller("SERVICE")
    assert program.get("/models/small").status_code == 200
    assert program.put("/models/small", {"max_tokens": 1}).status_code == 403
    assert factories.caller("VIEWER").post("/v1/chat/completions", {}).status_code == 403
    assert Model.objects.get().max_tokens is None
