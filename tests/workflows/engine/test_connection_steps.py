"""Steps that call a connection: checked, recorded, tried dry, and drawn."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from integration_site.admin_groups import create_roles
from registry.calls.client import ServiceClient
from registry.integrations.lifecycle import create_integration
from tests import factories
from tests.support.connections import WebServer, make_connection
from tests.support.credentials import make_credential, serving
from tests.support.engine import ended, make_workflow, running_engine, start
from workflows.admin.graph.steps import graph_of
from workflows.definition import NAMED_KINDS, parse
from workflows.engine.lease_recovery import recover_expired
from workflows.engine.store import Batch, Store
from workflows.services import (
    DryRun,
    create_workflow,
    dry_run_document,
    update_workflow,
    validate_document,
)


@pytest.fixture
def web():
    return WebServer()


@pytest.fixture
def base(web):
    with serving(web.answer) as url:
        yield url


def run(workflow, document):
    execution = start(workflow, document)
    with running_engine(ServiceClient()):
        return ended(execution)


def integration(**target):
    create_integration({"name": "between", "target": target})
    return {"integration": "between"}


# Whoever can be called by a step, from the address of a server; the step's own part of it.
TARGETS = {
    "service": lambda: {"service": "billing", "action": "pay"},
    "service_type": lambda: {"service_type": "CUSTOM", "action": "pay"},
    "connection": lambda: {"connection": "shop", "action": "post /pay"},
    "integration with a service": lambda: integration(service="billing", action="pay"),
    "integration with a connection": lambda: integration(
        connection="shop", method="POST", path="/pay"
    ),
}


def test_every_kind_of_target_is_called_below():
    assert {kind for name in TARGETS for kind in NAMED_KINDS if kind in name} | {"workflow"} == set(
        NAMED_KINDS
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", TARGETS)
def test_a_step_calls_whatever_it_names(name, web, base):
    factories.make_service("billing", urls=(base,), actions=("pay",), type="CUSTOM")
    make_connection(name="shop", base_url=base)
    web.say({"paid": True})
    steps = [{"id": "a", "next": None, **TARGETS[name]()}]
    found = run(create_workflow({"name": "w"}, {"steps": steps}), {})
    assert found.errors == []
    assert found.output == {"paid": True}
    assert len(web.requests) == 1


@pytest.mark.django_db(transaction=True)
def test_a_step_calls_a_connection_and_is_recorded(web, base):
    login = make_credential("BEARER_TOKEN", allowed_origins=[base])
    make_connection(name="shop", base_url=f"{base}/v1", credential=login.name)
    web.say({"label": "L-1", "echo": "bearer-0123456789"})
    steps = [
        {
            "id": "print",
            "connection": "Shop",
            "action": "post /orders/{id}/labels",
            "input": {"id": "$.input.order", "size": 2},
        }
    ]
    assert validate_document({"steps": steps}).errors == {}
    found = run(create_workflow({"name": "w"}, {"steps": steps}), {"order": 7})
    body = factories.caller().get(f"/executions/{found.pk}").json()
    assert body["status"] == "COMPLETED", body["errors"]
    assert body["output"] == {"label": "L-1", "echo": "***"}
    [(method, path, headers, sent)] = web.requests
    assert (method, path, json.loads(sent)) == ("POST", "/v1/orders/7/labels", {"size": 2})
    assert headers["Authorization"] == "Bearer bearer-0123456789"
    assert headers["Idempotency-Key"]
    [step] = body["steps"]
    assert (step["service"], step["action"]) == ("shop", "POST /orders/{id}/labels")
    assert step["instance"] == f"{base}/v1"
    assert step["input"] == {"id": 7, "size": 2}


@pytest.mark.django_db(transaction=True)
def test_graphql_and_webhooks_need_no_action(web, base):
    make_connection("GRAPHQL", name="graph", base_url=f"{base}/graphql")
    make_connection("WEBHOOK", name="hook", base_url=f"{base}/hook")
    web.say({"data": {"orders": []}})
    steps = [
        {"id": "ask", "connection": "graph", "input": {"query": "{ orders }"}, "next": "tell"},
        {"id": "tell", "connection": "hook", "input": {"a": 1}, "timeout": 5},
    ]
    assert run(make_workflow(steps), {}).status == "COMPLETED"
    assert web.paths == ["POST /graphql", "POST /hook"]


@pytest.mark.django_db(transaction=True)
def test_what_a_connection_refuses_fails_the_step_with_its_code(web, base):
    make_connection(name="shop", base_url=base)
    web.say({"detail": "no"}, 409)
    step = {"id": "a", "connection": "shop", "action": "GET /x"}
    found = run(make_workflow([step]), {})
    [error] = found.errors
    assert (found.status, error["code"], error["step"]) == ("FAILED", "service_error", "a")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("more", "path", "sentence"),
    [
        ({"connection": "none"}, "connection", "There is no connection 'none'."),
        ({"connection": "db"}, "connection", "'db' is of the type DATABASE"),
        ({"action": "HEAD /x"}, "action", "a method (GET, POST, PUT, PATCH, DELETE)"),
        ({"action": "GET x"}, "action", "and a path without query"),
        ({"action": "GET /a/../b"}, "action", "and a path without query"),
        ({"action": "GET /a?b=1"}, "action", "and a path without query"),
        ({"action": f"GET /{'a' * 100}"}, "action", "100"),
        ({"unknown_fields": "STRIP"}, "unknown_fields", "no fields are known"),
        ({"service": "echo"}, "connection", "keep one of them"),
    ],
)
def test_what_cannot_be_called_is_refused_with_its_place(more, path, sentence):
    make_connection(name="shop")
    make_connection("DATABASE", name="db")
    found = validate_document({"steps": [{"id": "a", "connection": "shop", **more}]})
    assert not found.valid
    [said] = found.errors[f"steps[0].{path}"]
    assert sentence in said


@pytest.mark.django_db
def test_a_draft_may_name_what_is_not_there_yet():
    steps = [{"id": "a", "connection": "later", "action": "GET /x"}]
    assert validate_document({"steps": steps}, draft=True).valid


@pytest.mark.django_db
def test_a_dry_run_takes_a_mock_and_fills_the_path():
    make_connection(name="shop")
    step = {
        "id": "a",
        "connection": "shop",
        "action": "GET /orders/{id}",
        "input": {"id": "$.input.id"},
    }
    mocks = {"a": {"output": {"total": 3}}}
    found = dry_run_document({"steps": [step]}, DryRun(input={"id": 7}, context={}, mocks=mocks))
    assert (found.status, found.output) == ("COMPLETED", {"total": 3})
    unfilled = dry_run_document({"steps": [step]}, DryRun(input={}, context={}, mocks=mocks))
    assert unfilled.errors[0]["code"] == "schema_violation"


@pytest.mark.django_db
def test_the_graph_says_whom_a_step_calls():
    definition = parse([{"id": "a", "connection": "shop", "action": "/orders"}])
    assert graph_of(definition).nodes[0].detail == "shop · POST /orders"


@pytest.mark.django_db
def test_naming_a_connection_with_a_credential_needs_its_permission():
    login = make_credential("BEARER_TOKEN")
    make_connection(name="shop", credential=login.name)
    make_connection(name="open")
    steps = [{"id": "a", "connection": "open", "action": "GET /x"}]
    made = create_workflow({"name": "w"}, {"steps": steps}, may_use_credentials=False)
    closed = [{"id": "a", "connection": "SHOP", "action": "GET /x"}]
    undone = [{**steps[0], "compensate": {"connection": "shop"}}]
    for document in (closed, undone):
        with pytest.raises(PermissionDenied, match="'shop', which has a credential"):
            update_workflow(made, {}, {"steps": document}, may_use_credentials=False)
    update_workflow(made, {}, {"steps": closed})
    same = [{**closed[0], "name": "As before"}]
    update_workflow(made, {}, {"steps": same}, may_use_credentials=False)
    more = [{**closed[0], "action": "DELETE /x"}]
    with pytest.raises(PermissionDenied):
        update_workflow(made, {}, {"steps": more}, may_use_credentials=False)


@pytest.mark.django_db
def test_the_api_asks_for_the_permission_too():
    make_connection(name="shop", credential=make_credential("BEARER_TOKEN").name)
    body = {"name": "w", "steps": [{"id": "a", "connection": "shop", "action": "GET /x"}]}
    refused = factories.caller("WORKFLOW_EDITOR").post("/workflows", body)
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    assert "credentials:use" in refused.json()["detail"]


@pytest.mark.django_db
def test_the_admin_says_so_at_the_definition(client):
    make_connection(name="shop", credential=make_credential("BEARER_TOKEN").name)
    create_roles()
    user = User.objects.create_user("editor", is_staff=True)
    user.groups.set(Group.objects.filter(name="workflow-editor"))
    client.force_login(user)
    document = {"steps": [{"id": "a", "connection": "shop", "action": "GET /x"}]}
    fields = {"name": "w", "type": "CUSTOM", "status": "ACTIVE", "definition": json.dumps(document)}
    page = client.post("/admin/workflows/workflow/add/", fields)
    assert page.status_code == 200
    assert "which has a credential, needs the scope" in page.content.decode()


@pytest.mark.django_db
def test_a_lost_call_of_a_connection_is_sent_again_with_its_key():
    steps = [{"id": "a", "connection": "shop", "action": "POST /x"}]
    make_connection(name="shop")
    execution = start(make_workflow(steps), {})
    assert Store(owner="lost", lease_seconds=30).commit(Batch(look=True, room=1)).claims
    execution.steps.update(lease_until=timezone.now() - timedelta(seconds=60))
    assert len(recover_expired()) == 1
    assert execution.steps.get().status == "PENDING"
