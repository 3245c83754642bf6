"""A version uses the credentials that it was granted, whatever became of its parts since."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps

from core.models import AuditEntry
from registry.calls.client import ServiceClient
from registry.models import Connection
from tests import factories
from tests.support.connections import WebServer, make_connection
from tests.support.credentials import make_credential, serving
from tests.support.engine import ended, running_engine
from workflows import services
from workflows.definition import parse
from workflows.models import CredentialGrant, Workflow, WorkflowExecution
from workflows.validation.credential_calls import fingerprints_of

pytestmark = pytest.mark.once
SECRET = "Bearer bearer-0123456789"


# --- What is the same in two versions (pure) ---

Steps = list[dict[str, Any]]
PAY: dict[str, Any] = {
    "id": "pay", "connection": "shop", "action": "POST /pay/{id}", "next": "tell",
    "input": {"id": "$.steps.sum.output.id"},
}  # fmt: skip
SUM: dict[str, Any] = {
    "id": "sum",
    "type": "TRANSFORM",
    "output": {"id": "$.input.id"},
    "next": "pay",
}
TELL: dict[str, Any] = {"id": "tell", "service": "mail", "action": "send"}
STEPS = [SUM, PAY, TELL]
SAME: dict[str, Steps] = {
    "a name": [SUM, {**PAY, "name": "Pay"}, TELL],
    "retries": [SUM, {**PAY, "retry": {"max_attempts": 2}}, TELL],
    "a step after it": [SUM, PAY, {**TELL, "action": "shout"}],
    "one step more after it": [SUM, PAY, {**TELL, "next": "more"}, {**TELL, "id": "more"}],
    "none after it": [SUM, {**PAY, "next": None}],
}
OTHER: dict[str, Steps] = {
    "its input": [SUM, {**PAY, "input": {"id": 7}}, TELL],
    "no input": [SUM, {k: v for k, v in PAY.items() if k != "input"}, TELL],
    "its path": [SUM, {**PAY, "action": "POST /pay/{other}"}, TELL],
    "its method": [SUM, {**PAY, "action": "DELETE /pay/{id}"}, TELL],
    "its condition": [SUM, {**PAY, "when": "`true`"}, TELL],
    "its target": [SUM, {**PAY, "connection": "bank"}, TELL],
    "what it reads": [{**SUM, "output": {"id": 8}}, PAY, TELL],
    "a step between": [{**SUM, "next": "more"}, {**SUM, "id": "more"}, PAY, TELL],
    "no step before": [PAY, TELL],
    "a way back to it": [SUM, PAY, {**TELL, "next": "pay", "max_visits": 3}],
}


def _fingerprint(steps: list[dict[str, Any]]) -> str:
    return fingerprints_of(parse({"steps": steps}))["pay", False]


@pytest.mark.parametrize("steps", SAME.values(), ids=SAME)
def test_what_sends_the_same_keeps_its_grant(steps: list[dict[str, Any]]) -> None:
    assert _fingerprint(steps) == _fingerprint(STEPS)


@pytest.mark.parametrize("steps", OTHER.values(), ids=OTHER)
def test_what_sends_something_else_does_not(steps: list[dict[str, Any]]) -> None:
    assert _fingerprint(steps) != _fingerprint(STEPS)


def test_what_is_around_and_before_a_call_inside_others_counts() -> None:
    def of(over: Any, before: Any) -> str:
        inner = {"id": "pay", "connection": "shop", "input": {"n": "$.item"}}
        each = {"id": "each", "type": "MAP", "over": over, "steps": [inner]}
        fork = {"id": "fork", "type": "PARALLEL", "next": "each",
                "branches": [[{**before, "next": None}], [{**TELL, "id": "b"}]]}  # fmt: skip
        return _fingerprint([fork, each])

    first = of("$.input.all", SUM)
    assert first == of("$.input.all", SUM)
    assert first != of("$.input.others", SUM)
    assert first != of("$.input.all", {**SUM, "output": {}})


def test_a_compensation_has_a_grant_of_its_own() -> None:
    def of(undo: str, action: str = "POST /x") -> dict[tuple[str, bool], str]:
        step = {"id": "a", "connection": "shop", "action": action,
                "compensate": {"connection": "shop", "action": undo}}  # fmt: skip
        return fingerprints_of(parse({"steps": [step]}))

    assert of("DELETE /a")["a", True] != of("DELETE /b")["a", True]
    assert of("DELETE /a")["a", False] == of("DELETE /b")["a", False]
    assert of("DELETE /a", "POST /y")["a", True] != of("DELETE /a")["a", True]


# --- What goes out ---


@pytest.fixture
def web() -> WebServer:
    return WebServer()


@pytest.fixture
def base(web: WebServer) -> Iterator[str]:
    with serving(web.answer) as url:
        yield url


@pytest.fixture
def editor() -> Any:
    return factories.caller("WORKFLOW_EDITOR", name="editor")


@pytest.fixture
def operator() -> Any:
    return factories.caller("OPERATOR", name="ada")


def _token(base: str) -> None:
    make_credential(name="token", allowed_origins=[base])


def _save(caller: Any, steps: list[dict[str, Any]], name: str = "w", **more: Any) -> None:
    answer = caller.post("/workflows", {"name": name, "steps": steps, **more}, format="json")
    assert answer.status_code == 201, answer.content


def _patch(caller: Any, body: dict[str, Any], name: str = "w") -> None:
    answer = caller.patch(f"/workflows/{name}", body, format="json")
    assert answer.status_code == 200, answer.content


def _run(name: str = "w", **body: Any) -> WorkflowExecution:
    starter = factories.caller("OPERATOR")
    begun = starter.post(f"/workflows/{name}/execute", body, format="json")
    assert begun.status_code == 202, begun.content
    execution = WorkflowExecution.objects.get(pk=begun.json()["id"])
    with running_engine(ServiceClient()):
        return ended(execution)


def _assert_refused(execution: WorkflowExecution, web: WebServer, *, step: str = "a") -> None:
    assert execution.status == "FAILED"
    error = execution.steps.get(step_id=step).error or {}
    assert error["code"] == "permission_denied", error
    assert execution.steps.filter(step_id=step).count() == 1  # it is not tried again
    for words in (f"'{step}'", "'token'", "credentials:use", "/grants"):
        assert words in error["message"]
    assert SECRET not in [headers.get("Authorization") for _, _, headers, _ in web.requests]


def _grants(caller: Any, number: int = 1, name: str = "w") -> dict[str, Any]:
    answer = caller.get(f"/workflows/{name}/versions/{number}/grants")
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


def _allow(caller: Any, number: int = 1, name: str = "w", **body: Any) -> Any:
    return caller.post(f"/workflows/{name}/versions/{number}/grants", body, format="json")


CALL = {"id": "a", "connection": "shop", "action": "GET /x", "next": None}


def _shop_later(base: str, editor: Any, operator: Any) -> None:
    """A draft names what is not there; an operator makes it with a credential."""
    _save(editor, [CALL], status="DRAFT")
    _token(base)
    operator.post(
        "/registry/connections",
        {"name": "shop", "type": "HTTP", "base_url": base, "credential": "token"},
        format="json",
    )
    _patch(editor, {"status": "ACTIVE"})


def _linked_connection(base: str, editor: Any, operator: Any) -> None:
    make_connection(name="shop", base_url=base)
    _save(editor, [CALL])
    _token(base)
    _link(operator, "connections/shop")


def _link(operator: Any, path: str) -> None:
    answer = operator.patch(f"/registry/{path}", {"credential": "token"}, format="json")
    assert answer.status_code == 200, answer.content


def _billing(base: str) -> None:
    factories.make_service("billing", urls=(base,), actions=("pay",), type="CUSTOM")


def _linked_service(base: str, editor: Any, operator: Any) -> None:
    _billing(base)
    _save(editor, [{"id": "a", "service": "billing", "action": "pay", "next": None}])
    _token(base)
    _link(operator, "services/billing")


def _linked_service_of_type(base: str, editor: Any, operator: Any) -> None:
    _billing(base)
    _save(editor, [{"id": "a", "service_type": "CUSTOM", "action": "pay", "next": None}])
    _token(base)
    _link(operator, "services/billing")


def _linked_integration(base: str, editor: Any, operator: Any) -> None:
    make_connection(name="shop", base_url=base)
    target = {"connection": "shop", "method": "GET", "path": "/x"}
    body = {"name": "orders", "target": target}
    operator.post("/registry/integrations", body, format="json")
    _save(editor, [{"id": "a", "integration": "orders", "next": None}])
    _token(base)
    _link(operator, "connections/shop")
    assert operator.post("/registry/integrations/orders/grants").json()["complete"]


def _inside(kind: str) -> Callable[..., None]:
    def make(base: str, editor: Any, operator: Any) -> None:
        make_connection(name="shop", base_url=base)
        each = {"id": "each", "type": "MAP", "over": [1], "steps": [CALL], "next": None}
        fork = {"id": "fork", "type": "PARALLEL", "branches": [[CALL]], "next": None}
        _save(editor, [each if kind == "map" else fork])
        _token(base)
        _link(operator, "connections/shop")

    return make


def _edited(steps: list[dict[str, Any]]) -> Callable[..., None]:
    """An editor changes what an operator's step sends; it becomes the second version."""

    def make(base: str, editor: Any, operator: Any) -> None:
        _token(base)
        make_connection(name="shop", base_url=base, credential="token")
        _save(operator, [SHAPE, FILLED])
        _patch(editor, {"steps": steps})

    return make


SHAPE = {"id": "shape", "type": "TRANSFORM", "output": {"id": "1"}, "next": "a"}
FILLED = {**CALL, "action": "GET /x/{id}", "input": {"id": "$.steps.shape.output.id"}}
CASES: dict[str, tuple[Callable[..., None], int]] = {
    "a draft, then the connection": (_shop_later, 1),
    "a connection is linked later": (_linked_connection, 1),
    "a service is linked later": (_linked_service, 1),
    "a service of the type is linked later": (_linked_service_of_type, 1),
    "the connection of an integration is linked later": (_linked_integration, 1),
    "inside of a map": (_inside("map"), 1),
    "inside of a branch": (_inside("branch"), 1),
    "an editor changes the input": (_edited([SHAPE, {**FILLED, "input": {"id": "9"}}]), 2),
    "an editor changes what the input reads": (
        _edited([{**SHAPE, "output": {"id": "9"}}, FILLED]), 2),
}  # fmt: skip


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shared_client")
@pytest.mark.parametrize("case", CASES)
def test_a_call_that_nobody_granted_is_not_made(
    case: str, web: WebServer, base: str, editor: Any, operator: Any
) -> None:
    make, number = CASES[case]
    make(base, editor, operator)
    told = _grants(editor, number)
    assert not told["complete"]
    assert {grant["state"] for grant in told["grants"]} <= {"MISSING", "CHANGED"}
    _assert_refused(_run(), web)
    assert _allow(editor, number).status_code == 403
    allowed = _allow(operator, number)
    assert allowed.status_code == 200, allowed.content
    assert allowed.json()["complete"]
    assert {grant["granted_by"] for grant in allowed.json()["grants"]} == {"ada"}
    done = _run()
    assert done.status == "COMPLETED", done.errors
    assert web.requests[-1][2]["Authorization"] == SECRET
    entries = AuditEntry.objects.filter(verb="GRANTED", object_type="workflow", actor="ada")
    assert entries[0].changes["version"] == number


@pytest.mark.django_db(transaction=True)
def test_who_may_use_credentials_grants_by_saving_and_activating(
    web: WebServer, base: str, editor: Any, operator: Any
) -> None:
    _token(base)
    make_connection(name="shop", base_url=base, credential="token")
    _save(operator, [CALL])
    assert _grants(editor)["grants"][0]["granted_by"] == "ada"
    assert _run().status == "COMPLETED"
    _patch(editor, {"steps": [{**CALL, "name": "As before"}]})
    assert _grants(editor, 2)["complete"]
    assert _run().status == "COMPLETED"
    CredentialGrant.objects.all().delete()
    _patch(operator, {"status": "INACTIVE"})
    _patch(operator, {"status": "ACTIVE"})
    assert _grants(editor, 2)["complete"]


@pytest.mark.django_db(transaction=True)
def test_a_compensation_is_granted_apart(
    web: WebServer, base: str, editor: Any, operator: Any
) -> None:
    make_connection(name="plain", base_url=base)
    make_connection(name="shop", base_url=base)
    undone = {"id": "a", "connection": "plain", "next": "b",
              "compensate": {"connection": "shop", "action": "DELETE /x"}}  # fmt: skip
    _save(editor, [undone, {"id": "b", "type": "FAIL", "error": {"message": "no"}}])
    _token(base)
    _link(operator, "connections/shop")
    assert [g["subject"] for g in _grants(editor)["grants"]] == ["a (compensation)"]
    begun = factories.caller("OPERATOR").post("/workflows/w/execute", {}, format="json")
    execution = WorkflowExecution.objects.get(pk=begun.json()["id"])
    with running_engine(ServiceClient()):
        services.wait_for_end(execution, seconds=5)
    assert "DELETE /x" not in web.paths
    _allow(operator)
    assert _run().status == "FAILED"
    assert "DELETE /x" in web.paths


@pytest.mark.django_db(transaction=True)
def test_a_sub_workflow_is_granted_for_itself(
    web: WebServer, base: str, editor: Any, operator: Any
) -> None:
    make_connection(name="shop", base_url=base)
    _save(editor, [CALL], name="child")
    child = {"id": "sub", "type": "WORKFLOW", "workflow": "child", "next": None}
    _save(operator, [child])
    _token(base)
    _link(operator, "connections/shop")
    assert _grants(editor)["grants"] == []
    assert _run().status == "FAILED"
    assert web.requests == []
    _allow(operator, name="child")
    assert _run().status == "COMPLETED"


@pytest.mark.django_db(transaction=True)
def test_what_is_withdrawn_stops_executions_that_go_on_too(
    web: WebServer, base: str, editor: Any, operator: Any
) -> None:
    _token(base)
    make_connection(name="shop", base_url=base, credential="token")
    _save(operator, [CALL])
    starter = factories.caller("OPERATOR")
    begun = starter.post("/workflows/w/execute", {}, format="json").json()["id"]
    path = "/workflows/w/versions/1/grants/withdraw"
    assert editor.post(path, {"reason": "x"}, format="json").status_code == 403
    withdrawn = operator.post(path, {"reason": "No more."}, format="json").json()
    assert withdrawn["grants"][0]["state"] == "CHANGED"
    assert "No more." in withdrawn["grants"][0]["note"]
    with running_engine(ServiceClient()):
        _assert_refused(ended(WorkflowExecution.objects.get(pk=begun)), web)
    rerun = starter.post(f"/executions/{begun}/rerun", {}, format="json")
    assert rerun.status_code in (200, 202), rerun.content
    with running_engine(ServiceClient()):
        _assert_refused(ended(WorkflowExecution.objects.get(pk=rerun.json()["id"])), web)


@pytest.mark.django_db(transaction=True)
def test_another_credential_of_the_same_connection_is_another_grant(
    web: WebServer, base: str, editor: Any, operator: Any
) -> None:
    make_credential(name="before", allowed_origins=[base])
    make_connection(name="shop", base_url=base, credential="before")
    _save(operator, [CALL])
    assert _run().status == "COMPLETED"
    _token(base)
    _link(operator, "connections/shop")
    before = len(web.requests)
    assert _run().errors[0]["code"] == "permission_denied"
    assert len(web.requests) == before
    assert Connection.objects.get().credential is not None
    refused = _allow(operator, steps=["no"])
    assert (refused.status_code, "'no'" in refused.content.decode()) == (400, True)
    assert _allow(operator, steps=["a"]).json()["complete"]


@pytest.mark.django_db
def test_the_upgrade_grants_versions_what_they_reach_and_says_so(
    base: str, editor: Any, operator: Any
) -> None:
    _token(base)
    make_connection(name="shop", base_url=base, credential="token")
    _billing(base)
    _link(operator, "services/billing")
    inner = {"id": "in", "service_type": "CUSTOM", "action": "pay"}
    undone = {**CALL, "compensate": {"service": "billing", "action": "pay"}, "next": "each"}
    each = {"id": "each", "type": "MAP", "over": [1], "steps": [inner], "next": None}
    _save(operator, [undone, each])
    before = [{k: g[k] for k in ("subject", "state")} for g in _grants(editor)["grants"]]
    assert len(before) == 3
    CredentialGrant.objects.all().delete()
    AuditEntry.objects.all().delete()
    import_module("workflows.migrations.0020_grant_what_is_used").grant_versions(apps, None)
    after = _grants(editor)["grants"]
    assert [{k: g[k] for k in ("subject", "state")} for g in after] == before
    assert {grant["granted_by"] for grant in after} == {"upgrade"}
    entry = AuditEntry.objects.get()
    assert (entry.verb, entry.object_name) == ("GRANTED", Workflow.objects.get().name)
    assert json.dumps(entry.changes) == '{"versions": {"1": ["a", "each", "in"]}}' or (
        entry.changes == {"versions": {"1": ["a", "in"]}}
    )


# --- Linking, and dry runs ---


@pytest.mark.django_db
@pytest.mark.parametrize("grant", [False, True])
def test_linking_tells_what_calls_it_already_and_may_let_it_go_on(
    grant: bool, editor: Any, operator: Any
) -> None:
    base = "http://127.0.0.1:9"
    make_connection(name="shop", base_url=base)
    _billing(base)
    target = {"connection": "shop", "method": "GET", "path": "/x"}
    operator.post("/registry/integrations", {"name": "orders", "target": target}, format="json")
    _save(editor, [CALL])
    _save(editor, [{"id": "b", "integration": "orders"}], name="v")
    _save(editor, [{"id": "c", "service_type": "CUSTOM", "action": "pay"}], name="u")
    _save(editor, [CALL], name="draft", status="DRAFT")
    _token(base)
    query = "?grant=true" if grant else ""
    linked = {"credential": "token"}
    shop = operator.patch(f"/registry/connections/shop{query}", linked, format="json").json()
    billing = operator.patch(f"/registry/services/billing{query}", linked, format="json").json()
    waiting = {
        "shop": ["integration orders", "workflow v version 1 (b)", "workflow w version 1 (a)"],
        "billing": ["workflow u version 1 (c)"],
    }
    told = {"shop": shop["awaiting_grant"], "billing": billing["awaiting_grant"]}
    assert told == ({"shop": [], "billing": []} if grant else waiting)
    for name in ("w", "v", "u"):
        assert _grants(editor, name=name)["complete"] is grant
    assert not _grants(editor, name="draft")["complete"]
    assert operator.get("/registry/connections/shop").json()["awaiting_grant"] is None
    again = operator.patch("/registry/connections/shop?grant=perhaps", linked, format="json")
    assert again.status_code == 400


@pytest.mark.django_db
def test_a_dry_run_says_what_would_be_refused(editor: Any, operator: Any) -> None:
    make_connection(name="shop")
    _save(editor, [CALL])
    _token("http://127.0.0.1:9")
    _link(operator, "connections/shop")
    body = {"workflow": "w", "mocks": {"a": {"output": {}}}}
    told = editor.post("/workflows/dry-run", body, format="json").json()
    assert [grant["state"] for grant in told["grants"]] == ["MISSING"]
    assert any("permission_denied" in warning for warning in told["warnings"])
    _allow(operator)
    told = editor.post("/workflows/dry-run", body, format="json").json()
    assert [grant["state"] for grant in told["grants"]] == ["GRANTED"]
    assert not any("permission_denied" in warning for warning in told["warnings"])
    unsaved = {"steps": [CALL], "mocks": body["mocks"]}
    told = editor.post("/workflows/dry-run", unsaved, format="json").json()
    assert [grant["subject"] for grant in told["grants"]] == ["a"]


@pytest.mark.django_db(transaction=True)
def test_what_a_schedule_starts_is_held_to_the_grants_too(
    web: WebServer, base: str, editor: Any, operator: Any
) -> None:
    _linked_connection(base, editor, operator)
    body = {"name": "nightly", "workflow": "w", "cron": "0 9 * * *"}
    operator.post("/schedules", body, format="json")
    assert operator.post("/schedules/nightly/run").status_code < 300
    with running_engine(ServiceClient()):
        _assert_refused(ended(WorkflowExecution.objects.get()), web)


@pytest.mark.django_db
def test_the_page_of_a_version_lists_what_it_reaches_and_allows_it(
    admin_client: Any, editor: Any, operator: Any
) -> None:
    make_connection(name="shop")
    _save(editor, [CALL])
    _token("http://127.0.0.1:9")
    _link(operator, "connections/shop")
    version = Workflow.objects.get(name="w").current_version
    assert version is not None
    url = f"/admin/workflows/workflowversion/{version.pk}/change/"
    page = admin_client.get(url).content.decode()
    for words in ("Credentials it reaches", "Missing", "connection shop", "credential token"):
        assert words in page
    _allow(operator)
    page = admin_client.get(url).content.decode()
    assert "Granted" in page
    assert "by ada" in page
