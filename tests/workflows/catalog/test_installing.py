"""The workflows of the catalog in an installation that has some already, and who may answer."""

import pytest

from core.exceptions import Conflict
from tests import factories
from workflows import catalog, services
from workflows.models import StepStatus, Workflow

pytestmark = pytest.mark.django_db
NAMES = [
    "agent-task-execution", "agent-task-execution-fleet", "human-interaction", "project-creation",
    "project-planning", "project-planning-fleet",
]  # fmt: skip


def older(entry):
    """The entry as an earlier release had it."""
    first = {**entry["steps"][0], "next": None}
    return {**entry, "steps": [first], "output": {"first": f'$.steps."{first["id"]}".output'}}


@pytest.fixture
def install_older(monkeypatch):
    entries = catalog.read_catalog()
    with monkeypatch.context() as patch:
        patch.setattr(catalog, "read_catalog", lambda: [older(entry) for entry in entries])
        assert sorted(catalog.install_catalog()) == NAMES


def test_untouched_workflows_get_a_new_version(install_older):
    assert sorted(catalog.install_catalog()) == NAMES
    asking = Workflow.objects.get(name="human-interaction")
    assert asking.current_version.number == 2
    assert any(s.get("type") == "APPROVAL" for s in asking.current_version.steps)
    assert catalog.install_catalog() == []


def test_a_workflow_that_somebody_changed_is_left_as_it_is(install_older):
    asking = Workflow.objects.get(name="human-interaction")
    own = [{"id": "own", "type": "TRANSFORM", "output": {}, "next": None}]
    services.save_definition(asking, {"steps": own})
    assert "human-interaction" not in catalog.install_catalog()
    asking.refresh_from_db()
    assert asking.current_version.steps == own


def make_question():
    steps = [{"id": "ask", "type": "APPROVAL", "assignees": ["operator"], "next": None}]
    execution = factories.make_execution(factories.make_workflow(steps=steps), status="RUNNING")
    execution.steps.update(step_id="ask", path="ask", status=StepStatus.WAITING, input={})
    return execution


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"role": "OPERATOR"}, 200),
        ({"role": "SERVICE"}, 409),
        ({"role": "OPERATOR", "scopes": ["workflows:execute"]}, 409),
    ],
)
def test_a_key_answers_for_the_group_of_its_role(fields, status):
    execution = make_question()
    path = f"/executions/{execution.pk}/steps/ask/approve"
    assert factories.caller(**fields).post(path, {}).status_code == status


def test_a_caller_who_is_nobody_is_told_who_may_answer():
    with pytest.raises(Conflict, match="to be decided by operator"):
        services.decide_approval(make_question().pk, "ask", approve=True, actor="nobody")
