"""The OpenAPI document and its page."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import drf_spectacular.validation
import jsonschema_rs
import pytest
import yaml
from django.core.management import call_command
from django.test import Client
from rest_framework.test import APIClient

from tests import factories
from workflows.catalog import install_catalog

pytestmark = [pytest.mark.django_db, pytest.mark.once]


@pytest.fixture(scope="module")
def document(django_db_setup: None) -> dict[str, Any]:
    answer = Client().get("/schema", headers={"Accept": "application/vnd.oai.openapi"})
    assert answer.status_code == 200
    return yaml.safe_load(answer.content)


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(m, p, o) for p, methods in document["paths"].items() for m, o in methods.items()]


@pytest.mark.parametrize("urlconf", ["integration_site.api.urls", "integration_site.urls"])
def test_the_document_is_made_without_a_warning_and_is_valid(urlconf: str, tmp_path: Any) -> None:
    file = tmp_path / "schema.json"
    options = {"format": "openapi-json", "fail_on_warn": True}
    call_command("spectacular", urlconf=urlconf, file=str(file), **options)
    # As `validate=True` does it, by the library that takes a tenth of the time.
    standard = Path(drf_spectacular.validation.__file__).with_name("openapi_3_1_schema.json")
    jsonschema_rs.validator_for(json.loads(standard.read_text())).validate(
        json.loads(file.read_text())
    )


def test_it_is_openapi_3_1_and_needs_no_key(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    for path in ("/schema", "/api/schema/", "/schema?format=json"):
        assert Client().get(path).status_code == 200


def test_every_operation_says_what_it_does_and_what_it_answers(document: dict[str, Any]) -> None:
    seen = set()
    for method, path, operation in operations(document):
        assert operation["operationId"] not in seen
        seen.add(operation["operationId"])
        assert len(operation["summary"]) > 10, path
        assert operation["description"]
        assert operation["tags"] in (
            ["registry"], ["services"], ["discovery"], ["workflows"], ["executions"],
            ["schedules"], ["health"], ["integrations"], ["webhooks"], ["keys"], ["audit"],
            ["events"], ["monitoring"], ["v1"], ["models"],
            ["usage"], ["performance"], ["generate"], ["chat"], ["embeddings"], ["manifests"],
        ), path  # fmt: skip
        good = [status for status in operation["responses"] if status.startswith("2")]
        for status in good:
            assert status == "204" or "content" in operation["responses"][status], path
        problem = operation["responses"]["default"]["content"]["application/problem+json"]
        assert problem["schema"] == {"$ref": "#/components/schemas/Problem"}
        needs_no_key = path.startswith("/webhooks/") and method == "post"
        if path not in ("/health/alive", "/health/ready") and not needs_no_key:
            assert "Needs the scope `" in operation["description"], (method, path)


DOCUMENTED = """
    POST /registry/services
    DELETE /registry/services/{id}
    GET /registry/services/{id}
    POST /registry/services/{id}/heartbeat
    PUT /registry/services/{id}/status
    GET /discovery/services
    POST /discovery/services/search
    GET /discovery/services/type/{service_type}
    GET /discovery/health/{id}
    GET /events
    POST /workflows/execute
    POST /workflows/agent-task-execution
    POST /workflows/project-planning
    GET /health/system
    GET /health/ready
    GET /health/alive
"""


@pytest.mark.parametrize("line", [line.strip() for line in DOCUMENTED.strip().splitlines()])
def test_every_endpoint_of_the_specification_is_there(document: dict[str, Any], line: str) -> None:
    method, path = line.split()
    assert method.lower() in document["paths"][path]


def test_other_names_and_closed_bodies_are_documented(document: dict[str, Any]) -> None:
    body = document["components"]["schemas"]["ServiceInputRequest"]
    assert body["additionalProperties"] is False
    assert {"endpoint", "base_url", "capabilities", "service_type"} <= set(body["properties"])
    assert body["required"] == ["name"]


def test_lists_document_their_filters_and_ordering(document: dict[str, Any]) -> None:
    names = {p["name"] for p in document["paths"]["/executions"]["get"]["parameters"]}
    assert names == {
        "status", "type", "workflow", "correlation_id", "created_after", "created_before",
        "search", "ordering", "page", "per_page", "cursor", "include",
    }  # fmt: skip


def schema_of(document: dict[str, Any], method: str, path: str, status: int) -> Any:
    response = document["paths"][path][method.lower()]["responses"][str(status)]
    schema = response["content"]["application/json"]["schema"]
    return jsonschema_rs.validator_for({**schema, "components": document["components"]})


SHOUT = {"id": "shout", "number": 1}


def test_answers_are_as_documented(document: dict[str, Any]) -> None:
    install_catalog()
    api: Any = factories.caller()
    service = factories.make_service("a", urls=("http://a",), actions=("x",), tags=["t"])
    factories.make_service("empty")
    workflow = factories.make_workflow("shout")
    execution = factories.make_execution(workflow, status="FAILED", errors=[{"code": "X"}])
    factories.make_execution(workflow, status="COMPLETED", output={"text": "A"})
    calls: list[tuple[str, str, dict[str, Any], Any]] = [
        ("GET", "/registry/services", {}, None),
        ("POST", "/registry/services", {}, {"name": "b", "url": "http://b"}),
        ("GET", "/registry/services/{id}", {"id": "a"}, None),
        ("PATCH", "/registry/services/{id}", {"id": "a"}, {"version": "2"}),
        ("POST", "/registry/services/{id}/heartbeat", {"id": "a"}, {}),
        ("PUT", "/registry/services/{id}/status", {"id": "a"}, {"status": "degraded"}),
        ("GET", "/registry/services/{id}/health", {"id": service.pk}, None),
        ("GET", "/registry/services/{id}/instances", {"id": "a"}, None),
        ("POST", "/registry/services/{id}/instances", {"id": "a"}, {"url": "http://c"}),
        ("GET", "/discovery/services", {}, None),
        ("POST", "/discovery/services/search", {}, {"include_offline": True}),
        ("GET", "/discovery/services/type/{service_type}", {"service_type": "custom"}, None),
        ("GET", "/discovery/health/{id}", {"id": "empty"}, None),
        ("GET", "/discovery/watch", {}, None),
        ("GET", "/workflows", {}, None),
        ("POST", "/workflows", {}, {"name": "n", "steps": factories.SIMPLE_STEPS, "timeout": 9}),
        ("GET", "/workflows/{id}", {"id": "n"}, None),
        ("PUT", "/workflows/{id}", {"id": "shout"}, {"description": "x"}),
        ("POST", "/workflows/validate", {}, {"steps": [{"id": "x", "next": "y"}]}),
        ("GET", "/workflows/{id}/versions", {"id": "shout"}, None),
        ("POST", "/workflows/{id}/versions/{number}/activate", SHOUT, None),
        ("POST", "/workflows/{id}/execute", {"id": "shout"}, {}),
        ("POST", "/workflows/{id}/versions/{number}/retire", SHOUT, {"reason": "Old."}),
        ("POST", "/workflows/{id}/versions/{number}/reinstate", SHOUT, {"reason": "New."}),
        ("POST", "/workflows/execute", {}, {"workflow": "shout", "options": {"wait": 0}}),
        ("GET", "/workflows/{id}/executions", {"id": "shout"}, None),
        ("GET", "/executions", {}, None),
        ("GET", "/executions/{id}", {"id": execution.pk}, None),
        ("GET", "/executions/{id}/steps", {"id": execution.pk}, None),
        ("GET", "/executions/{id}/events", {"id": execution.pk}, None),
        ("POST", "/executions/{id}/cancel", {"id": api_started(api)}, {}),
        ("GET", "/health/alive", {}, None),
        ("GET", "/health/system", {}, None),
    ]
    for method, path, parameters, body in calls:
        answer = api.generic(method, path.format(**parameters), _encode(body), "application/json")
        assert answer.status_code < 300, (method, path, answer.content)
        validator = schema_of(document, method, path, answer.status_code)
        problems = [f"{e.instance_path}: {e.message}" for e in validator.iter_errors(answer.json())]
        assert not problems, (method, path, problems)


def api_started(api: APIClient) -> str:
    return api.post("/workflows/shout/execute", {}).json()["id"]


def _encode(body: Any) -> bytes:
    return b"" if body is None else json.dumps(body).encode()


def test_answers_have_no_undocumented_fields(document: dict[str, Any]) -> None:
    api = factories.caller()
    service = factories.make_service("a", urls=("http://a",), actions=("x",))
    execution = factories.make_execution()
    components = document["components"]
    for path, name in (
        (f"/registry/services/{service.pk}", "Service"),
        (f"/registry/services/{service.pk}/health", "ServiceHealthAnswer"),
        (f"/workflows/{execution.workflow_id}", "Workflow"),
        (f"/executions/{execution.pk}", "ExecutionDetail"),
        ("/health/system", "SystemAnswer"),
        ("/discovery/watch", "WatchAnswer"),
    ):
        answer = set(api.get(path).json())
        assert answer <= set(components["schemas"][name]["properties"]), path


class Assets(HTMLParser):
    """Collects what a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "img", "link", "iframe"):
            self.found += [v for v in (given.get("src"), given.get("href")) if v]


@pytest.mark.parametrize("path", ["/docs", "/api/docs/"])
def test_the_documentation_loads_only_what_is_here(path: str) -> None:
    answer = Client().get(path)
    assert answer.status_code == 200
    page = answer.content.decode()
    assets = Assets()
    assets.feed(page)
    assert len(assets.found) >= 3
    assert all(re.match(r"/(?!/)", asset) or asset.startswith("data:") for asset in assets.found)
    assert "cdn" not in page.lower()
    scripts = [asset for asset in assets.found if asset.split("?")[0].endswith(("/", "docs"))]
    for script in scripts:
        assert "https://" not in Client().get(script).content.decode()
