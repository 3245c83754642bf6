"""Every route that the earlier system had or documented answers what its clients can read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from django.db import transaction

from registry.models import CircuitBreakerState, ServiceInstance
from tests import factories
from tests.support.old_client import (
    STEP_FIELDS,
    CircuitInfo,
    OldService,
    ServiceInfo,
    SystemHealth,
    events_of,
    items_of,
    parse,
    steps_of,
    workflow_of,
)
from workflows.models import WorkflowExecution, WorkflowStep

Read = Callable[[Any], Any]
OWN_ID = "planning-7"
DEFINITION = {
    "steps": [
        {"name": "Ask them", "step_type": "http", "sequence": 2, "depends_on": ["plan"],
         "endpoint": "GET http://planning-system:8000/plans"},
        {"name": "plan", "step_type": "http", "sequence": 1, "service": "planning-system",
         "endpoint": "POST /plans/strategic", "depends_on": [],
         "retry_policy": {"max_attempts": 3, "backoff_base": 1, "backoff_multiplier": 2}},
    ],
    "error_handlers": [{"step": "plan", "action": "stop"}],
}  # fmt: skip
EXECUTION = {"workflow_type": "PROJECT_PLANNING", "workflow_id": "run-8", "data": {"text": "x"},
             "options": {"timeout": 0}}  # fmt: skip


def nothing(body: Any) -> None:
    return None


def of_service(body: Any) -> None:
    assert parse(ServiceInfo, body).service_id == OWN_ID


def circuits(body: Any) -> None:
    assert parse(CircuitInfo, body["circuit_breakers"][OWN_ID]).state == "OPEN"


def says(**fields: Any) -> Read:
    def read(body: Any) -> None:
        assert {name: body[name] for name in fields} == fields

    return read


def has(*names: str) -> Read:
    def read(body: Any) -> None:
        assert set(names) <= body.keys(), body

    return read


def envelope(body: Any) -> None:
    assert isinstance(body["items"], list)
    assert body["success"] is True


def text(body: Any) -> None:
    assert body in ("ONLINE", "OFFLINE", "DEGRADED", "MAINTENANCE")


# Method and path as in the earlier system's own list, what is sent, the status, what is read.
INTEGRATION = {
    "name": "calls", "source_service_id": OWN_ID, "target_service_id": OWN_ID,
    "integration_type": "REST", "config": {"endpoint": "/plans/strategic", "method": "POST"},
}  # fmt: skip
REGISTRATION = {
    "service_id": OWN_ID, "name": "planning-system", "type": "planning_system", "version": "1",
    "base_url": "http://127.0.0.1:9/", "health_check_url": "http://127.0.0.1:9/health",
    "endpoints": [], "metadata": {},
}  # fmt: skip
ROUTES: list[tuple[str, str, Any, int, Read]] = [
    ("POST", "/services", REGISTRATION, 200, of_service),
    ("GET", "/services", None, 200, items_of),
    ("GET", "/services?service_type=planning_system&capability=x", None, 200, items_of),
    ("GET", "/services/{service}", None, 200, of_service),
    ("PUT", "/services/{service}", {"description": "New", "capabilities": ["x"]}, 200, of_service),
    ("GET", "/services/{service}/health", None, 200, has("status")),
    ("POST", "/integrations", {**INTEGRATION, "name": "more"}, 201, has("id", "config", "status")),
    ("GET", "/integrations", None, 200, envelope),
    ("GET", "/integrations?source_service_id=planning-system", None, 200, envelope),
    ("GET", "/integrations?integration_type=REST", None, 200, envelope),
    ("GET", "/integrations/{integration}", None, 200, says(integration_type="REST")),
    ("PUT", "/integrations/{integration}", {"config": {"retries": 2}}, 200, has("config")),
    ("DELETE", "/integrations/{integration}", None, 204, nothing),
    ("POST", "/registry/services", REGISTRATION, 200, of_service),
    ("GET", "/registry/services/{service}", None, 200, of_service),
    ("DELETE", "/registry/services/{service}", None, 204, nothing),
    ("POST", "/registry/services/{service}/heartbeat", {}, 200, of_service),
    ("POST", "/registry/services/{service}/heartbeat", {"service_id": OWN_ID, "status": "degraded"},
     200, of_service),
    ("PUT", "/registry/services/{service}/status?status=MAINTENANCE", None, 200, of_service),
    ("GET", "/discovery/services?include_offline=true", None, 200, items_of),
    ("POST", "/discovery/services/search", {"service_type": None}, 200, items_of),
    ("GET", "/discovery/services/type/PLANNING_SYSTEM", None, 200, of_service),
    ("GET", "/discovery/health/{service}", None, 200, text),
    ("POST", "/workflows/execute", EXECUTION, 200, workflow_of),
    ("POST", "/workflows/project-planning", {"project_id": "p"}, 200, workflow_of),
    ("POST", "/workflows/agent-task-execution", {"task_id": "t", "agent_id": "a"}, 200,
     workflow_of),
    ("GET", "/health/system", None, 200, lambda body: parse(SystemHealth, body)),
    ("GET", "/health/circuit-breakers", None, 200, circuits),
    ("GET", "/health/ready", None, 200, says(status="ready")),
    ("GET", "/health/alive", None, 200, says(status="alive")),
    ("GET", "/", None, 200, has("service", "version", "status", "documentation")),
    ("GET", "/ready", None, 200, says(status="ready")),
    ("GET", "/alive", None, 200, says(status="alive")),
    ("GET", "/redoc", None, 302, nothing),
    ("GET", "/docs", None, 200, nothing),
    ("POST", "/workflows", {"name": "Plan / more", "definition": DEFINITION}, 201,
     has("workflow_id", "name", "version")),
    ("POST", "/workflows/{workflow}/validate", {}, 200, says(valid=True, errors=[])),
    ("POST", "/workflows/{workflow}/validate", {"definition": DEFINITION}, 200, has("valid")),
    ("POST", "/workflows/{workflow}/versions", {"definition": DEFINITION}, 201, says(version=2)),
    ("GET", "/workflows/{workflow}/steps", None, 200, has("items", "steps")),
    ("GET", "/workflows/{execution}/steps", None, 200, steps_of),
    ("POST", "/executions", {"workflow_id": "project-planning", "correlation_id": "c",
                             "context": {"text": "x"}}, 200, says(status="started")),
    ("GET", "/executions", None, 200, envelope),
    ("GET", "/executions/{execution}", None, 200, workflow_of),
    ("GET", "/executions/{execution}/state", None, 200, workflow_of),
    ("GET", "/executions/{execution}/history", None, 200, events_of),
    ("GET", "/executions/{execution}/steps", None, 200, steps_of),
    ("GET", "/executions/{execution}/events", None, 200, events_of),
    ("PUT", "/executions/{running}/pause", None, 200, workflow_of),
    ("PUT", "/executions/{paused}/resume", None, 200, workflow_of),
    ("PUT", "/executions/{running}/cancel", {"reason": "x"}, 200, workflow_of),
    ("POST", "/executions/{execution}/retry", None, 200, workflow_of),
    ("GET", "/executions/{execution}/steps/{step}/retries", None, 200, has("retries")),
    ("POST", "/executions/{execution}/steps/{step}/retry", None, 200, workflow_of),
    ("GET", "/steps", None, 200, steps_of),
    ("GET", "/steps/{step_row}", None, 200, has("data", *STEP_FIELDS)),
    ("POST", "/events", {"event_type": "paid", "correlation_id": "run-9", "data": {}}, 202,
     says(status="accepted", correlation_id="run-9", event_type="paid")),
    ("GET", "/events", None, 200, events_of),
    ("GET", "/events/{event}", None, 200, has("event_id", "event_type", "timestamp", "data")),
    ("GET", "/correlations/run-7/events", None, 200, events_of),
    ("GET", "/health/liveness", None, 200, says(status="alive")),
    ("GET", "/health/readiness", None, 200, says(status="ready")),
    ("GET", "/health/dependencies", None, 200, has("dependencies")),
    ("GET", "/metrics", None, 200, nothing),
]  # fmt: skip


@pytest.fixture
def world(old: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A service, a workflow, an execution that failed and others that wait; what each is called."""
    monkeypatch.setattr("workflows.api.workflows.REQUEST_WAIT_SECONDS", 0.0)
    OldService(old, service_id=OWN_ID, capabilities=["x"]).register()
    instance = ServiceInstance.objects.get(aliases__alias=OWN_ID)
    CircuitBreakerState.objects.create(instance=instance, state="FORCED_OPEN")
    for name in ("project-planning", "agent-task-execution"):
        factories.make_workflow(name, type=name.upper().replace("-", "_"))
    assert old.post("/integrations", json=INTEGRATION).status_code == 201
    for own in ("run-7", "run-9", "run-p"):
        old.post("/workflows/execute", json={**EXECUTION, "workflow_id": own})
    old.put("/executions/run-p/pause")
    failed = WorkflowExecution.objects.get(correlation_id="run-7")
    failed.steps.update(status="FAILED", error={"code": "x", "message": "It broke."})
    WorkflowExecution.objects.filter(pk=failed.pk).update(status="FAILED")
    step = WorkflowStep.objects.get(execution=failed)
    event = failed.events.get(sequence=1)
    return {
        "service": OWN_ID, "workflow": "project-planning", "execution": "run-7",
        "running": "run-9", "paused": "run-p", "integration": "calls", "step": step.step_id,
        "step_row": str(step.pk), "event": str(event.pk),
    }  # fmt: skip


def test_every_route_answers_what_an_old_client_reads(
    old: httpx2.Client, world: dict[str, str]
) -> None:
    assert old.post(f"/executions/{world['execution']}/steps/other/retry").status_code == 409
    wrong = []
    for method, path, body, status, read in ROUTES:
        with transaction.atomic():
            answer = old.request(method, path.format(**world), json=body)
            try:
                assert answer.status_code == status, answer.text[:300]
                is_json = "json" in answer.headers.get("Content-Type", "")
                read(answer.json() if is_json and answer.content else None)
            except (AssertionError, KeyError, TypeError) as error:
                wrong.append(f"{method} {path}: {answer.status_code} {error!r}")
            transaction.set_rollback(True)
    assert not wrong, "\n".join(wrong)
