"""The workflows of the fleet catalog make the calls of the earlier workflows, in their order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from registry.calls.client import ServiceClient
from tests import factories
from tests.support.engine import ended, make_workflow, running_engine, start
from tests.support.fleet import (
    EXECUTION_PLAN,
    PROJECT,
    STRATEGIC,
    TACTICAL,
    TYPES,
    Fleet,
    running_fleet,
)
from tests.support.waiting import until
from workflows.catalog import read_catalog
from workflows.models import WorkflowExecution
from workflows.services import get_execution
from workflows.services.definitions.lifecycle import workflow_of_type

ENTRIES = {entry["name"]: entry for entry in read_catalog()}


@pytest.fixture
def fleet(transactional_db: None) -> Iterator[Fleet]:
    with running_fleet() as fleet:
        for name, kind in TYPES.items():
            factories.make_service(name, urls=(fleet.url,), type=kind)
        yield fleet


def run(name: str, given: dict[str, Any]) -> WorkflowExecution:
    entry = ENTRIES[name]
    steps = [{**s, "seconds": 0.01} if s.get("type") == "WAIT" else s for s in entry["steps"]]
    execution = start(make_workflow(steps, name, output=entry["output"]), given)
    with running_engine(ServiceClient()) as engine:

        def has_ended() -> bool:
            engine.look()  # what a timer ends is due with the next look around
            return get_execution(str(execution.pk)).has_ended

        until(has_ended)
    return ended(execution)


@pytest.mark.once
def test_a_project_is_planned_by_six_calls(fleet: Fleet) -> None:
    execution = run("project-planning-fleet", {"project_id": "p1"})
    assert execution.status == "COMPLETED", execution.errors
    developer, designer = {"id": "a1", "type": "developer"}, {"id": "a2", "type": "DESIGNER"}
    output: Any = execution.output
    assignments = output["task_assignments"]
    assert [(a["task_id"], a["agent_id"], a["status"]) for a in assignments] == [
        ("t1", "a1", "ASSIGNED"), ("t3", "a1", "ASSIGNED"), ("t2", "a2", "ASSIGNED"),
    ]  # fmt: skip
    assert all(a["assigned_at"].endswith("Z") for a in assignments)

    def agent(kind: str, name: str) -> dict[str, Any]:
        configuration = {"project_context": PROJECT["description"], "specialization": kind}
        return {"project_id": "p1", "name": name, "type": kind, "configuration": configuration}

    assert fleet.asked == [
        ("GET", "/projects/p1", {}),
        ("POST", "/plans/strategic", {
            "project_id": "p1", "project_details": PROJECT,
            "options": {"include_resource_allocation": True, "include_timeline": True,
                        "optimization_target": "balanced"},
        }),
        ("POST", "/plans/tactical", {
            "project_id": "p1", "strategic_plan": STRATEGIC,
            "options": {"detail_level": "high", "include_dependencies": True,
                        "include_resource_requirements": True},
        }),
        ("POST", "/agents", agent("developer", "Developer Agent for Bridge")),
        ("POST", "/agents", agent("DESIGNER", "Designer Agent for Bridge")),
        ("PUT", "/projects/p1/planning", {
            "strategic_plan": STRATEGIC, "tactical_plan": TACTICAL,
            "agents": [developer, designer], "task_assignments": assignments,
        }),
    ]  # fmt: skip
    assert output == {
        "project_id": "p1", "strategic_plan": STRATEGIC, "tactical_plan": TACTICAL,
        "agents": [developer, designer], "task_assignments": assignments,
    }  # fmt: skip


@pytest.mark.once
def test_tasks_of_an_agent_that_was_not_made_are_left(fleet: Fleet) -> None:
    del fleet.agent_ids["developer"]
    output: Any = run("project-planning-fleet", {"project_id": "p1"}).output
    assert [agent["id"] for agent in output["agents"]] == ["a2"]
    assert [a["task_id"] for a in output["task_assignments"]] == ["t2"]


@pytest.mark.once
def test_a_task_is_executed_and_asked_for_until_it_ended(fleet: Fleet) -> None:
    fleet.statuses = ["RUNNING", "RUNNING", "CANCELED"]
    execution = run("agent-task-execution-fleet", {"task_id": "t1", "agent_id": "a1"})
    assert execution.status == "COMPLETED", execution.errors
    ids = {"task_id": "t1", "agent_id": "a1"}
    assert fleet.asked == [
        ("POST", "/plans/execution-plan", {**ids, "parameters": {}}),
        ("POST", "/executions", {**ids, "execution_plan": EXECUTION_PLAN, "parameters": {}}),
        *[("GET", "/executions/e1", {})] * 3,
    ]
    assert execution.output == {
        "execution_id": "e1", **ids, "status": "CANCELED", "result": {"text": "done"},
        "steps": [1], "metrics": {"tokens": 3}, "execution_time": 1.5,
    }  # fmt: skip


@pytest.mark.django_db
def test_the_catalog_that_is_chosen_stands_for_the_type(settings: Any) -> None:
    for name in ("project-planning-fleet", "project-planning", "project-creation"):
        kind = "PROJECT_CREATION" if name == "project-creation" else "PROJECT_PLANNING"
        factories.make_workflow(name, type=kind)
    for catalog, name in (("standard", "project-planning"), ("fleet", "project-planning-fleet")):
        settings.WORKFLOW_CATALOG = catalog
        assert workflow_of_type("PROJECT_PLANNING").name == name
        assert workflow_of_type("PROJECT_CREATION").name == "project-creation"


def test_entries_of_the_fleet_are_told_by_their_name() -> None:
    fleet = {name: entry for name, entry in ENTRIES.items() if name.endswith("-fleet")}
    assert {name: entry["type"] for name, entry in fleet.items()} == {
        "project-planning-fleet": "PROJECT_PLANNING",
        "agent-task-execution-fleet": "AGENT_TASK_EXECUTION",
    }
