"""The registry over REST."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rest_framework.test import APIClient

from core.exceptions import SchemaViolation
from registry import services
from registry.calls.client import CallResult
from registry.exceptions import (
    CircuitOpenError,
    ServiceNotFoundError,
    ServiceResponseError,
    ServiceTimeoutError,
    ServiceUnavailableError,
)
from registry.models import Service, ServiceAction, ServiceInstance
from registry.services import Heartbeat
from tests import factories
from tests.support.futures import in_future

pytestmark = pytest.mark.django_db

PLANNER = {
    "name": "planner",
    "type": "planning_system",
    "url": "http://planner:8000",
    "health_url": "http://planner:8000/health",
    "metadata": {"version": "1.0.0"},
}


def test_the_registration_of_the_workflow_guide(api: APIClient) -> None:
    answer = api.post("/registry/services", PLANNER)
    assert answer.status_code == 201
    body = answer.json()
    assert set(body) >= {
        "id", "name", "type", "description", "version", "url", "endpoint", "health_url", "status",
        "criticality", "tags", "metadata", "owner", "actions", "instances", "last_heartbeat",
        "registered_at", "created_at", "updated_at",
    }  # fmt: skip
    assert body["type"] == "PLANNING_SYSTEM"
    assert body["status"] == "ONLINE"
    assert body["version"] == "1.0.0"
    assert body["url"] == body["endpoint"] == "http://planner:8000"
    assert datetime.fromisoformat(body["registered_at"]).utcoffset() is not None
    assert api.post("/registry/services", PLANNER).status_code == 200


def test_other_names_of_the_fields_are_taken(api: APIClient) -> None:
    for number, url_name in enumerate(("endpoint", "base_url")):
        body = {
            "name": f"s{number}",
            url_name: "http://s:1",
            "service_type": "Custom",
            "health_check_url": "http://s:1/h",
            "capabilities": ["ocr"],
        }
        answer = api.post("/services", body).json()
        assert (answer["url"], answer["type"]) == ("http://s:1", "CUSTOM")
        assert (answer["health_url"], answer["tags"]) == ("http://s:1/h", ["ocr"])


def test_two_names_of_one_field_must_agree(api: APIClient) -> None:
    same = {"name": "a", "url": "http://a", "endpoint": "http://a"}
    assert api.post("/services", same).status_code == 201
    answer = api.post("/services", {**same, "endpoint": "http://b"})
    assert answer.status_code == 400
    assert answer.json()["errors"] == {
        "endpoint": ["This is another name of 'url', which has another value."]
    }


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize("end", ["", "/"])
@pytest.mark.parametrize("resource", ["/registry/services", "/services"])
def test_every_path_answers_with_and_without_prefix_and_slash(
    api: APIClient, prefix: str, end: str, resource: str
) -> None:
    base = f"{prefix}{resource}"
    assert api.post(f"{base}{end}", PLANNER).status_code == 201
    one = f"{base}/planner"
    for method, path, body, status in (
        ("get", f"{base}{end}", None, 200),
        ("get", f"{one}{end}", None, 200),
        ("put", f"{one}{end}", {"description": "x"}, 200),
        ("patch", f"{one}{end}", {"description": "x"}, 200),
        ("post", f"{one}/heartbeat{end}", {}, 200),
        ("put", f"{one}/status{end}", {"status": "degraded"}, 200),
        ("get", f"{one}/health{end}", None, 200),
        ("get", f"{one}/instances{end}", None, 200),
        ("post", f"{one}/instances{end}", {"url": "http://b"}, 201),
        ("delete", f"{one}{end}", None, 204),
        ("get", f"{one}{end}", None, 404),
    ):
        answer = getattr(api, method)(path, body)
        assert answer.status_code == status, (method, path, answer.content)


def test_a_service_is_named_by_id_or_by_name_in_any_case(api: APIClient) -> None:
    service = factories.make_service("Text Extraction")
    for reference in (service.pk, service.pk.hex, "Text%20Extraction", "text extraction"):
        assert api.get(f"/registry/services/{reference}").json()["id"] == str(service.pk)


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        ({}, "name", "required"),
        ({"name": ""}, "name", "blank"),
        ({"name": "a", "type": "PLANING"}, "type", "Use one of: AGENT_ORCHESTRATOR, MODEL_"),
        ({"name": "a", "type": None}, "type", "null"),
        ({"name": "a", "type": 5}, "type", "5 is not allowed"),
        ({"name": "a", "type": ["CUSTOM"]}, "type", "is not allowed"),
        ({"name": "a", "status": "up"}, "status", "ONLINE, DEGRADED, OFFLINE, MAINTENANCE"),
        ({"name": "a", "urll": "x"}, "urll", "did you mean url"),
        ({"name": "a", "url": "x"}, "url", "http or https URL"),
        ({"name": "a", "tags": {"a": 1}}, "tags", "list"),
        ({"name": "a", "tags": ["b", 5.5, {}]}, "tags[2]", "valid string"),
        ({"name": "a", "metadata": [1]}, "metadata", "JSON object"),
        ({"name": "a", "ttl_seconds": 1}, "ttl_seconds", "greater than or equal to 3"),
        ({"name": "a", "weight": 10**40}, "weight", "less than or equal to 1000"),
        ({"name": "a" * 101}, "name", "100 characters"),
        ({"name": "a", "actions": [{"name": "b", "method": "BREW"}]}, "actions[0].method", "GET"),
        ({"name": "a", "actions": [{"name": "b", "output_schema": {"type": 1}}]},
         "actions[0].output_schema", "JSON Schema"),
        ({"name": "a", "actions": [{"name": f"a{n}"} for n in range(501)]}, "actions", "500"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_its_path(
    api: APIClient, body: dict[str, Any], path: str, words: str
) -> None:
    answer = api.post("/registry/services", body)
    assert answer.status_code == 400, answer.content
    problem = answer.json()
    assert words in " ".join(problem["errors"][path])
    assert problem["code"] == "validation_error"
    assert not Service.objects.exists()


@pytest.mark.parametrize("method", ["put", "patch"])
def test_changes_keep_what_they_do_not_give(api: APIClient, method: str) -> None:
    api.post("/registry/services", {**PLANNER, "tags": ["a"], "actions": ["plan"]})
    body = getattr(api, method)("/registry/services/planner", {"description": "Plans"}).json()
    assert (body["description"], body["tags"]) == ("Plans", ["a"])
    assert [action["name"] for action in body["actions"]] == ["plan"]
    changed = getattr(api, method)("/registry/services/planner", {"name": "planner-2"})
    assert changed.json()["name"] == "planner-2"


def test_a_change_holds_to_if_match(api: APIClient) -> None:
    api.post("/registry/services", PLANNER)
    path = "/registry/services/planner"
    tag = api.get(path)["ETag"]
    changed = api.patch(path, {"description": "1"}, HTTP_IF_MATCH=tag)
    assert changed.status_code == 200
    stale = api.patch(path, {"description": "2"}, HTTP_IF_MATCH=tag)
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    assert api.delete(path, HTTP_IF_MATCH=tag).status_code == 412
    assert api.post(f"{path}/instances", {"url": "http://b"}).status_code == 201
    assert api.delete(path, HTTP_IF_MATCH=changed["ETag"]).status_code == 412
    for still in (f'"other", {api.get(path)["ETag"]}', "*"):
        assert api.patch(path, {"description": "3"}, HTTP_IF_MATCH=still).status_code == 200


def test_a_taken_name_is_a_conflict(api: APIClient) -> None:
    factories.make_service("a")
    factories.make_service("b")
    answer = api.patch("/registry/services/a", {"name": "B"})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_heartbeats_over_rest(api: APIClient) -> None:
    api.post("/registry/services", PLANNER)
    path = "/registry/services/planner/heartbeat"
    assert api.post(path).json()["status"] == "ONLINE"
    assert api.post(path, {"status": "degraded"}).json()["status"] == "DEGRADED"
    api.post("/registry/services", {**PLANNER, "url": "http://planner-2"})
    answer = api.post(path)
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == ["url"]
    assert api.post(path, {"endpoint": "http://planner-2"}).status_code == 200
    assert api.post(path, {"instance_id": "nonsense"}).status_code == 404
    assert api.post("/registry/services/other/heartbeat").status_code == 404


def _as_admin(path: str, **fields: Any) -> None:
    """Post a page of the admin with these fields changed."""
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    shown = client.get(path).context["adminform"].form
    values = {n: f.prepare_value(shown.initial.get(n)) for n, f in shown.fields.items()}
    posted = {name: value for name, value in {**values, **fields}.items() if value is not None}
    assert client.post(path, posted).status_code == 302


def _action_page() -> str:
    action = ServiceAction.objects.get(name="plan")
    return reverse("admin:registry_serviceaction_change", args=(action.pk,))


def _instance_page() -> str:
    return reverse(
        "admin:registry_serviceinstance_change", args=(ServiceInstance.objects.get().pk,)
    )


ONE = "/registry/services/planner"
CHANGES: dict[str, Callable[[APIClient], Any]] = {
    "maintenance": lambda api: api.put(f"{ONE}/status", {"status": "maintenance"}),
    "description": lambda api: api.patch(ONE, {"description": "new"}),
    "tags": lambda api: api.patch(ONE, {"tags": ["new"]}),
    "actions": lambda api: api.patch(ONE, {"actions": ["other"]}),
    "action in the admin": lambda _: _as_admin(_action_page(), description="new"),
    "instance in the admin": lambda _: _as_admin(_instance_page(), zone="new"),
    "moved": lambda api: api.patch(ONE, {"url": "http://moved"}),
    "weight": lambda api: api.patch(ONE, {"weight": 7}),
    "registered again": lambda api: api.post("/registry/services", {**PLANNER, "version": "2"}),
    "owner": lambda _: Service.objects.update(owner="somebody"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_answer_to_a_beat_has_what_was_changed_before_it(
    api: APIClient, change: str, settings: Any
) -> None:
    api.post("/registry/services", {**PLANNER, "actions": ["plan"]})
    for _ in range(2):
        before = api.post(f"{ONE}/heartbeat").json()
    CHANGES[change](api)
    answered = api.post(f"{ONE}/heartbeat").json()
    assert answered == api.get(ONE).json()
    assert {**answered, "instances": []} != {**before, "instances": []}


def test_a_beat_goes_to_who_has_the_name_now(api: APIClient) -> None:
    owners = factories.caller("SERVICE"), factories.caller("SERVICE")
    first = owners[0].post("/registry/services", {"name": "ra", "url": "http://a"}).json()
    assert owners[0].post("/registry/services/ra/heartbeat").status_code == 200
    api.patch("/registry/services/ra", {"name": "rb"})
    second = owners[1].post("/registry/services", {"name": "ra", "url": "http://b"}).json()
    answered = owners[1].post("/registry/services/ra/heartbeat")
    assert (answered.status_code, answered.json()["id"]) == (200, second["id"])
    assert owners[0].post("/registry/services/ra/heartbeat").status_code == 403
    assert owners[0].post("/registry/services/rb/heartbeat").json()["id"] == first["id"]
    api.delete("/registry/services/rb")
    assert owners[0].post("/registry/services/rb/heartbeat").status_code == 404


def test_a_beat_is_a_query_that_joins_and_an_update(api: APIClient) -> None:
    api.post("/registry/services", {**PLANNER, "actions": ["plan"]})
    for number in range(5):
        api.post(f"{ONE}/instances", {"url": f"http://more-{number}"})
    for said in ({"load": 1}, {"load": 2}):
        beat = Heartbeat(url="http://planner:8000", metadata=said)
        services.beat_service("planner", beat)
    with CaptureQueriesContext(connection) as queries:
        services.beat_service("planner", beat)
    first, second = (query["sql"] for query in queries)
    assert first.startswith("SELECT") and "UPDATE service_instance SET" in second.replace('"', "")


def test_the_status_comes_in_the_body_or_the_query(api: APIClient) -> None:
    api.post("/registry/services", PLANNER)
    path = "/registry/services/planner/status"
    assert api.put(path, {"status": "maintenance"}).json()["status"] == "MAINTENANCE"
    assert api.put(f"{path}?status=Active").json()["status"] == "ONLINE"
    assert "Use one of" in api.put(f"{path}?status=x").json()["detail"]
    assert list(api.put(path).json()["errors"]) == ["status"]


def test_instances_are_listed_added_refreshed_and_removed(api: APIClient) -> None:
    api.post("/registry/services", PLANNER)
    path = "/registry/services/planner/instances"
    assert api.post(path, {"url": "http://b", "status": "maintenance"}).status_code == 201
    assert api.post(path, {"endpoint": "http://b", "weight": 5}).status_code == 200
    listed = api.get(path).json()
    assert [(i["url"], i["weight"]) for i in listed["items"]] == [
        ("http://b", 5),
        ("http://planner:8000", 100),
    ]
    one = f"{path}/{listed['items'][0]['id']}"
    assert api.delete(one).status_code == 204
    assert api.delete(one).status_code == 404
    assert api.get(f"{path}?zone=x").status_code == 400


def test_health_of_a_service(api: APIClient) -> None:
    api.post("/registry/services", PLANNER)
    body = api.get("/registry/services/planner/health").json()
    assert (body["status"], body["healthy"]) == ("ONLINE", True)
    assert body["last_heartbeat"]
    assert api.get("/registry/services/planner/health?probe=maybe").status_code == 400


# --- Lists ---


@pytest.fixture
def fleet() -> None:
    for name, kind, status in (
        ("alpha", "CUSTOM", "ONLINE"),
        ("beta", "CUSTOM", "OFFLINE"),
        ("gamma", "PLANNING_SYSTEM", "ONLINE"),
    ):
        factories.make_service(
            name, type=kind, status=status, tags=[kind.lower()], urls=(f"http://{name}",),
            actions=(f"do-{name}",), instance={"zone": name}, description=f"The {name} service",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["alpha", "beta", "gamma"]),
        ("status=online", ["alpha", "gamma"]),
        ("status=online,offline", ["alpha", "beta", "gamma"]),
        ("status=Inactive", ["beta"]),
        ("type=planning_system", ["gamma"]),
        ("type=custom&status=ONLINE", ["alpha"]),
        ("name=ALPHA", ["alpha"]),
        ("tag=custom", ["alpha", "beta"]),
        ("action=do-beta", ["beta"]),
        ("zone=gamma", ["gamma"]),
        ("search=THE%20B", ["beta"]),
        ("search=%25", []),
        ("ordering=-name", ["gamma", "beta", "alpha"]),
        ("ordering=type,-name", ["beta", "alpha", "gamma"]),
        ("per_page=2", ["alpha", "beta"]),
        ("per_page=2&page=2", ["gamma"]),
        ("page=7", []),
    ],
)
def test_lists_are_filtered_ordered_and_paged(
    api: APIClient, fleet: None, query: str, names: list[str]
) -> None:
    body = api.get(f"/registry/services?{query}").json()
    assert [item["name"] for item in body["items"]] == names


@pytest.mark.parametrize(
    ("query", "path", "words"),
    [
        ("status=up", "status", "Use one of: ONLINE, DEGRADED"),
        ("status=online,", "status", "Use one of"),
        ("type=PLANING", "type", "PLANNING_SYSTEM"),
        ("colour=red", "colour", "Use: action, capability, name, ordering, page, per_page, search"),
        ("ordering=password", "ordering", "Order by one of: name"),
        ("ordering=name,,", "ordering", "Order by one of"),
        ("page=0", "page", "whole number"),
        ("page=-1", "page", "whole number"),
        ("page=abc", "page", "whole number"),
        ("page=1.5", "page", "whole number"),
        ("page=%D9%A1", "page", "whole number"),
        ("page=99999999999999999999999", "page", "whole number"),
        ("per_page=0", "per_page", "whole number"),
        ("per_page=0000001" + "9" * 30, "per_page", "whole number"),
        ("name=%00", "name", "Null characters"),
        ("search=" + "x" * 300, "search", "200"),
    ],
)
def test_lists_refuse_what_they_do_not_know(
    api: APIClient, query: str, path: str, words: str
) -> None:
    answer = api.get(f"/registry/services?{query}")
    assert answer.status_code == 400, answer.content
    assert words in answer.json()["errors"][path][0]


def test_the_shape_of_a_page(api: APIClient, fleet: None) -> None:
    body = api.get("/api/registry/services/?per_page=1&page=2&type=custom").json()
    links = {name: body.pop(name) for name in ("next", "previous")}
    assert len(body.pop("items")) == 1
    assert body == {"total": 2, "page": 2, "per_page": 1, "pages": 2}
    assert links["next"] is None
    assert links["previous"].startswith("http://testserver/api/registry/services/?")
    assert api.get(links["previous"]).json()["page"] == 1
    past = api.get("/registry/services?page=9&per_page=1").json()
    assert (past["items"], past["total"], past["pages"], past["next"]) == ([], 3, 3, None)
    assert past["previous"].endswith("page=3&per_page=1")
    assert api.get("/registry/services?per_page=5000").json()["per_page"] == 200
    assert api.get("/registry/services").json()["per_page"] == 10


def count_queries(api: APIClient, path: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert api.get(path).status_code == 200
    return len(queries)


@pytest.mark.parametrize(
    "path",
    [
        "/registry/services?per_page=50",
        "/discovery/services?per_page=50",
        "/discovery/services?per_page=50&minimum_version=0.1",
        "/registry/services/s0/instances?per_page=50",
        "/registry/services/s0",
        "/health/system",
    ],
)
@pytest.mark.usefixtures("keys_stay_known")
def test_lists_cost_the_same_with_2_and_30_rows(api: APIClient, path: str) -> None:
    def grow(numbers: range) -> None:
        for number in numbers:
            service = factories.make_service(
                f"s{number}", urls=("http://a", "http://b"), actions=("x", "y"), version="1"
            )
            factories.make_instance(Service.objects.get(name="s0"), f"http://more{number}")
            assert service

    grow(range(2))
    api.get(path)  # the key was used: what follows does not note it again
    few = count_queries(api, path)
    grow(range(2, 30))
    assert count_queries(api, path) <= few + 2  # all that are new, whole, and their actions
    assert count_queries(api, path) == few


# --- Who may ---


def test_a_service_key_changes_only_what_it_registered() -> None:
    own, other = factories.caller("SERVICE"), factories.caller("SERVICE")
    assert own.post("/registry/services", PLANNER).status_code == 201
    one = "/registry/services/planner"
    instance = ServiceInstance.objects.get().pk
    for method, path, body in (
        ("post", "/registry/services", PLANNER),
        ("patch", one, {"description": "x"}),
        ("put", one, {"description": "x"}),
        ("post", f"{one}/heartbeat", {}),
        ("put", f"{one}/status", {"status": "online"}),
        ("post", f"{one}/instances", {"url": "http://b"}),
        ("delete", f"{one}/instances/{instance}", None),
        ("delete", one, None),
    ):
        refused = getattr(other, method)(path, body)
        assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied"), path
        assert "belongs to another owner" in refused.json()["detail"]
    assert other.get(one).status_code == 200
    assert own.post(f"{one}/heartbeat").status_code == 200
    assert factories.caller("OPERATOR").delete(one).status_code == 204


@pytest.mark.parametrize("role", ["VIEWER", "AUDITOR", "SECRET_ADMIN", "WORKFLOW_EDITOR"])
def test_other_roles_only_read(role: str) -> None:
    factories.make_service("planner", urls=("http://p",))
    client = factories.caller(role)
    assert client.get("/registry/services").status_code == 200
    answer = client.post("/registry/services", PLANNER)
    assert answer.status_code == 403
    assert "registry:register or registry:write" in answer.json()["detail"]
    assert client.post("/registry/services/planner/heartbeat").status_code == 403


# --- Calling an action ---

EXECUTE = "/registry/services/planner/actions/plan/execute"


def test_an_action_is_called_with_its_input_and_headers(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []

    def call(target: Any, action: str, document: Any, **options: Any) -> CallResult:
        calls.append((target.name, action, document, options))
        return CallResult({"plan": 1}, {}, "planner", "http://planner:8000", 200)

    monkeypatch.setattr("registry.api.services.begin_call", in_future(call))
    factories.make_service("planner", actions=("plan",))
    body = {"input_data": {"a": 1}, "context": {"correlation_id": "c-1"}, "timeout": 5}
    answer = api.post(EXECUTE, body, HTTP_IDEMPOTENCY_KEY="k", HTTP_X_REQUEST_ID="r-1")
    assert answer.json() == {"plan": 1}
    assert answer["X-Service-Instance"] == "http://planner:8000"
    ((name, action, document, options),) = calls
    assert (name, action, document) == ("planner", "plan", {"a": 1})
    assert options["timeout_seconds"] == 5
    headers = options["headers"]
    assert headers["X-Correlation-ID"] == "c-1"
    assert headers["X-Request-ID"] == "r-1"


def test_a_service_is_sent_another_key_of_each_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []

    def call(*_: Any, headers: Any, **__: Any) -> CallResult:
        sent.append(headers["Idempotency-Key"])
        raise ServiceUnavailableError("down")  # which is not remembered: it may be sent again

    monkeypatch.setattr("registry.api.services.begin_call", in_future(call))
    factories.make_service("planner", actions=("plan",))
    one, other = factories.caller(), factories.caller()
    for caller in (one, other, one):
        caller.post(EXECUTE, {"input_data": {}}, HTTP_IDEMPOTENCY_KEY="k")
    assert sent[0] == sent[2] != sent[1]
    assert "k" not in sent


@pytest.mark.parametrize(
    ("error", "status", "code", "retry_after"),
    [
        (SchemaViolation("no", errors={"a": ["is missing"]}), 422, "schema_violation", None),
        (ServiceNotFoundError("No service"), 404, "not_found", None),
        (ServiceResponseError("said 500", upstream_status=500), 502, "service_error", None),
        (ServiceUnavailableError("down", retry_after=1.2), 503, "service_unavailable", "2"),
        (CircuitOpenError("open", retry_after=30), 503, "circuit_open", "30"),
        (ServiceTimeoutError("late"), 504, "service_timeout", None),
    ],
)
def test_failed_calls_have_their_code(
    api: APIClient, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str,
    retry_after: str | None,
) -> None:  # fmt: skip
    def call(*args: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr("registry.api.services.begin_call", in_future(call))
    factories.make_service("planner", actions=("plan",))
    answer = api.post(EXECUTE)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers.get("Retry-After") == retry_after
    assert answer["Content-Type"] == "application/problem+json"


def test_actions_of_unknown_services_are_not_found(api: APIClient) -> None:
    assert api.post(EXECUTE).status_code == 404
