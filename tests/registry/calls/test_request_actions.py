"""A method and a path of a service are called without a registered action."""

from __future__ import annotations

import pytest

from core.exceptions import SchemaViolation
from registry.calls.request import prepare_request
from registry.calls.targets.request_action import request_in
from registry.calls.targets.resolver import CallTarget, resolve
from registry.exceptions import ServiceNotFoundError
from registry.models import Service, ServiceAction
from tests import factories
from tests.support.credentials import make_credential
from workflows.definition import read

ACTION = "GET /projects/{project_id}"


def _document(action: str) -> dict[str, object]:
    return {"steps": [{"id": "read", "service": "projects", "action": action, "next": None}]}


@pytest.mark.parametrize(
    ("written", "recorded"),
    [
        (ACTION, ACTION),
        ("get   /projects", "GET /projects"),
        ("/projects", "POST /projects"),
        ("get_project", "get_project"),
    ],
)
def test_a_step_says_a_request_or_a_name(written: str, recorded: str) -> None:
    reading = read(_document(written))
    assert not reading.errors
    assert reading.definition is not None
    assert reading.definition.steps["read"].action == recorded


@pytest.mark.parametrize(
    "written",
    ["GET projects/1", "FETCH /x", "GET /a/../b", "GET /a/%2e%2e/b", "GET //x", "GET /a?b=c",
     "GET /a b", "GET /" + "x" * 100, "a/b"],
)  # fmt: skip
def test_a_path_that_leads_elsewhere_is_refused(written: str) -> None:
    assert "steps[0].action" in read(_document(written)).errors


def test_a_name_is_no_request() -> None:
    assert request_in("get_project") is None
    assert request_in(ACTION) == ("GET", "/projects/{project_id}")


@pytest.fixture
def service(db: None) -> Service:
    service = factories.make_service(
        "projects", urls=("http://127.0.0.1:9/base",), type="PROJECT_COORDINATOR"
    )
    service.credential = make_credential("API_KEY", name="secret")
    service.save()
    return service


@pytest.mark.parametrize(
    "target",
    [CallTarget("service", "projects"), CallTarget("service_type", "PROJECT_COORDINATOR")],
)
def test_a_request_that_is_not_registered_carries_no_credential(
    service: Service, target: CallTarget
) -> None:
    resolved = resolve(target, ACTION)
    assert (resolved.method, resolved.path) == ("GET", "/projects/{project_id}")
    assert resolved.credential is None
    assert resolved.idempotent
    assert not resolve(target, "POST /projects").idempotent
    sent = prepare_request(resolved, url="http://127.0.0.1:9/base", document={"project_id": "7"})
    assert sent.url == "http://127.0.0.1:9/base/projects/7"
    with pytest.raises(SchemaViolation):
        prepare_request(resolved, url="http://127.0.0.1:9", document={"project_id": ".."})


def test_a_request_that_is_registered_is_its_action(service: Service) -> None:
    ServiceAction.objects.create(
        service=service, name="get_project", method="GET", path="/projects/{id}",
        timeout_seconds=7,
    )  # fmt: skip
    resolved = resolve(CallTarget("service", "projects"), ACTION)
    assert (resolved.action, resolved.timeout_seconds) == ("get_project", 7)
    assert resolved.path == "/projects/{project_id}"
    assert resolved.credential is not None
    assert resolve(CallTarget("service", "projects"), "GET /projects/7").credential is None
    ServiceAction.objects.update(input_schema={"required": ["id"]})
    assert resolve(CallTarget("service", "projects"), ACTION).credential is None


def test_a_type_without_services_has_nobody_to_ask(db: None) -> None:
    with pytest.raises(ServiceNotFoundError, match="No service of type API_GATEWAY found"):
        resolve(CallTarget("service_type", "API_GATEWAY"), ACTION)
