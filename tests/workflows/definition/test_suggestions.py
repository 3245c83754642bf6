"""What is misspelt: whoever says that there is no such name says which one is close."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group

from integration_site.admin_groups import create_roles
from tests import factories
from tests.support.connections import make_connection
from tests.support.credentials import make_credential
from workflows import services
from workflows.validation import validate

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _names() -> None:
    create_roles()
    factories.make_service("planner", actions=("generate",), type="PLANNING_SYSTEM")
    make_connection(name="shipping")
    make_credential("HMAC_SIGNATURE", name="shop-login")
    aim = {"service": "planner", "action": "generate"}
    body = {"name": "chat-bridge", "type": "CUSTOM", "target": aim, "status": "ACTIVE"}
    api = factories.caller()
    assert api.post("/registry/integrations", body).status_code == 201
    factories.make_workflow("report")
    made = api.post("/schedules", {"name": "nightly", "workflow": "report", "cron": "0 0 * * *"})
    assert made.status_code == 201
    Group.objects.create(name="accounting")


def step(**keys: Any) -> dict[str, Any]:
    return {"steps": [{"id": "a", "next": None, **keys}]}


@pytest.mark.parametrize(
    ("document", "path", "close"),
    [
        (step(service="planer", action="generate"), "steps[0].service", "planner"),
        (step(service="PLANNERS", action="generate"), "steps[0].service", "planner"),
        (step(service="planner", action="generates"), "steps[0].action", "generate"),
        (
            step(service_type="PLANING_SYSTEM", action="generate"),
            "steps[0].service_type",
            "PLANNING_SYSTEM",
        ),
        (step(connection="shiping", action="GET /"), "steps[0].connection", "shipping"),
        (step(integration="chat_bridge"), "steps[0].integration", "chat-bridge"),
        (step(type="WORKFLOW", workflow="reports"), "steps[0].workflow", "report"),
        (step(type="TRANSFROM", output={}), "steps[0].type", "TRANSFORM"),
        (
            step(service="planner", action="generate", retry={"backoff": "linea"}),
            "steps[0].retry.backoff",
            "LINEAR",
        ),
        (
            step(service="planner", action="generate", retry={"max_atempts": 2}),
            "steps[0].retry.max_atempts",
            "max_attempts",
        ),
        (step(type="TRANSFORM", output={}, nxt=None), "steps[0].nxt", "next"),
    ],
)
def test_definition(document: dict[str, Any], path: str, close: str) -> None:
    found = services.validate_document(document)
    assert list(found.errors) == [path]
    assert f"did you mean {close}" in found.errors[path][0]


@pytest.mark.parametrize("key", ["assignees", "escalate_to"])
def test_person_or_group_is_doubted(key: str) -> None:
    asked = {"type": "APPROVAL", "assignees": ["operator"], "due": 5, "escalate_to": ["operator"]}
    assert not services.validate_document(step(**asked)).warnings
    found = services.validate_document(step(**{**asked, key: ["acounting"]}))
    assert found.valid
    (warning,) = found.warnings
    assert warning.startswith(f"steps[0].{key}[0]: ")
    assert "did you mean accounting?" in warning


@pytest.mark.parametrize(
    ("method", "path", "body", "close"),
    [
        ("get", "/registry/services/planer", None, "planner"),
        ("get", "/registry/connections/shiping", None, "shipping"),
        ("get", "/registry/integrations/chatbridge", None, "chat-bridge"),
        ("get", "/workflows/reprot", None, "report"),
        ("post", "/workflows/reprot/execute", {}, "report"),
        ("get", "/schedules/nightl", None, "nightly"),
        ("get", "/registry/services?stauts=ONLINE", None, "status"),
        ("get", "/registry/services?ordering=nmae", None, "name"),
        ("get", "/registry/services?status=ONLIN", None, "ONLINE"),
        ("get", "/discovery/services?typ=CUSTOM", None, "type"),
        ("get", "/discovery/services?type=PLANING_SYSTEM", None, "PLANNING_SYSTEM"),
        ("get", "/discovery/services/type/PLANING_SYSTEM", None, "PLANNING_SYSTEM"),
        ("get", "/executions?stats=FAILED", None, "status"),
        ("patch", "/registry/services/planner", {"descripton": "x"}, "description"),
        ("patch", "/registry/services/planner", {"type": "PLANING_SYSTEM"}, "PLANNING_SYSTEM"),
        ("patch", "/registry/services/planner", {"limits": {"per_secnd": 1}}, "per_second"),
        ("patch", "/registry/services/planner", {"breaker": {"recovry_seconds": 1}},
         "recovery_seconds"),
        ("patch", "/registry/services/planner", {"probing": {"interval_second": 9}},
         "interval_seconds"),
        ("patch", "/schedules/nightly", {"workflow": "reprot"}, "report"),
        ("patch", "/schedules/nightly", {"overlap_policy": "SKIPP"}, "SKIP"),
        ("post", "/webhooks", {"name": "w", "workflow": "reprot", "credential": "shop-login"},
         "report"),
        ("post", "/webhooks", {"name": "w", "workflow": "report", "credential": "shoplogin"},
         "shop-login"),
    ],
)  # fmt: skip
def test_api(method: str, path: str, body: Any, close: str) -> None:
    api = factories.caller()
    answer = api.get(path) if method == "get" else getattr(api, method)(path, body)
    assert answer.status_code in (400, 404), answer.content
    assert f"did you mean {close}" in answer.content.decode()


# --- One mistake is one error ---

A = {"id": "a", "type": "TRANSFORM", "output": {"n": 1}, "next": "b"}
B = {"id": "b", "type": "TRANSFORM", "output": {"n": "$.steps.a.output.n"}, "next": "c"}
C = {"id": "c", "type": "TRANSFORM", "output": {"n": "$.steps.b.output.n"}, "next": "d"}
D = {"id": "d", "type": "TRANSFORM", "output": {"n": "$.steps.c.output.n"}, "next": None}
OUT = {"n": "$.steps.d.output.n"}


@pytest.mark.parametrize(
    ("steps", "path"),
    [
        ([{**A, "next": "bb"}, B, C, D], "steps[0].next"),
        ([A, {**B, "next": "cc"}, C, D], "steps[1].next"),
        ([A, {**B, "next": 5}, C, D], "steps[1].next"),
        ([A, {**B, "next": [{"when": "input.x", "step": "cc"}]}, C, D], "steps[1].next[0].step"),
        ([{**A, "next": None, "fallback": {"step": "bb"}}, B, C, D], "steps[0].fallback"),
        ([{**A, "next": None}, B, C, D], "steps[1]"),
        ([A, B, {**C, "tpye": "WAIT"}, D], "steps[2].tpye"),
    ],
)
def test_what_follows_from_one_mistake_is_not_told_as_others(
    steps: list[dict[str, Any]], path: str
) -> None:
    output = {} if path == "steps[1]" else {"output": OUT}
    assert list(validate({"steps": steps, **output}, directory=None).errors) == [path]
