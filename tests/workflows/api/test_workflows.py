"""Workflows and executions over REST."""

from __future__ import annotations

import uuid
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from tests import factories
from workflows.catalog import install_catalog
from workflows.models import (
    EventKind,
    Workflow,
    WorkflowEvent,
    WorkflowExecution,
    WorkflowStep,
)

pytestmark = pytest.mark.django_db
STEPS = factories.SIMPLE_STEPS
OTHER_STEPS = [{**STEPS[0], "output": {"other": "$.input.text"}}]


def make(api: APIClient, **fields: Any) -> dict[str, Any]:
    answer = api.post("/workflows", {"name": "shout", "steps": STEPS, **fields})
    assert answer.status_code == 201, answer.content
    return answer.json()


# --- Definitions ---


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize("end", ["", "/"])
def test_every_path_answers_with_and_without_prefix_and_slash(
    api: APIClient, prefix: str, end: str
) -> None:
    make(api)
    one, execution = f"{prefix}/workflows/shout", factories.make_execution()
    run = f"{prefix}/executions/{execution.pk}"
    for method, path, body, status in (
        ("get", f"{prefix}/workflows", None, 200),
        ("post", f"{prefix}/workflows", {"name": "b", "steps": STEPS}, 201),
        ("get", one, None, 200),
        ("put", one, {"description": "x"}, 200),
        ("patch", one, {"description": "x"}, 200),
        ("post", f"{prefix}/workflows/validate", {"steps": STEPS}, 200),
        ("get", f"{one}/versions", None, 200),
        ("post", f"{one}/versions/1/activate", None, 200),
        ("post", f"{one}/execute", {}, 202),
        ("get", f"{one}/executions", None, 200),
        ("post", f"{prefix}/workflows/execute",
         {"workflow": "shout", "options": {"wait": 0}}, 202),
        ("get", f"{prefix}/executions", None, 200),
        ("get", run, None, 200),
        ("get", f"{run}/steps", None, 200),
        ("get", f"{run}/events", None, 200),
        ("post", f"{run}/cancel", {"reason": "enough"}, 200),
        ("post", f"{run}/retry", None, 200),
        ("delete", f"{prefix}/workflows/b", None, 204),
    ):  # fmt: skip
        answer = getattr(api, method)(f"{path}{end}", body)
        assert answer.status_code == status, (method, path, answer.content)


def test_a_definition_is_stored_with_its_first_version(api: APIClient) -> None:
    body = make(
        api, type="data_processing", metadata={"team": "a"}, output="$.steps.shout.output",
        timeout=60,
    )  # fmt: skip
    assert (body["type"], body["status"], body["version"]) == ("DATA_PROCESSING", "ACTIVE", 1)
    assert (body["steps"], body["metadata"]) == (STEPS, {"team": "a"})
    assert (body["output"], body["timeout"]) == ("$.steps.shout.output", 60)
    assert "retry" not in body
    assert api.get(f"/workflows/{body['id']}").json() == body
    assert api.get("/workflows/SHOUT").json() == body


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"steps": STEPS}, "name"),
        ({"name": "a"}, "steps"),
        ({"name": "a", "steps": []}, "steps"),
        ({"name": "a", "steps": "x"}, "steps"),
        ({"name": "a", "steps": STEPS, "type": "nonsense"}, "type"),
        ({"name": "a", "steps": STEPS, "status": "nonsense"}, "status"),
        ({"name": "a", "steps": STEPS, "metadata": []}, "metadata"),
        ({"name": "a", "steps": STEPS, "stepz": []}, "stepz"),
        ({"name": "a/b", "steps": STEPS}, "name"),
        ({"name": "Execute", "steps": STEPS}, "name"),
        ({"name": "validate", "steps": STEPS}, "name"),
        ({"name": "a", "steps": [{**STEPS[0], "next": "nowhere"}]}, "steps[0].next"),
        ({"name": "a", "steps": [{**STEPS[0], "next": "shout"}]}, "steps[0].next"),
        ({"name": "a", "steps": [{"id": "x", "service": "missing", "action": "b"}]},
         "steps[0].service"),
        ({"name": "a", "steps": STEPS, "timeout": -1}, "timeout"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_its_path(api: APIClient, body: dict[str, Any], path: str) -> None:
    answer = api.post("/workflows", body)
    assert answer.status_code == 400, answer.content
    assert answer.json()["code"] == "validation_error"
    assert path in answer.json()["errors"]
    assert not Workflow.objects.exists()


def test_a_draft_may_name_what_is_not_registered_yet(api: APIClient) -> None:
    steps = [{"id": "x", "service": "missing", "action": "go", "next": None}]
    draft = make(api, steps=steps, status="draft")
    assert draft["status"] == "DRAFT"
    activated = api.patch("/workflows/shout", {"status": "active"})
    assert activated.status_code == 400
    assert "steps[0].service" in activated.json()["errors"]
    factories.make_service("missing", urls=("http://m",), actions=("go",))
    assert api.patch("/workflows/shout", {"status": "active"}).json()["status"] == "ACTIVE"


def test_validating_stores_nothing(api: APIClient) -> None:
    good = api.post("/workflows/validate", {"name": "a", "steps": STEPS}).json()
    assert (good["valid"], good["errors"]) == (True, {})
    bad = api.post("/workflows/validate", {"steps": [{"id": "a", "next": "b"}]})
    assert bad.status_code == 200
    assert not bad.json()["valid"]
    assert all(path.startswith("steps[0]") for path in bad.json()["errors"])
    draft = {"steps": [{"id": "x", "service": "m", "action": "a"}], "status": "DRAFT"}
    found = api.post("/workflows/validate", draft).json()
    assert found["valid"]
    assert found["warnings"]
    assert not Workflow.objects.exists()


@pytest.mark.parametrize("method", ["put", "patch"])
def test_other_steps_make_a_new_version(api: APIClient, method: str) -> None:
    change = getattr(api, method)
    make(api)
    assert change("/workflows/shout", {"description": "x"}).json()["version"] == 1
    assert change("/workflows/shout", {"steps": STEPS}).json()["version"] == 1
    assert change("/workflows/shout", {"steps": OTHER_STEPS}).json()["version"] == 2
    assert change("/workflows/shout", {"timeout": 5}).json()["version"] == 3
    listed = api.get("/workflows/shout/versions").json()
    shown = [(v["number"], v["is_current"], v["options"]) for v in listed["items"]]
    assert shown == [(3, True, {"timeout": 5}), (2, False, {}), (1, False, {})]
    assert api.get("/workflows/shout/versions?x=1").status_code == 400


def test_an_earlier_version_is_activated(api: APIClient) -> None:
    make(api)
    api.put("/workflows/shout", {"steps": OTHER_STEPS})
    body = api.post("/workflows/shout/versions/1/activate").json()
    assert (body["version"], body["steps"]) == (1, STEPS)
    assert api.post("/workflows/shout/versions/9/activate").status_code == 404
    assert api.post("/workflows/shout/versions/x/activate").status_code == 404


def test_a_change_holds_to_if_match(api: APIClient) -> None:
    make(api)
    tag = api.get("/workflows/shout")["ETag"]
    assert api.patch("/workflows/shout", {"description": "1"}, HTTP_IF_MATCH=tag).status_code == 200
    stale = api.patch("/workflows/shout", {"description": "2"}, HTTP_IF_MATCH=tag)
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    assert api.delete("/workflows/shout", HTTP_IF_MATCH=tag).status_code == 412


def test_a_taken_name_is_a_conflict(api: APIClient) -> None:
    make(api)
    assert api.post("/workflows", {"name": "SHOUT", "steps": STEPS}).status_code == 409
    make(api, name="other")
    assert api.patch("/workflows/other", {"name": "Shout"}).status_code == 409


def test_a_workflow_with_open_executions_is_not_deleted(api: APIClient) -> None:
    workflow = factories.make_workflow("shout")
    execution = factories.make_execution(workflow)
    refused = api.delete("/workflows/shout")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    WorkflowExecution.objects.update(status="COMPLETED")
    assert api.delete("/workflows/shout").status_code == 204
    kept = api.get(f"/executions/{execution.pk}").json()
    assert (kept["workflow_id"], kept["workflow_name"], kept["version"]) == (None, "shout", None)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["a", "b", "c"]),
        ("status=draft", ["b"]),
        ("type=Custom,Data_Processing", ["a", "b", "c"]),
        ("type=data_processing", ["c"]),
        ("name=A", ["a"]),
        ("search=LOUD", ["c"]),
        ("ordering=-name", ["c", "b", "a"]),
        ("per_page=2&page=2", ["c"]),
    ],
)
def test_workflows_are_listed(api: APIClient, query: str, names: list[str]) -> None:
    factories.make_workflow("a")
    factories.make_workflow("b", status="DRAFT")
    factories.make_workflow("c", type="DATA_PROCESSING", description="loud")
    body = api.get(f"/workflows?{query}").json()
    assert [item["name"] for item in body["items"]] == names


@pytest.mark.parametrize(
    ("query", "path"),
    [("status=up", "status"), ("type=x", "type"), ("x=1", "x"), ("ordering=steps", "ordering")],
)
def test_lists_refuse_what_they_do_not_know(api: APIClient, query: str, path: str) -> None:
    answer = api.get(f"/workflows?{query}")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [path])


# --- Starting ---


def test_an_execution_is_accepted(api: APIClient) -> None:
    workflow = make(api)
    body = {"input_data": {"text": "hi"}, "context": {"correlation_id": "c-1"}}
    answer = api.post("/workflows/shout/execute", body, HTTP_X_REQUEST_ID="r-1")
    assert answer.status_code == 202
    found = answer.json()
    assert answer["Location"] == f"http://testserver/executions/{found['id']}"
    assert set(found) == {
        "id", "execution_id", "workflow_id", "workflow_name", "workflow_type", "version", "status",
        "input", "output", "result", "errors", "context", "correlation_id", "current_step",
        "execution_time", "started_by", "rerun_of", "started_at", "completed_at", "created_at",
        "reruns", "steps", "warnings", "priority", "queued", "queue_position",
        "active_time", "idle_steps",
    }  # fmt: skip
    assert found["id"] == found["execution_id"]
    assert (found["workflow_id"], found["workflow_type"]) == (workflow["id"], "CUSTOM")
    assert (found["status"], found["current_step"]) == ("PENDING", "shout")
    assert found["context"] == {"correlation_id": "c-1", "request_id": "r-1"}
    assert found["correlation_id"] == "c-1"
    assert [step["step_id"] for step in found["steps"]] == ["shout"]
    assert api.get(answer["Location"]).json()["id"] == found["id"]
    under_api = api.post("/api/workflows/shout/execute", {})
    assert "/api/executions/" in under_api["Location"]


def test_an_unusable_request_id_does_not_reach_the_context(api: APIClient) -> None:
    make(api)
    answer = api.post("/workflows/shout/execute", {}, HTTP_X_REQUEST_ID="x" * 9999)
    assert answer.json()["context"]["request_id"] == answer["X-Request-ID"]


def test_the_answer_is_200_once_the_execution_ended_within_wait(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(api)
    waited: list[float] = []

    def wait(execution_id: uuid.UUID, *, seconds: float) -> Future[bool]:
        waited.append(seconds)
        done = {"status": "COMPLETED", "output": {"text": "HI"}}
        WorkflowExecution.objects.filter(pk=execution_id).update(**done)
        future: Future[bool] = Future()
        future.set_result(True)
        return future

    monkeypatch.setattr("workflows.services.when_ended", wait)
    answer = api.post("/workflows/shout/execute", {"wait": 12.5})
    assert (answer.status_code, waited) == (200, [12.5])
    assert answer.json()["result"] == answer.json()["output"] == {"text": "HI"}
    api.post("/workflows/execute", {"workflow": "shout"})
    api.post("/workflows/execute", {"workflow": "shout", "options": {"timeout": 3}})
    assert waited[1:] == [30, 3]
    going_on = api.post("/workflows/shout/execute", {}).json()
    assert api.get(f"/executions/{going_on['id']}?wait=20").json()["status"] == "COMPLETED"
    assert waited[-1] == 20


@pytest.mark.parametrize("status", ["DRAFT", "INACTIVE", "ARCHIVED"])
def test_only_active_workflows_are_started(api: APIClient, status: str) -> None:
    factories.make_workflow("shout", status=status)
    answer = api.post("/workflows/shout/execute", {})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert f"is {status}" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"input_data": []}, "input_data"),
        ({"context": "x"}, "context"),
        ({"wait": 61}, "wait"),
        ({"wait": -1}, "wait"),
        ({"wait": "soon"}, "wait"),
        ({"priority": 10**30}, "priority"),
        ({"inputs": {}}, "inputs"),
    ],
)
def test_starts_refuse_what_they_do_not_know(
    api: APIClient, body: dict[str, Any], path: str
) -> None:
    make(api)
    answer = api.post("/workflows/shout/execute", body)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [path])
    assert not WorkflowExecution.objects.exists()


def test_an_idempotency_key_answers_the_first_execution(api: APIClient) -> None:
    make(api)

    def start(text: str, key: str = "k-1") -> Any:
        body = {"input_data": {"text": text}}
        return api.post("/workflows/shout/execute", body, HTTP_IDEMPOTENCY_KEY=key)

    first = start("a").json()["id"]
    assert start("a").json()["id"] == first
    conflict = start("b")
    assert (conflict.status_code, conflict.json()["code"]) == (409, "conflict")
    assert start("b", "k-2").json()["id"] != first
    assert start("a", "").json()["id"] != start("a", "").json()["id"]
    other = make(api, name="other")["id"]
    elsewhere = api.post(f"/workflows/{other}/execute", {}, HTTP_IDEMPOTENCY_KEY="k-1")
    assert elsewhere.status_code == 202


@pytest.mark.parametrize("key", ["x" * 256, "x" * 10_000, "a\x00b", "a\x1bb"])
def test_unusable_idempotency_keys_are_refused(api: APIClient, key: str) -> None:
    make(api)
    answer = api.post("/workflows/shout/execute", {}, HTTP_IDEMPOTENCY_KEY=key)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["Idempotency-Key"])


def test_a_request_names_a_type_or_a_workflow(api: APIClient) -> None:
    factories.make_workflow("mine", type="MODEL_EVALUATION")
    no_wait = {"options": {"wait": 0}}
    for body in (
        {"workflow_type": "Model_Evaluation", "data": {"text": "a"}},
        {"type": "model_evaluation", "input_data": {"text": "a"}},
        {"workflow": "mine", "input": {"text": "a"}},
        {"workflow_id": "MINE", "data": {"text": "a"}},
    ):
        answer = api.post("/workflows/execute", {**body, **no_wait})
        assert answer.status_code == 202, answer.content
        assert (answer.json()["workflow_name"], answer.json()["input"]) == ("mine", {"text": "a"})
    for wrong in ({}, {"workflow": "mine", "workflow_type": "CUSTOM"}, {"workflow_type": "x"}):
        assert "workflow_type" in api.post("/workflows/execute", wrong).json()["errors"]
    missing = api.post("/workflows/execute", {"workflow_type": "data_processing"})
    assert missing.status_code == 404
    assert api.post("/workflows/execute", {"workflow": "no"}).status_code == 404


CATALOG = ["project-planning", "project-creation", "agent-task-execution", "human-interaction"]


@pytest.mark.parametrize("name", CATALOG)
def test_the_body_of_a_request_of_a_type_is_its_input(
    api: APIClient, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.api.workflows.REQUEST_WAIT_SECONDS", 0)
    kind = name.upper().replace("-", "_")
    assert api.post(f"/workflows/{name}", {"a": 1}).status_code == 404
    factories.make_workflow("own", type=kind)
    answer = api.post(f"/workflows/{name}", {"a": 1})
    assert (answer.status_code, answer.json()["input"]) == (202, {"a": 1})
    assert answer.json()["workflow_type"] == kind


@pytest.mark.parametrize("name", CATALOG)
def test_workflows_of_the_catalog_are_reached_by_their_names(api: APIClient, name: str) -> None:
    install_catalog()
    assert api.get(f"/workflows/{name}").json()["name"] == name
    changed = api.patch(f"/workflows/{name}", {"description": "mine"})
    assert changed.json()["description"] == "mine"
    assert api.get(f"/workflows/{name}/versions").json()["total"] == 1
    assert api.delete(f"/workflows/{name}").status_code == 204


# --- Executions ---


@pytest.fixture
def history() -> list[WorkflowExecution]:
    """Four executions, newest last."""
    first, second = factories.make_workflow("first"), factories.make_workflow("second")
    made = [
        factories.make_execution(first, status="COMPLETED", correlation_id="c-1"),
        factories.make_execution(first, status="FAILED"),
        factories.make_execution(second, status="FAILED", type="DATA_PROCESSING"),
        factories.make_execution(second),
    ]
    now = timezone.now()
    for days, execution in zip((4, 3, 2, 1), made, strict=True):
        WorkflowExecution.objects.filter(pk=execution.pk).update(
            created_at=now - timedelta(days=days)
        )
    return made


@pytest.mark.parametrize(
    ("query", "positions"),
    [
        ("", [3, 2, 1, 0]),
        ("status=failed", [2, 1]),
        ("status=failed,completed", [2, 1, 0]),
        ("type=data_processing", [2]),
        ("workflow=FIRST", [1, 0]),
        ("correlation_id=c-1", [0]),
        ("created_after={middle}", [3, 2]),
        ("created_before={middle}", [1, 0]),
        ("ordering=created_at", [0, 1, 2, 3]),
        ("per_page=3&page=2", [0]),
        ("page=9", []),
        ("workflow=" + str(uuid.UUID(int=0)), []),
    ],
)
def test_executions_are_listed(
    api: APIClient, history: list[WorkflowExecution], query: str, positions: list[int]
) -> None:
    middle = (timezone.now() - timedelta(days=2, hours=12)).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = api.get(f"/executions?{query.format(middle=middle)}").json()
    assert [item["id"] for item in body["items"]] == [str(history[n].pk) for n in positions]
    assert all("steps" not in item for item in body["items"])


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("status=up", "status"),
        ("type=x", "type"),
        ("x=1", "x"),
        ("ordering=name", "ordering"),
        ("created_after=yesterday", "created_after"),
        ("created_after=0001-01-01T00:00:00%2B14:00", "created_after"),
        ("cursor=nonsense", "cursor"),
        ("cursor=&page=2", "page"),
        ("cursor=&ordering=created_at", "ordering"),
    ],
)
@pytest.mark.parametrize("base", ["/executions", "/workflows/first/executions"])
def test_execution_lists_refuse_what_they_do_not_know(
    api: APIClient, base: str, query: str, path: str
) -> None:
    factories.make_workflow("first")
    answer = api.get(f"{base}?{query}")
    assert answer.status_code == 400, answer.content
    assert list(answer.json()["errors"]) == [path]


def test_executions_of_one_workflow(api: APIClient, history: list[WorkflowExecution]) -> None:
    body = api.get("/workflows/first/executions?status=failed&ordering=-created_at").json()
    assert [item["id"] for item in body["items"]] == [str(history[1].pk)]
    assert api.get("/workflows/other/executions").status_code == 404


@pytest.mark.parametrize(
    ("path", "key", "newest_first"),
    [
        ("/executions", "id", True),
        ("/workflows/shout/executions", "id", True),
        ("/executions/{id}/steps", "id", False),
        ("/executions/{id}/events", "sequence", False),
    ],
)
def test_cursors_walk_the_whole_list_once(
    api: APIClient, path: str, key: str, newest_first: bool
) -> None:
    workflow = factories.make_workflow("shout")
    execution = [factories.make_execution(workflow) for _ in range(7)][-1]
    for number in range(2, 8):
        WorkflowStep.objects.create(execution=execution, step_id="s", path="s", attempt=number)
        WorkflowEvent.objects.create(execution=execution, sequence=number, kind=EventKind.RETRIED)
    following: str | None = path.format(id=execution.pk) + "?cursor=&per_page=3"
    seen: list[Any] = []
    pages = 0
    while following:
        body = api.get(following).json()
        assert set(body) == {
            "items", "total", "page", "per_page", "pages", "next", "previous", "cursor",
        }  # fmt: skip
        seen += [item[key] for item in body["items"]]
        following, pages = body["next"], pages + 1
    assert (len(seen), pages) == (7, 3)
    assert seen == sorted(seen, reverse=newest_first)


def test_totals_of_long_lists_are_estimates(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.api.pagination.EXACT_COUNT_LIMIT", 2)
    workflow = factories.make_workflow("shout")
    for _ in range(5):
        factories.make_execution(workflow)
    body = api.get("/executions?per_page=2").json()
    assert body["total_is_estimate"]
    assert body["total"] >= 3
    seen, following = len(body["items"]), body["next"]
    while following:
        body = api.get(following).json()
        seen, following = seen + len(body["items"]), body["next"]
    assert seen == 5


def count_queries(api: APIClient, path: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert api.get(path).status_code == 200
    return len(queries)


@pytest.mark.parametrize(
    "path",
    [
        "/workflows?per_page=50",
        "/workflows/shout/executions?per_page=50",
        "/workflows/shout/versions?per_page=50",
        "/executions?per_page=50",
        "/executions?per_page=50&cursor=",
        "/executions/{id}",
        "/executions/{id}/steps?per_page=50",
        "/executions/{id}/events?per_page=50",
    ],
)
@pytest.mark.usefixtures("keys_stay_known")
def test_lists_cost_the_same_with_2_and_30_rows(api: APIClient, path: str) -> None:
    workflow = factories.make_workflow("shout")
    execution = factories.make_execution(workflow)
    path = path.format(id=execution.pk)

    def grow(numbers: range) -> None:
        for number in numbers:
            factories.make_workflow()
            factories.make_execution(workflow)
            workflow.versions.create(number=number, steps=STEPS, checksum="x")
            execution.steps.create(step_id="s", path="s", attempt=number)
            execution.events.create(sequence=number, kind=EventKind.RETRIED)

    grow(range(2, 4))
    api.get(path)  # the key was used: what follows does not note it again
    few = count_queries(api, path)
    grow(range(4, 32))
    assert count_queries(api, path) == few


def test_an_execution_shows_its_steps_and_events(api: APIClient) -> None:
    execution = factories.make_execution()
    shown = api.get(f"/executions/{execution.pk}").json()
    assert [step["path"] for step in shown["steps"]] == ["shout"]
    steps = api.get(f"/executions/{execution.pk}/steps?include=input,output").json()
    assert steps["items"] == shown["steps"]
    events = api.get(f"/executions/{execution.pk}/events").json()
    assert [(e["sequence"], e["kind"]) for e in events["items"]] == [(1, "STARTED")]
    assert api.get(f"/executions/{execution.pk}/events?x=1").status_code == 400


@pytest.mark.parametrize("wait", ["61", "-1", "x", "nan", "inf", ""])
def test_waiting_refuses_wrong_numbers(api: APIClient, wait: str) -> None:
    execution = factories.make_execution(status="COMPLETED")
    assert api.get(f"/executions/{execution.pk}?wait={wait}").status_code == 400


def test_cancelling_and_retrying(api: APIClient) -> None:
    execution = factories.make_execution()
    path = f"/executions/{execution.pk}"
    conflict = api.post(f"{path}/retry")
    assert (conflict.status_code, conflict.json()["code"]) == (409, "conflict")
    cancelled = api.post(f"{path}/cancel", {"reason": "enough"}).json()
    assert cancelled["status"] == "CANCELLED"
    assert [step["status"] for step in cancelled["steps"]] == ["CANCELLED"]
    again = api.post(f"{path}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert "is CANCELLED already" in again.json()["detail"]
    retried = api.post(f"{path}/retry").json()
    assert retried["status"] == "RUNNING"
    assert [step["status"] for step in retried["steps"]] == ["CANCELLED", "PENDING"]
    kinds = [event["kind"] for event in api.get(f"{path}/events").json()["items"]]
    assert kinds == ["STARTED", "CANCELLED", "RETRIED"]


def test_a_completed_execution_can_neither_be_cancelled_nor_retried(api: APIClient) -> None:
    execution = factories.make_execution(status="COMPLETED")
    for verb in ("cancel", "retry"):
        assert api.post(f"/executions/{execution.pk}/{verb}").status_code == 409


def test_a_key_controls_only_what_it_started() -> None:
    own, other = factories.caller("SERVICE"), factories.caller("SERVICE")
    factories.make_workflow("shout")
    path = f"/executions/{own.post('/workflows/shout/execute', {}).json()['id']}"
    for verb in ("cancel", "retry"):
        refused = other.post(f"{path}/{verb}")
        assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    assert other.get(path).status_code == 200
    assert own.post(f"{path}/cancel").status_code == 200
    assert factories.caller("OPERATOR").post(f"{path}/retry").status_code == 200
