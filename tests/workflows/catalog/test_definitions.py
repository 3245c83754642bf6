"""The built-in workflows, checked against the reference services and run through their code."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from core.expressions import Recorded, build_scope
from core.roles import Role
from core.unknown_fields import fit
from reference_services.schemas import input_check
from reference_services.service import Call
from reference_services.services import SERVICES
from reference_services.store import ServiceStore
from workflows import definition
from workflows.definition import DOCUMENT_KEYS, parse
from workflows.validation import ActionInfo, ActionNotFoundError, validate

CATALOG = Path(definition.__file__).parents[1] / "catalog"
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
BY_TYPE = {service.type: service for service in SERVICES.values() if service.type != "CUSTOM"}

# The workflow guide's table: required and optional services.
DEPENDENCIES = {
    "PROJECT_CREATION": (
        {"WEB_DASHBOARD", "PROJECT_COORDINATOR"},
        {"PLANNING_SYSTEM", "AGENT_ORCHESTRATOR"},
    ),
    "PROJECT_PLANNING": (
        {"PROJECT_COORDINATOR", "PLANNING_SYSTEM", "AGENT_ORCHESTRATOR"},
        {"MODEL_ORCHESTRATION"},
    ),
    "AGENT_TASK_EXECUTION": ({"AGENT_ORCHESTRATOR", "MODEL_ORCHESTRATION"}, {"TOOL_INTEGRATION"}),
    "HUMAN_INTERACTION": ({"AGENT_ORCHESTRATOR", "WEB_DASHBOARD"}, {"PROJECT_COORDINATOR"}),
}

# The workflow guide's sequence diagrams; creation leaves the planning to its child.
CALLS = {
    "PROJECT_CREATION": [
        ("PROJECT_COORDINATOR", "create_project"),
        ("PROJECT_COORDINATOR", "update_project"),
    ],
    "PROJECT_PLANNING": [
        ("PROJECT_COORDINATOR", "get_project"),
        ("PLANNING_SYSTEM", "generate_strategic_plan"),
        ("PLANNING_SYSTEM", "generate_tactical_plan"),
        ("MODEL_ORCHESTRATION", "review_plan"),
        ("AGENT_ORCHESTRATOR", "create_agents"),
        ("AGENT_ORCHESTRATOR", "assign_tasks"),
        ("PROJECT_COORDINATOR", "update_project"),
    ],
    "AGENT_TASK_EXECUTION": [
        ("AGENT_ORCHESTRATOR", "get_task"),
        ("MODEL_ORCHESTRATION", "generate_execution_plan"),
        ("TOOL_INTEGRATION", "discover_tools"),
        ("MODEL_ORCHESTRATION", "execute_task"),
        ("AGENT_ORCHESTRATOR", "update_task"),
    ],
    "HUMAN_INTERACTION": [
        ("AGENT_ORCHESTRATOR", "request_interaction"),
        ("WEB_DASHBOARD", "notify"),
        ("AGENT_ORCHESTRATOR", "answer_interaction"),
        ("PROJECT_COORDINATOR", "update_project"),
    ],
}


def load(workflow_type):
    return json.loads((CATALOG / f"{workflow_type.lower()}.json").read_text())


def steps_of(workflow_type):
    return parse(document_of(workflow_type)).steps.values()


def calls_of(workflow_type):
    return [step for step in steps_of(workflow_type) if step.kind == "ACTION"]


def children_of(workflow_type):
    return [step for step in steps_of(workflow_type) if step.kind == "WORKFLOW"]


def type_of(name):
    return name.upper().replace("-", "_")


def document_of(workflow_type):
    return {key: part for key, part in load(workflow_type).items() if key in DOCUMENT_KEYS}


class ReferenceDirectory:
    """Knows the reference services by their types."""

    def find_action(self, target, action):
        service = BY_TYPE[target.name]
        for known in service.actions:
            if known.name == action:
                return ActionInfo(known.input_schema, known.output_schema)
        raise ActionNotFoundError(f"{service.name} has no action {action}")

    def find_workflow(self, name):
        if type_of(name) not in DEPENDENCIES:
            raise LookupError(name)


class StepFailedError(Exception):
    """A step without fallback that is not optional failed."""


class Bench:
    """Runs a definition step by step, calling the reference services' own code."""

    def __init__(self, folder):
        self.missing = set()
        self.calls = []
        self.decision = ("APPROVED", "Yes, go ahead.")
        self.stores = {type: ServiceStore(folder / f"{type}.db") for type in BY_TYPE}

    def call(self, step, given):
        self.calls.append((step.target.name, step.action))
        if step.target.name in self.missing:
            raise LookupError(f"No service of type {step.target.name} found")
        (action,) = (a for a in BY_TYPE[step.target.name].actions if a.name == step.action)
        given = json.loads(json.dumps(given))
        if step.unknown_fields == "STRIP":
            given = fit(action.input_schema, given).known
        assert input_check(action.input_schema)(given) == {}, step.id
        output = action.handler(Call(given, self.stores[step.target.name], NOW))
        assert input_check(action.output_schema)(output) == {}, step.id
        return output

    def outcome(self, step, scope):
        recorded = Recorded(NOW, step.id)
        if step.when is not None and not step.when.truth(scope, recorded):
            return {"status": "SKIPPED", "output": None, "error": None}
        if step.kind == "APPROVAL":
            return self.decided(step)
        try:
            given = step.input.render(scope, recorded)
            if step.kind == "WORKFLOW":
                output, _ = self.run(type_of(step.workflow), given)
            else:
                output = self.call(step, given)
        except (LookupError, StepFailedError) as error:
            if step.fallback is not None:
                return {
                    "status": "COMPLETED",
                    "output": step.fallback.output.render(scope, recorded),
                    "error": {"message": str(error)},
                }
            if not step.optional:
                raise StepFailedError(step.id) from error
            return {"status": "SKIPPED", "output": None, "error": {"message": str(error)}}
        return {"status": "COMPLETED", "output": output, "error": None}

    def decided(self, step):
        """What the engine makes of a decision."""
        word, answer = self.decision
        if word == "APPROVED":
            output = {"decision": word, "decisions": [{"by": "ines"}], "form": {"answer": answer}}
            assert input_check(step.form)(output["form"]) == {}
            return {"status": "COMPLETED", "output": output, "error": None}
        return {"status": "FAILED", "output": None, "error": {"code": word, "message": answer}}

    def run(self, workflow_type, given):
        plan: Any = parse(document_of(workflow_type))
        outcomes: dict[str, Any] = {}

        def scope():
            return build_scope(input=given, context={}, steps=outcomes, execution={"id": "e"})

        step_id: str | None = plan.first
        while step_id is not None:
            step = plan.steps[step_id]
            outcomes[step_id] = self.outcome(step, scope())
            ways = [r for r in step.on_error if outcomes[step_id]["status"] == "FAILED"]
            step_id = next((way.step for way in (*ways, *step.next)), None)
        statuses = {name: outcome["status"] for name, outcome in outcomes.items()}
        return plan.output.render(scope(), Recorded(NOW, "output")), statuses


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    for store in bench.stores.values():
        store.close()


@pytest.fixture
def project_id(bench):
    output, _ = bench.run("PROJECT_CREATION", {"name": "Shop", "description": "Sell tea online."})
    bench.calls.clear()
    return output["project_id"]


def test_the_catalog_holds_one_file_per_type():
    assert {path.stem.upper() for path in CATALOG.glob("*.json")} == set(DEPENDENCIES)


@pytest.mark.parametrize("workflow_type", DEPENDENCIES)
def test_definitions_are_valid_against_the_reference_services(workflow_type):
    validation = validate(document_of(workflow_type), directory=ReferenceDirectory())
    assert validation.errors == {}
    assert validation.warnings == []


@pytest.mark.parametrize("workflow_type", DEPENDENCIES)
def test_head_of_each_file(workflow_type):
    head = load(workflow_type)
    assert set(head) == {"name", "type", "description", "steps", "output", "metadata"}
    assert head["type"] == workflow_type
    assert head["name"] == workflow_type.lower().replace("_", "-")
    assert head["description"].endswith(".")


@pytest.mark.parametrize("workflow_type", DEPENDENCIES)
def test_required_and_optional_services_are_those_of_the_guide(workflow_type):
    metadata = load(workflow_type)["metadata"]
    required, optional = DEPENDENCIES[workflow_type]
    assert set(metadata["services"]["required"]) == required
    assert set(metadata["services"]["optional"]) == optional
    steps = calls_of(workflow_type)
    needed = {s.target.name for s in steps if not s.optional and s.fallback is None}
    assert needed == required - {metadata.get("called_by")}
    called = {s.target.name for s in steps}
    for child in children_of(workflow_type):
        assert child.fallback is not None
        called |= DEPENDENCIES[type_of(child.workflow)][0]
    assert called - needed == optional


@pytest.mark.parametrize("workflow_type", DEPENDENCIES)
def test_steps_follow_the_sequence_diagrams(workflow_type):
    steps = calls_of(workflow_type)
    assert [(s.target.name, s.action) for s in steps] == CALLS[workflow_type]
    assert all(s.target.kind == "service_type" for s in steps)
    assert all(s.timeout and s.retry.max_attempts > 1 for s in steps)


def test_a_project_is_created_and_planned_by_a_child(bench):
    given = {"name": "Shop", "description": "Sell tea online.", "status": "PLANNING"}
    output, statuses = bench.run("PROJECT_CREATION", given)
    assert statuses == {
        "create-project": "COMPLETED",
        "plan-project": "COMPLETED",
        "keep-simple-plan": "SKIPPED",
    }
    assert bench.calls == [CALLS["PROJECT_CREATION"][0], *CALLS["PROJECT_PLANNING"]]
    assert output["project"]["status"] == "PLANNED"
    assert output["project"]["name"] == "Shop"
    assert output["planned_by"] == "planning-system"
    assert output["tasks"]
    assert len(output["assignments"]) == len(output["tasks"])


@pytest.mark.parametrize("missing", ["PLANNING_SYSTEM", "AGENT_ORCHESTRATOR"])
def test_a_project_that_cannot_be_planned_gets_the_simple_plan(bench, missing):
    bench.missing = {missing}
    output, statuses = bench.run("PROJECT_CREATION", {"name": "Shop"})
    assert set(statuses.values()) == {"COMPLETED"}
    assert bench.calls[-1] == ("PROJECT_COORDINATOR", "update_project")
    assert output["planned_by"] == "fallback"
    assert output["project"]["status"] == "PLANNING"
    assert output["strategic_plan"]["objectives"] == ["Deliver Shop"]
    assert [phase["name"] for phase in output["strategic_plan"]["phases"]] == [
        "Preparation",
        "Realisation",
        "Handover",
    ]
    assert (output["tasks"], output["agents"], output["assignments"]) == ([], [], [])


def test_a_project_needs_its_coordinator(bench):
    bench.missing = {"PROJECT_COORDINATOR"}
    with pytest.raises(StepFailedError, match="create-project"):
        bench.run("PROJECT_CREATION", {"name": "Shop"})


def test_an_existing_project_is_planned(bench, project_id):
    output, statuses = bench.run("PROJECT_PLANNING", {"project_id": project_id})
    assert set(statuses.values()) == {"COMPLETED"}
    assert output["project"] == {"project_id": project_id, "name": "Shop", "status": "PLANNED"}
    assert output["review"]["review"]
    assert {a["task_id"] for a in output["assignments"]} == {t["task_id"] for t in output["tasks"]}
    assert {agent["skill"] for agent in output["agents"]} == {t["skill"] for t in output["tasks"]}


def test_planning_goes_on_without_a_review(bench, project_id):
    bench.missing = {"MODEL_ORCHESTRATION"}
    output, statuses = bench.run("PROJECT_PLANNING", {"project_id": project_id})
    assert statuses["review-plan"] == "SKIPPED"
    assert output["review"] is None
    assert output["assignments"]


@pytest.mark.parametrize(
    ("missing", "step"),
    [("PLANNING_SYSTEM", "strategic-plan"), ("AGENT_ORCHESTRATOR", "create-agents")],
)
def test_planning_fails_without_what_it_requires(bench, project_id, missing, step):
    bench.missing = {missing}
    with pytest.raises(StepFailedError, match=step):
        bench.run("PROJECT_PLANNING", {"project_id": project_id})


def some_task(bench, project_id):
    output, _ = bench.run("PROJECT_PLANNING", {"project_id": project_id})
    return output["tasks"][0]["task_id"]


def test_a_task_is_executed(bench, project_id):
    task_id = some_task(bench, project_id)
    output, statuses = bench.run("AGENT_TASK_EXECUTION", {"task_id": task_id})
    assert set(statuses.values()) == {"COMPLETED"}
    assert (output["task_id"], output["status"]) == (task_id, "COMPLETED")
    assert output["summary"]
    assert output["steps"]
    assert output["tools"]


def test_a_task_is_executed_without_tools_where_none_can_be_found(bench, project_id):
    task_id = some_task(bench, project_id)
    bench.missing = {"TOOL_INTEGRATION"}
    output, statuses = bench.run("AGENT_TASK_EXECUTION", {"task_id": task_id})
    assert statuses["discover-tools"] == "SKIPPED"
    assert output["status"] == "COMPLETED"
    assert output["tools"] == []
    assert output["missing_tools"]


def test_a_person_answers_an_agent(bench):
    output, statuses = bench.run("HUMAN_INTERACTION", {"question": "May the release go out?"})
    assert statuses["update-project"] == "SKIPPED"
    assert (output["status"], output["decision"]) == ("ANSWERED", "APPROVED")
    assert (output["answer"], output["decided_by"]) == ("Yes, go ahead.", "ines")
    assert output["project_status"] is None


def test_an_approved_project_goes_on(bench, project_id):
    given = {"question": "May it start?", "project_id": project_id, "task_id": "task-1"}
    output, statuses = bench.run("HUMAN_INTERACTION", given)
    assert statuses["update-project"] == "COMPLETED"
    assert output["project_status"] == "IN_PROGRESS"


@pytest.mark.parametrize(
    ("code", "decision"), [("rejected", "REJECTED"), ("approval_timeout", "UNANSWERED")]
)
def test_the_agent_learns_why_and_the_project_stays_as_it_is(bench, project_id, code, decision):
    bench.decision = (code, "ines rejected 'ask-a-person': Not before Monday.")
    given = {"question": "May I delete the database?", "project_id": project_id}
    output, statuses = bench.run("HUMAN_INTERACTION", given)
    assert (output["status"], output["decision"]) == ("ANSWERED", decision)
    assert output["answer"] == bench.decision[1]
    assert statuses["update-project"] == "SKIPPED"


def test_operators_are_asked():
    (asked,) = (s for s in steps_of("HUMAN_INTERACTION") if s.kind == "APPROVAL")
    assert asked.assignees == (Role.OPERATOR.group_name,)


def test_an_interaction_goes_on_without_the_coordinator(bench):
    bench.missing = {"PROJECT_COORDINATOR"}
    given = {"question": "May it start?", "project_id": "project-1"}
    output, statuses = bench.run("HUMAN_INTERACTION", given)
    assert statuses["update-project"] == "SKIPPED"
    assert output["status"] == "ANSWERED"
