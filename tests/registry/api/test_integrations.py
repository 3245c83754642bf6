"""Integrations over REST: made, read, changed, deleted, and called over connections."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from registry.models import Integration
from tests import factories
from tests.support.credentials import make_credential
from tests.support.integrations import echoing, make_integration, own_client

pytestmark = pytest.mark.django_db


@pytest.fixture
def service():
    return factories.make_service("project-coordinator", actions=("create_project",))


def test_it_is_made_read_changed_and_deleted(api, service):
    made = make_integration(
        api, service, "create_project", name="chat", source="web-dashboard", type="event",
        request_mapping={"name": "$.input.title"}, config={"timeout_seconds": 5},
    )  # fmt: skip
    assert made["status"] == "ACTIVE"
    assert made["type"] == "EVENT"
    assert made["unknown_fields"] == "REJECT"
    assert made["target"] == {"service": "project-coordinator", "action": "create_project"}
    assert made["request_mapping"] == {"name": "$.input.title"}
    assert made["last_executed_at"] is None
    for path in (
        "/registry/integrations/CHAT",
        f"/integrations/{made['id']}",
        "/api/integrations/chat/",
    ):
        read = api.get(path)
        assert read.json() == made
    stale = api.patch("/integrations/chat", {"status": "draft"}, HTTP_IF_MATCH='"other"')
    assert stale.status_code == 412
    changed = api.put(
        "/integrations/chat", {"status": "draft", "request_mapping": None},
        HTTP_IF_MATCH=read["ETag"],
    ).json()  # fmt: skip
    assert (changed["status"], changed["request_mapping"]) == ("DRAFT", None)
    assert changed["source"] == "web-dashboard"
    assert api.delete("/integrations/chat").status_code == 204
    assert api.get("/integrations/chat").status_code == 404


def test_lists_are_filtered(api, service):
    make_integration(api, service, "create_project", name="chat", source="web-dashboard")
    make_integration(api, service, "create_project", name="sync", type="DATA_SYNC", status="draft")
    for query, names in (
        ("", ["chat", "sync"]),
        ("?type=data_sync", ["sync"]),
        ("?status=ACTIVE,ERROR", ["chat"]),
        ("?source=WEB-dashboard", ["chat"]),
        ("?target=project-coordinator&ordering=-name", ["sync", "chat"]),
        ("?search=cha", ["chat"]),
    ):
        items = api.get(f"/integrations{query}").json()["items"]
        assert [item["name"] for item in items] == names, query
    assert api.get("/integrations?status=nonsense").status_code == 400
    assert api.get("/integrations?nonsense=1").status_code == 400


@pytest.mark.usefixtures("keys_stay_known")
def test_lists_cost_the_same_however_long(api, service):
    make_integration(api, service, "create_project")
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as queries:
            api.get("/integrations")
        counts.append(len(queries))
        for _ in range(5):
            make_integration(api, service, "create_project")
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("fields", "path", "words"),
    [
        ({"target": {}}, "target", "one of service"),
        ({"target": {"service": "a", "service_type": "CUSTOM"}}, "target", "one of service"),
        ({"target": {"service": "none", "action": "x"}}, "target.service", "Save it as DRAFT"),
        ({"target": {"service": "project-coordinator", "action": "x"}}, "target.action",
         "It has: create_project"),
        ({"target": {"service": "project-coordinator"}}, "target.action", "which action"),
        ({"target": {"service": "a", "action": "x", "path": "/x"}}, "target.path", "has service"),
        ({"target": {"service_type": "none", "action": "x"}}, "target.service_type", "Use one of"),
        ({"target": {"connection": "none"}}, "target.connection", "No connection"),
        ({"target": {"connection": "broker"}}, "target.connection", "MESSAGE_BROKER"),
        ({"target": {"connection": "web", "path": "x"}}, "path", "begin with /"),
        ({"target": {"connection": "web", "method": "BREW"}}, "target.method", "Use one of"),
        ({"request_mapping": {"a": {"b-c": "$.payload.x"}}}, 'request_mapping.a["b-c"]',
         "it is called 'input'"),
        ({"request_mapping": {"a": "$.output.x"}}, "request_mapping.a", "It may read input"),
        ({"request_mapping": "text"}, "request_mapping", "an expression such as"),
        ({"response_mapping": ["$.output["]}, "response_mapping[0]", "incomplete"),
        ({"response_mapping": {"a": "$.steps.x"}}, "response_mapping.a", "no 'steps'"),
        ({"unknown_fields": "IGNORE"}, "unknown_fields", "REJECT, STRIP, PASS"),
        ({"status": "ERROR"}, "status", "hub says"),
        ({"config": {"timeout": 1}}, "config", "timeout_seconds"),
        ({"config": {"timeout_seconds": 0}}, "config", "from 0.1"),
        ({"name": "a/b"}, "name", "letters"),
        ({"more": 1}, "more", "no such field"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(api, service, fields, path, words):
    for name, kind, more in (
        ("web", "HTTP", {"base_url": "http://127.0.0.1:9"}),
        ("broker", "MESSAGE_BROKER", {"host": "127.0.0.1", "driver": "REDIS"}),
    ):
        made = api.post("/registry/connections", {"name": name, "type": kind, **more})
        assert made.status_code == 201, made.content
    body = {
        "name": "chat",
        "target": {"service": "project-coordinator", "action": "create_project"},
        **fields,
    }
    answer = api.post("/registry/integrations", body)
    assert answer.status_code == 400, answer.content
    errors = answer.json()["errors"]
    assert list(errors) == [path]
    assert words in errors[path][0]
    assert not Integration.objects.exists()


def test_names_are_taken_once(api, service):
    make_integration(api, service, "create_project", name="chat")
    target = {"service": "project-coordinator", "action": "create_project"}
    answer = api.post("/integrations", {"name": "CHAT", "target": target})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_a_draft_may_name_what_is_not_there_yet(api):
    target = {"service": "later", "action": "x"}
    body = {"name": "chat", "target": target, "status": "draft"}
    assert api.post("/integrations", body).status_code == 201
    assert api.patch("/integrations/chat", {"status": "ACTIVE"}).status_code == 400
    factories.make_service("later", actions=("x",))
    assert api.patch("/integrations/chat", {"status": "ACTIVE"}).status_code == 200


def test_setting_the_status_forgets_the_failures(api, service):
    make_integration(api, service, "create_project", name="chat")
    Integration.objects.update(status="ERROR", failures_in_a_row=7, last_error="no")
    changed = api.patch("/integrations/chat", {"status": "ACTIVE"}).json()
    assert (changed["failures_in_a_row"], changed["last_error"]) == (0, "")


def test_who_may(api, service):
    make_integration(api, service, "create_project", name="chat")
    viewer, caller = factories.caller("VIEWER"), factories.caller("SERVICE")
    assert viewer.get("/integrations/chat/executions").status_code == 200
    assert viewer.patch("/integrations/chat", {}).status_code == 403
    assert viewer.post("/integrations/chat/execute", {}).status_code == 403
    assert caller.patch("/integrations/chat", {}).status_code == 403
    assert caller.post("/integrations/none/execute", {}).status_code == 404


def test_a_connection_with_a_credential_takes_its_own_permission(api):
    make_credential("API_KEY", name="key", allowed_origins=["http://127.0.0.1:9"])
    body = {"name": "crm", "type": "HTTP", "base_url": "http://127.0.0.1:9", "credential": "key"}
    assert api.post("/registry/connections", body).status_code == 201
    target = {"connection": "crm", "method": "get", "path": "/contacts/{id}"}
    writer = factories.caller(scopes=["registry:write", "registry:read"])
    assert writer.post("/integrations", {"name": "a", "target": target}).status_code == 403
    made = api.post("/integrations", {"name": "a", "target": target}).json()
    assert made["target"] == {"connection": "crm", "method": "GET", "path": "/contacts/{id}"}
    assert writer.patch("/integrations/a", {"description": "x"}).status_code == 200
    refused = api.delete("/registry/connections/crm")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


@pytest.mark.django_db(transaction=True)
def test_over_a_connection(api):
    with own_client(), echoing() as (service, told):
        url = service.instances.get().url
        body = {"name": "echo-api", "type": "HTTP", "base_url": url}
        assert api.post("/registry/connections", body).status_code == 201
        target = {"connection": "echo-api", "path": "/echo"}
        made = api.post(
            "/integrations",
            {
                "name": "echoed",
                "target": target,
                "request_mapping": {"said": "$.input.word"},
                "response_mapping": {"heard": "$.output.got.said"},
            },
        )
        assert made.status_code == 201, made.content
        answer = api.post("/integrations/echoed/execute", {"payload": {"word": "hello"}})
        assert answer.json()["output"] == {"heard": "hello"}
        assert told["headers"]["Idempotency-Key"]
        api.post("/registry/connections/echo-api/disable", {"reason": "maintenance"})
        answer = api.post("/integrations/echoed/execute", {})
    assert (answer.status_code, told["calls"]) == (503, 1)
    assert "maintenance" in answer.json()["detail"]
