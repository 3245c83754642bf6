"""Fields that an action does not know, in workflows: the failing chat of the specification runs."""

from __future__ import annotations

import pytest

from registry.calls.client import ServiceClient
from registry.integrations.lifecycle import create_integration
from registry.models import IntegrationExecution
from tests import factories
from tests.support.engine import ended, make_workflow, running_engine, start
from tests.support.integrations import coordinator
from workflows.catalog import install_catalog
from workflows.models import Workflow
from workflows.services import DryRun, dry_run_document, validate_document

CHAT = {"name": "New Project", "status": "PLANNING"}


@pytest.fixture
def project_coordinator(tmp_path):
    with coordinator(tmp_path) as service:
        yield service


def create_step(service, **more):
    return {"id": "create", "service": service.name, "action": "create_project", **more}


def run(workflow, document=CHAT):
    execution = start(workflow, document)
    with running_engine(ServiceClient()):
        return ended(execution)


def shown(execution):
    return factories.caller().get(f"/executions/{execution.pk}").json()


@pytest.mark.django_db(transaction=True)
def test_project_creation_of_the_catalog_takes_the_status_of_the_chat(project_coordinator):
    install_catalog()
    body = shown(run(Workflow.objects.get(name="project-creation")))
    assert body["status"] == "COMPLETED", body["errors"]
    assert body["output"]["project"]["name"] == "New Project"
    [warning] = body["warnings"]
    assert (warning["step"], warning["code"]) == ("create-project", "unknown_fields")
    assert warning["fields"] == ["status"]
    step = body["steps"][0]
    assert step["input"] == {"name": "New Project"}
    assert "does not know 'status': dropped." in step["warnings"][0]["message"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("input", [None, "$.input"])
def test_reject_fails_the_step_and_names_the_field(project_coordinator, input):
    more = {"unknown_fields": "REJECT", **({"input": input} if input else {})}
    body = shown(run(make_workflow([create_step(project_coordinator, **more)])))
    assert body["status"] == "FAILED"
    [error] = body["errors"]
    assert (error["code"], list(error["errors"])) == ("schema_violation", ["status"])
    assert body["warnings"] == []


@pytest.mark.django_db(transaction=True)
def test_what_a_running_document_holds_besides_is_left_out_without_a_word(tmp_path):
    with coordinator(tmp_path, unknown_fields="REJECT") as service:
        body = shown(run(make_workflow([create_step(service)])))
    assert (body["status"], body["warnings"]) == ("COMPLETED", [])


@pytest.mark.django_db(transaction=True)
def test_a_step_may_call_an_integration(project_coordinator):
    create_integration(
        {
            "name": "chat",
            "target": {"service": project_coordinator.name, "action": "create_project"},
            "unknown_fields": "STRIP",
            "response_mapping": {"id": "$.output.project_id"},
        }
    )
    steps = [{"id": "create", "integration": "chat", "input": "$.input"}]
    assert validate_document({"steps": steps}).errors == {}
    body = shown(run(make_workflow(steps)))
    assert body["status"] == "COMPLETED", body["errors"]
    assert list(body["output"]) == ["id"]
    assert [w["fields"] for w in body["warnings"]] == [["status"]]
    assert body["steps"][0]["service"] == project_coordinator.name
    entry = IntegrationExecution.objects.get()
    assert (entry.status, entry.actor) == ("COMPLETED", "engine")


@pytest.mark.django_db
def test_integration_that_is_not_there_is_named():
    steps = [{"id": "create", "integration": "none"}]
    found = validate_document({"steps": steps})
    assert found.errors == {"steps[0].integration": ["There is no integration 'none'."]}


@pytest.mark.django_db
@pytest.mark.parametrize(("policy", "valid"), [("strip", True), ("PASS", True), (None, False)])
def test_saving_refuses_an_unknown_field_only_where_the_call_would(
    project_coordinator, policy, valid
):
    step = create_step(
        project_coordinator, input={"name": "a", "status": "DRAFT"}, unknown_fields=policy
    )
    assert validate_document({"steps": [step]}).valid is valid


@pytest.mark.django_db
def test_policy_that_is_none_is_refused():
    step = {"id": "a", "service": "s", "action": "b", "unknown_fields": "IGNORE"}
    found = validate_document({"steps": [step]}, draft=True)
    assert found.errors == {"steps[0].unknown_fields": ["'IGNORE' is none of REJECT, STRIP, PASS."]}


@pytest.mark.django_db
def test_dry_run_says_what_would_be_dropped(project_coordinator):
    step = create_step(project_coordinator, input="$.input", unknown_fields="STRIP")
    found = dry_run_document({"steps": [step]}, DryRun(input=CHAT, context={}, mocks={}))
    assert any("does not know 'status': dropped." in text for text in found.warnings)
