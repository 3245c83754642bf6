"""Executions are started, answered and controlled in the old shapes."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from integration_site.legacy.model import Exchange, OldRequest
from integration_site.legacy.workflows import execution, one_execution
from tests import factories
from tests.support.old_client import WORKFLOW_STATUSES, workflow_of
from workflows.models import ExecutionStatus, WorkflowExecution, WorkflowStep, WorkflowType

REQUEST = {
    "workflow_id": "old-77",
    "workflow_type": "project_planning",
    "data": {"text": "hello"},
    "options": {"timeout": 0, "notify": True},
    "unknown": 1,
}


@pytest.fixture
def planning(legacy_api: None) -> Any:
    return factories.make_workflow("project-planning", type="PROJECT_PLANNING")


def test_an_execution_is_known_by_the_id_that_its_caller_gave(
    old: httpx2.Client, planning: Any
) -> None:
    answer = old.post("/workflows/execute", json=REQUEST)
    assert answer.status_code == 200, answer.text
    data = workflow_of(answer.json())
    assert (data.workflow_id, data.status) == ("old-77", "PENDING")
    stored = WorkflowExecution.objects.get()
    assert (stored.correlation_id, stored.input) == ("old-77", {"text": "hello"})
    assert stored.context["options"] == {"notify": True}
    again = workflow_of(old.post("/workflows/execute", json=REQUEST).json())
    assert again.id == data.id
    for reference in ("old-77", data.id):
        read = workflow_of(old.get(f"/executions/{reference}").json())
        assert read.workflow_id == reference
        assert old.get(f"/executions/{reference}/state").json()["execution_id"] == data.id
    history = old.get("/executions/old-77/history").json()
    assert [event["kind"] for event in history["items"]] == ["STARTED"]
    events = old.get("/correlations/old-77/events").json()["items"]
    assert [(e["execution_id"], e["kind"]) for e in events] == [(data.id, "STARTED")]
    assert old.get("/api/correlations/none/events").json()["items"] == []


def test_an_execution_is_controlled_by_put(old: httpx2.Client, planning: Any) -> None:
    old.post("/workflows/execute", json=REQUEST)
    statuses = [
        workflow_of(old.put(f"/executions/old-77/{act}").json()).status
        for act in ("pause", "resume", "cancel")
    ]
    assert statuses == ["PENDING", "RUNNING", "CANCELLED"]
    ended = old.get("/executions/old-77").json()
    assert (ended["success"], ended["message"]) == (False, "Workflow was cancelled")
    assert old.put("/executions/nobody/pause").status_code == 404


@pytest.mark.parametrize("path", ["each/0/call", "each%2F0%2Fcall"])
def test_a_step_of_an_iteration_is_known_by_its_path(
    old: httpx2.Client, planning: Any, path: str
) -> None:
    old.post("/workflows/execute", json=REQUEST)
    execution = WorkflowExecution.objects.get()
    failed = {"status": "FAILED", "error": {"code": "x", "message": "It broke."}}
    execution.steps.update(**failed)
    WorkflowStep.objects.create(
        execution=execution, step_id="call", path="each/0/call", scope="each/0", **failed
    )
    WorkflowExecution.objects.filter(pk=execution.pk).update(status="FAILED")
    steps = "/executions/old-77/steps"
    [attempt] = old.get(f"{steps}/{path}/retries").json()["retries"]
    assert (attempt["path"], attempt["retry_count"]) == ("each/0/call", 0)
    assert old.get(f"{steps}/each/1/call/retries").json()["retries"] == []
    assert old.post(f"{steps}/each/1/call/retry").status_code == 409
    answer = old.post(f"{steps}/{path}/retry")
    assert answer.status_code == 200, answer.text
    assert workflow_of(answer.json()).workflow_id == "old-77"


def test_an_execution_is_started_by_its_workflow(old: httpx2.Client, planning: Any) -> None:
    body = {"workflow_id": str(planning.pk), "correlation_id": "c-1", "context": {"text": "x"}}
    answer = old.post("/executions", json=body)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["status"], told["workflow_id"]) == ("started", str(planning.pk))
    assert told["correlation_id"] == "c-1"
    stored = WorkflowExecution.objects.get(pk=told["execution_id"])
    assert stored.input == {"text": "x"}
    assert old.post("/executions", json={}).status_code == 400
    factories.make_workflow("of two words")
    told = old.post("/executions", json={"workflow_id": "of two words", "context": {"text": "x"}})
    assert told.status_code == 200, told.text
    assert old.get("/executions").json()["items"][0]["errors"] == []


def test_a_type_has_a_path_of_its_own(old: httpx2.Client, planning: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("workflows.api.workflows.REQUEST_WAIT_SECONDS", 0.0)
    answer = old.post("/workflows/project-planning", json={"project_id": "p"})
    assert answer.status_code == 200
    assert workflow_of(answer.json()).status == "PENDING"


@pytest.mark.parametrize(
    ("options", "taken", "kept"),
    [
        ({"timeout": 30, "notify": True}, {"wait": 30}, {"notify": True}),
        ({"timeout": 3600}, {"wait": 60}, None),
        ({"timeout": "soon", "priority": 1000}, None, {"timeout": "soon", "priority": 1000}),
        ({"priority": 5}, {"priority": 5}, None),
        ("text", None, None),
        (None, None, None),
    ],
)
def test_options_are_free(options: Any, taken: Any, kept: Any) -> None:
    body = {"workflow_type": "x", "options": options}
    present = execution(OldRequest("POST", "/workflows/execute", body=body), None)
    assert present.body.get("options") == taken
    assert present.body["context"].get("options") == kept


def test_a_workflow_without_a_type_is_asked_for_as_today() -> None:
    request = OldRequest("POST", "/workflows/execute", body={"workflow_id": "w", "data": {}})
    assert execution(request, None) is request


@pytest.mark.parametrize("status", ExecutionStatus.values)
@pytest.mark.parametrize("kind", WorkflowType.values)
def test_every_status_and_type_is_one_that_an_old_parser_knows(status: str, kind: str) -> None:
    answer = {
        "id": "i", "status": status, "workflow_type": kind, "execution_time": None,
        "result": [1], "errors": [{"message": "It failed.", "code": "x"}, {"code": "y"}, "z"],
    }  # fmt: skip
    exchange = Exchange(OldRequest("GET", "/executions/i", subject="i"))
    told = one_execution(answer, exchange)
    assert workflow_of(told).errors == ["It failed.", "y", "z"]
    assert told["status"] in WORKFLOW_STATUSES
    assert told["result"] == {"output": [1]}
    assert told["workflow_type"] in (
        "PROJECT_PLANNING", "AGENT_TASK_EXECUTION", "TOOL_INTEGRATION", "MODEL_EVALUATION",
        "DATA_PROCESSING",
    )  # fmt: skip
