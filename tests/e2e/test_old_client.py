"""An old fleet on a whole hub with LEGACY_API=on, over HTTP, nothing faked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.e2e.conftest import surroundings_of
from tests.support.fleet import TYPES, Fleet, running_fleet
from tests.support.old_client import OldService, SystemHealth, items_of, parse, workflow_of
from tests.support.real_hub import Hub, running_hub
from tests.support.waiting import PATIENCE, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def old_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    directory: Path = tmp_path_factory.mktemp("old-hub")
    surroundings = {
        **surroundings_of("old_client"),
        "LEGACY_API": "on",
        "ANONYMOUS_API_ROLE": "OPERATOR",
        "ANONYMOUS_API_NETWORKS": "127.0.0.0/8",
        "WORKFLOW_CATALOG": "fleet",
    }
    with running_hub(directory, surroundings) as hub:
        yield hub


@pytest.fixture
def old(old_hub: Hub) -> Iterator[httpx2.Client]:
    """A client as the earlier system has it: without a key."""
    with httpx2.Client(base_url=old_hub.url, timeout=PATIENCE) as client:
        yield client


def test_a_service_lives_its_life(old: httpx2.Client) -> None:
    service = OldService(old, service_id="planning-7")
    assert service.register().service_id == "planning-7"
    assert service.beat().status == "ONLINE"
    assert service.health() == "ONLINE"
    assert [s.service_id for s in items_of(old.get("/discovery/services").json())] == ["planning-7"]
    health = parse(SystemHealth, old.get("/health/system").json())
    assert health.service_statuses == {"planning-7": "ONLINE"}
    assert (health.status, service.leave()) == ("HEALTHY", 204)
    for path in ("/ready", "/alive", "/health/liveness", "/health/readiness", "/openapi.json"):
        assert old.get(path).status_code == 200, path


@pytest.fixture
def fleet(old: httpx2.Client) -> Iterator[Fleet]:
    """A fleet whose services registered as they always did."""
    with running_fleet() as fleet:
        for name, kind in TYPES.items():
            OldService(
                old, name=name, type=kind.lower(), service_id=f"{name}-1", base_url=fleet.url
            ).register()
        yield fleet


def test_the_earlier_workflows_run_on_their_fleet(old: httpx2.Client, fleet: Fleet) -> None:
    planning = {"workflow_id": "w-1", "workflow_type": "project_planning",
                "data": {"project_id": "p1"}, "options": {"notify": True}}  # fmt: skip
    done = workflow_of(old.post("/workflows/execute", json=planning).json())
    assert (done.workflow_id, done.status, done.errors) == ("w-1", "COMPLETED", [])
    assert done.result is not None
    assert len(done.result["task_assignments"]) == 3
    assert len(fleet.asked) == 6
    task = {"task_id": "t1", "agent_id": "a1"}
    done = workflow_of(old.post("/workflows/agent-task-execution", json=task).json())
    assert (done.status, done.execution_time >= 2) == ("COMPLETED", True)
    assert done.result is not None
    assert done.result["status"] == "COMPLETED"
    missing = old.post("/workflows/project-planning", json={}).json()
    assert (missing["status"], missing["success"]) == ("FAILED", False)
    assert workflow_of(missing).errors


def test_an_integration_calls_a_path_of_a_service(old: httpx2.Client, fleet: Fleet) -> None:
    made = old.post(
        "/api/integrations",
        json={
            "name": "plans", "source_service_id": "project-coordinator-1",
            "target_service_id": "planning-system-1", "integration_type": "REST",
            "config": {"endpoint": "/plans/tactical", "method": "POST"},
        },
    )  # fmt: skip
    assert made.status_code == 201, made.text
    payload = {"project_id": "p1", "strategic_plan": {}, "options": {}}
    done = old.post(f"/api/integrations/{made.json()['id']}/execute", json={"payload": payload})
    assert done.status_code == 200, done.text
    assert done.json()["output"]["plan"]["tasks"]

    def is_counted() -> bool:
        rows = old.get("/health/legacy-calls?per_page=200").json()["items"]
        return ("POST /integrations", "anonymous") in {(r["route"], r["caller"]) for r in rows}

    until(is_counted, "the call is counted")
