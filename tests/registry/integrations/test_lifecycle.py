"""Integrations executed against real services: mapped, cut down, recorded."""

from __future__ import annotations

from datetime import timedelta

import pytest
from aiohttp import web
from django.utils import timezone

from registry.integrations.history import forget_executions
from registry.models import Integration, IntegrationExecution
from tests.support.credentials import SECRETS, make_credential
from tests.support.integrations import (
    coordinator,
    echoing,
    make_integration,
    own_client,
    serving,
)

pytestmark = pytest.mark.django_db(transaction=True)

CHAT = {"name": "New Project", "status": "PLANNING"}


@pytest.fixture(autouse=True)
def client():
    with own_client():
        yield


@pytest.fixture
def project_coordinator(tmp_path):
    with coordinator(tmp_path) as service:
        yield service


def execute(api, made, payload, **more):
    return api.post(f"/integrations/{made['name']}/execute", {"payload": payload, **more})


# The failing chat of the specification


def test_strip_creates_the_project_of_the_chat_and_says_what_was_dropped(api, project_coordinator):
    made = make_integration(
        api,
        project_coordinator,
        "create_project",
        source="web-dashboard",
        unknown_fields="strip",
        response_mapping={"project_id": "$.output.project_id", "name": "$.output.name"},
    )
    answer = execute(api, made, CHAT)
    body = answer.json()
    assert answer.status_code == 200
    assert body["output"]["name"] == "New Project"
    assert body["output"]["project_id"].startswith("project-")
    assert [w["fields"] for w in body["warnings"]] == [["status"]]
    assert "does not know 'status': dropped." in body["warnings"][0]["message"]
    assert answer["X-Dropped-Fields"] == "status"

    [entry] = api.get(f"/integrations/{made['id']}/executions").json()["items"]
    assert entry["status"] == "COMPLETED"
    assert entry["execution_id"] == body["execution_id"]
    assert [w["fields"] for w in entry["warnings"]] == [["status"]]
    assert (entry["service"], entry["upstream_status"]) == (project_coordinator.name, 200)
    assert entry["error"] is None


def test_reject_names_the_field_and_sends_nothing(api, project_coordinator):
    made = make_integration(api, project_coordinator, "create_project", unknown_fields="REJECT")
    answer = execute(api, made, CHAT)
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["code"] == "schema_violation"
    assert list(problem["errors"]) == ["status"]
    assert "'status'" in problem["detail"]
    assert problem["integration"] == made["name"]
    [entry] = api.get(f"/integrations/{made['id']}/executions").json()["items"]
    assert entry["status"] == "REFUSED"
    assert entry["error"] == {"code": "schema_violation", "message": "It does not fit: 'status'."}
    assert entry["execution_id"] == problem["execution_id"]


def test_pass_lets_the_target_decide(api, project_coordinator):
    made = make_integration(api, project_coordinator, "create_project", unknown_fields="PASS")
    answer = execute(api, made, CHAT)
    assert answer.status_code == 502
    assert answer.json()["upstream_status"] == 400
    [entry] = api.get(f"/integrations/{made['id']}/executions").json()["items"]
    assert entry["status"] == "FAILED"


@pytest.mark.parametrize(("policy", "status"), [("STRIP", 200), ("REJECT", 422), (None, 422)])
def test_an_action_may_say_it_too(api, tmp_path, policy, status):
    with coordinator(tmp_path, unknown_fields=policy) as service:
        path = f"/registry/services/{service.name}/actions/create_project/execute"
        answer = api.post(path, {"input_data": CHAT})
    assert answer.status_code == status
    assert answer.headers.get("X-Dropped-Fields") == ("status" if status == 200 else None)
    if status == 422:
        assert "status" in answer.content.decode()


def test_registering_again_keeps_the_word_of_the_operator(api):
    body = {"name": "s", "url": "http://s:1", "actions": [{"name": "a", "unknown_fields": "strip"}]}
    api.post("/registry/services", body)
    again = api.post("/registry/services", {**body, "actions": ["a"]}).json()
    assert again["actions"][0]["unknown_fields"] == "STRIP"
    other = api.post(
        "/registry/services", {**body, "actions": [{"name": "a", "unknown_fields": "pass"}]}
    ).json()
    assert other["actions"][0]["unknown_fields"] == "PASS"


# Mapping


def test_request_and_answer_are_mapped(api):
    with echoing() as (service, _):
        made = make_integration(
            api,
            service,
            "echo",
            request_mapping={"title": "$.input.name", "by": "$.context.user", "kind": "project"},
            response_mapping="$.output.got.{t: title, b: by, k: kind}",
        )
        body = execute(api, made, {"name": "a"}, context={"user": "ann"}).json()
    assert body["output"] == {"t": "a", "b": "ann", "k": "project"}
    assert body["warnings"] == []


def test_calls_carry_what_calls_of_the_hub_carry(api):
    with echoing() as (service, told):
        made = make_integration(api, service, "echo")
        answer = api.post(
            f"/api/registry/integrations/{made['id']}/execute/",
            {"payload": {}, "context": {"correlation_id": "c-1"}},
            HTTP_IDEMPOTENCY_KEY="once",
            HTTP_X_REQUEST_ID="r-1",
        )
        again = api.post(
            f"/api/registry/integrations/{made['id']}/execute/",
            {"payload": {}, "context": {"correlation_id": "c-1"}},
            HTTP_IDEMPOTENCY_KEY="once",
        )
    assert again.json() == answer.json()
    assert again["Idempotency-Replayed"] == "true"
    assert told["calls"] == 1
    assert len(told["headers"]["Idempotency-Key"]) == 64  # made of the caller and the key
    assert (told["headers"]["X-Request-ID"], told["headers"]["X-Correlation-ID"]) == ("r-1", "c-1")
    [entry] = api.get(f"/integrations/{made['id']}/executions").json()["items"]
    assert (entry["request_id"], entry["correlation_id"]) == ("r-1", "c-1")


def test_mapping_that_fails_on_this_payload_is_refused(api):
    with echoing() as (service, told):
        made = make_integration(
            api, service, "echo", request_mapping={"n": "$.add(input.a, input.b)"}
        )
        answer = execute(api, made, {"a": 1, "b": "x"})
    assert (answer.status_code, answer.json()["code"]) == (400, "expression_error")
    assert told["calls"] == 0


def test_answer_that_cannot_be_mapped_is_the_target_s_fault(api):
    with echoing() as (service, _):
        made = make_integration(
            api, service, "echo", response_mapping={"n": "$.add(output.got.a, output.got.b)"}
        )
        answer = execute(api, made, {"a": 1, "b": "x"})
    assert (answer.status_code, answer.json()["code"]) == (502, "service_error")


# Status


def test_failures_in_a_row_make_it_an_error_and_a_success_makes_it_well(api):
    with echoing(status=500) as (service, told):
        made = make_integration(api, service, "echo", config={"error_after": 2})
        path = f"/integrations/{made['name']}"
        assert execute(api, made, {}).status_code == 502
        assert api.get(path).json()["status"] == "ACTIVE"
        execute(api, made, {})
        failing = api.get(path).json()
        assert (failing["status"], failing["failures_in_a_row"]) == ("ERROR", 2)
        assert "500" in failing["last_error"]
        told["status"] = 200
        assert execute(api, made, {}).status_code == 200
        well = api.get(path).json()
    assert (well["status"], well["failures_in_a_row"], well["last_error"]) == ("ACTIVE", 0, "")
    assert well["last_executed_at"] is not None


def test_refused_payloads_do_not_make_it_an_error(api, project_coordinator):
    made = make_integration(api, project_coordinator, "create_project", config={"error_after": 1})
    assert execute(api, made, CHAT).status_code == 422
    assert api.get(f"/integrations/{made['name']}").json()["status"] == "ACTIVE"


@pytest.mark.parametrize("status", ["DRAFT", "INACTIVE"])
def test_only_an_active_one_is_executed(api, status):
    with echoing() as (service, told):
        made = make_integration(api, service, "echo", status=status)
        answer = execute(api, made, {})
    assert answer.status_code == 409
    assert status in answer.json()["detail"]
    assert told["calls"] == 0


def test_what_was_sent_and_answered_is_not_kept(api):
    with echoing() as (service, _):
        made = make_integration(
            api, service, "echo", request_mapping={"n": "$.add(input.a, input.b)"}
        )
        execute(api, made, {"a": 1, "b": "geheim-1234"})
        changed = {"request_mapping": None}
        assert api.patch(f"/integrations/{made['name']}", changed).status_code == 200
        execute(api, made, {"word": "geheim-1234"})
    rows = IntegrationExecution.objects.values()
    assert len(rows) == 2
    assert "geheim" not in str(list(rows))


# History


def test_history_is_filtered_and_walked_by_cursor(api):
    integration = Integration.objects.create(name="h", target="x", action="y")
    now = timezone.now()
    for number in range(5):
        IntegrationExecution.objects.create(
            integration=integration,
            status="FAILED" if number == 0 else "COMPLETED",
            started_at=now,
        )
    path = "/registry/integrations/h/executions"
    assert api.get(f"{path}?status=failed").json()["total"] == 1
    first = api.get(f"{path}?cursor=&per_page=3").json()
    second = api.get(f"{path}?cursor={first['cursor']}&per_page=3").json()
    seen = [e["id"] for e in (*first["items"], *second["items"])]
    assert len(set(seen)) == 5
    assert second["cursor"] is None


def test_history_is_bounded_by_age_and_number(settings):
    settings.INTEGRATION_HISTORY_DAYS, settings.INTEGRATION_HISTORY_MOST = 30, 3
    one, other = (
        Integration.objects.create(name=name, target="x", action="y") for name in ("a", "b")
    )
    now = timezone.now()
    for integration in (one, other):
        for _ in range(5 if integration is one else 2):
            IntegrationExecution.objects.create(
                integration=integration, status="COMPLETED", started_at=now
            )
    old = IntegrationExecution.objects.create(integration=other, status="COMPLETED", started_at=now)
    IntegrationExecution.objects.filter(pk=old.pk).update(created_at=now - timedelta(days=31))
    newest = list(one.executions.order_by("-id").values_list("pk", flat=True)[:3])
    assert forget_executions(now=now) == 3
    assert list(one.executions.order_by("-id").values_list("pk", flat=True)) == newest
    assert other.executions.count() == 2
    assert forget_executions(now=now) == 0


# Secrets


def test_secret_that_the_target_repeats_is_neither_answered_nor_kept(api):
    async def repeat(request):
        heard = request.headers["Authorization"]
        return web.json_response({"heard": heard, "error": heard}, status=told["status"])

    def build():
        application = web.Application()
        application.router.add_post("/repeat", repeat)
        return application

    told = {"status": 200}
    with serving(build) as url:
        make_credential("BEARER_TOKEN", name="crm", allowed_origins=[url])
        body = {"name": "crm", "type": "HTTP", "base_url": url, "credential": "crm"}
        assert api.post("/registry/connections", body).status_code == 201
        target = {"connection": "crm", "path": "/repeat"}
        body = {"name": "repeat", "target": target, "response_mapping": {"said": "$.output.heard"}}
        assert api.post("/integrations", body).status_code == 201
        well = api.post("/integrations/repeat/execute", {})
        told["status"] = 500
        failed = api.post("/integrations/repeat/execute", {})
    assert (well.status_code, failed.status_code) == (200, 502)
    assert well.json()["output"]["said"].endswith("***")
    kept = str([*IntegrationExecution.objects.values(), *Integration.objects.values()])
    for text in (well.content.decode(), failed.content.decode(), kept):
        assert SECRETS["BEARER_TOKEN"]["token"] not in text
