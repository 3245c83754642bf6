"""Reruns, versions, comparisons, dry runs and tried expressions, over the API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories import caller, make_service, make_workflow
from tests.support.engine import ScriptedClient, call, ended, running_engine, start
from workflows.models import Workflow, WorkflowExecution, WorkflowStep, WorkflowVersion

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = [
    call("a", next="b"),
    {
        "id": "each",
        "type": "MAP",
        "over": "$.steps.b.output.list",
        "steps": [call("c", input={"n": "$.item"})],
    },
    call("b", next="each"),
]


@pytest.fixture
def finished() -> WorkflowExecution:
    client = ScriptedClient(
        a=lambda _: {"x": 1}, b=lambda _: {"list": [5, 6]}, c=lambda d: {"n": d["n"] + 1}
    )
    execution = start(make_workflow("w", STEPS), {"name": "N"})
    with running_engine(client):
        return ended(execution)


def add_version(workflow: Workflow, steps: list[dict[str, Any]]) -> WorkflowVersion:
    number = workflow.versions.count() + 1
    return WorkflowVersion.objects.create(
        workflow=workflow, number=number, steps=steps, checksum="-"
    )


# --- Reruns and versions ---


def test_rerun_is_accepted_and_both_executions_name_each_other(api, finished):
    answer = api.post(
        f"/executions/{finished.pk}/rerun", {"from_step": "b", "input": {"name": "M"}}
    )
    assert answer.status_code == 202
    found = answer.json()
    assert answer["Location"].endswith(f"/executions/{found['id']}")
    assert (found["rerun_of"], found["input"]) == (str(finished.pk), {"name": "M"})
    assert [(s["path"], s["reused"]) for s in found["steps"]] == [("a", True), ("b", False)]
    assert api.get(f"/executions/{finished.pk}").json()["reruns"] == [found["id"]]


@pytest.mark.parametrize(
    ("edit", "status"),
    [
        ({"input_data": {"name": "M"}}, 403),
        ({"from_step": "a", "step_input": {"name": "M"}}, 403),
        ({"version": "newest"}, 403),
        ({"input_data": {"name": "N"}, "from_step": "b", "version": 1}, 202),
        ({}, 202),
    ],
    ids=str,
)
def test_a_key_that_may_start_runs_its_own_again_as_they_were(finished, edit, status):
    add_version(finished.workflow, STEPS)
    WorkflowExecution.objects.update(started_by="svc")
    own = caller("SERVICE", name="svc")
    answer = own.post(f"/executions/{finished.pk}/rerun", edit)
    assert answer.status_code == status, answer.content
    allowed = caller(scopes=["workflows:execute", "workflows:operate"], name="op")
    WorkflowExecution.objects.update(started_by="op")
    assert allowed.post(f"/executions/{finished.pk}/rerun", edit).status_code == 202


def test_rerun_honours_the_idempotency_key(api, finished):
    url = f"/executions/{finished.pk}/rerun"
    first = api.post(url, {}, HTTP_IDEMPOTENCY_KEY="k").json()
    assert api.post(url, {}, HTTP_IDEMPOTENCY_KEY="k").json()["id"] == first["id"]
    other = api.post(url, {"from_step": "b"}, HTTP_IDEMPOTENCY_KEY="k")
    assert (other.status_code, other.json()["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"from_step": "zzz"}, 400, "from_step"),
        ({"from_step": "each/0/c"}, 400, "from_step"),
        ({"from_step": "each", "step_input": {}}, 400, "step_input"),
        ({"version": "latest"}, 400, "version"),
        ({"version": True}, 400, "version"),
        ({"version": 99}, 400, "version"),
        ({"input_data": [1]}, 400, "input_data"),
        ({"form_step": "b"}, 400, "form_step"),
    ],
)
def test_rerun_names_the_field_that_is_wrong(api, finished, body, status, field):
    answer = api.post(f"/executions/{finished.pk}/rerun", body)
    assert (answer.status_code, list(answer.json()["errors"])) == (status, [field])
    assert WorkflowExecution.objects.count() == 1


def test_rerun_of_an_open_execution_is_a_conflict(api):
    execution = start(make_workflow("w", STEPS))
    assert api.post(f"/executions/{execution.pk}/rerun", {}).status_code == 409


def test_only_its_own_executions_may_a_service_rerun(finished):
    service = caller("SERVICE")
    answer = service.post(f"/executions/{finished.pk}/rerun", {})
    assert answer.status_code == 403
    workflow = finished.workflow
    own = service.post(f"/workflows/{workflow.name}/execute", {}).json()
    WorkflowExecution.objects.filter(pk=own["id"]).update(status="CANCELLED")
    assert service.post(f"/executions/{own['id']}/rerun", {}).status_code == 202


def test_any_version_can_be_executed(api, finished):
    add_version(finished.workflow, [call("z")])
    url = "/workflows/w/execute"
    newer = api.post(url, {"version": 2}).json()
    assert (newer["version"], newer["current_step"]) == (2, "z")
    assert api.post(url, {}).json()["version"] == 1
    missing = api.post(url, {"version": 3})
    assert (missing.status_code, list(missing.json()["errors"])) == (400, ["version"])
    keyed = {"HTTP_IDEMPOTENCY_KEY": "k"}
    assert api.post(url, {"version": 2}, **keyed).status_code == 202
    assert api.post(url, {"version": 1}, **keyed).status_code == 409


# --- Comparing ---


def test_comparison_says_what_was_added_removed_and_changed(api, finished):
    add_version(finished.workflow, [call("a", next="z", timeout=5), call("z")])
    found = api.get("/workflows/w/versions/1/compare/2").json()
    assert (found["before"], found["after"], found["same"]) == (1, 2, False)
    assert [s["id"] for s in found["added"]] == ["z"]
    assert [(s["id"], s["place"]) for s in found["removed"]] == [
        ("each", ""),
        ("c", "each"),
        ("b", ""),
    ]
    assert found["changed"][0]["changes"] == [
        {"path": "next", "kind": "CHANGED", "before": "b", "after": "z"},
        {"path": "timeout", "kind": "ADDED", "before": None, "after": 5},
    ]
    assert api.get("/workflows/w/versions/1/compare/1").json()["same"] is True
    assert api.get("/workflows/w/versions/1/compare/9").status_code == 404


# --- Dry runs ---


def test_dry_run_of_a_workflow_answers_every_step(api):
    make_service("s", actions=("a", "b", "c"))
    make_workflow("w", STEPS)
    mocks = {"b": {"output": {"list": [1]}}, "c": {"output": {"n": 2}}}
    answer = api.post("/workflows/dry-run", {"workflow": "w", "input": {"q": 1}, "mocks": mocks})
    found = answer.json()
    assert (answer.status_code, found["status"], found["output"]) == (200, "COMPLETED", [{"n": 2}])
    shown = [(s["path"], s["kind"], s["input"], s["next"]) for s in found["steps"]]
    assert shown == [
        ("a", "ACTION", {"q": 1}, "b"),
        ("b", "ACTION", {"q": 1}, "each"),
        ("each", "MAP", {"over": [1]}, None),
        ("each/0/c", "ACTION", {"n": 1}, None),
    ]
    assert found["steps"][0]["sampled"] is True
    assert WorkflowStep.objects.count() == 0


def test_dry_run_takes_steps_or_a_definition_that_nobody_stored(api):
    steps = [{"id": "t", "type": "TRANSFORM", "output": {"x": "$.input.x"}}]
    body = {"input": {"x": 4}}
    for subject in ({"steps": steps}, {"definition": steps}, {"definition": {"steps": steps}}):
        assert api.post("/workflows/dry-run", {**body, **subject}).json()["output"] == {"x": 4}
    shaped = api.post("/workflows/dry-run", {"steps": steps, "output": {"y": "$.output.x"}, **body})
    assert shaped.json()["output"] == {"y": 4}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "steps"),
        ({"steps": [], "workflow": "w"}, "workflow"),
        ({"steps": [{"id": "a"}]}, "steps[0].service"),
        ({"definition": 5}, "steps"),
        ({"steps": STEPS, "version": 1}, "version"),
        ({"workflow": "w", "version": 7}, "version"),
        ({"workflow": "w", "timeout": 7}, "timeout"),
        ({"workflow": "w", "mocks": {"each": {"output": 1}}}, "mocks.each"),
    ],
)
def test_dry_run_names_what_is_wrong(api, body, field):
    make_workflow("w", STEPS)
    answer = api.post("/workflows/dry-run", body)
    assert answer.status_code == 400
    assert field in answer.json()["errors"]


def test_dry_run_of_an_unknown_workflow_is_not_found(api):
    assert api.post("/workflows/dry-run", {"workflow": "zzz"}).status_code == 404


# --- Expressions ---


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ({"expression": "input.name"}, "N"),
        ({"expression": "$.output[0].n"}, 6),
        ({"expression": "steps.keys(@)"}, ["a", "b", "each"]),
        ({"expression": "keys(steps)", "step": "a"}, ["a"]),
        ({"expression": "output.x", "step": "a"}, 1),
        ({"expression": "[item, index, output.n]", "step": "each/1/c"}, [6, 1, 7]),
        ({"expression": "sort(keys(steps))", "step": "each/1/c"}, ["a", "b", "c"]),
        ({"template": {"v": "$.steps.b.output", "w": 1}}, {"v": {"list": [5, 6]}, "w": 1}),
        ({"template": "$.steps.a.status", "step": "b"}, "COMPLETED"),
    ],
)
def test_expression_is_evaluated_as_at_its_place(api, finished, body, value):
    answer = api.post(f"/executions/{finished.pk}/evaluate", body)
    assert (answer.status_code, answer.json().get("value")) == (200, value)


@pytest.mark.parametrize(
    ("body", "status", "field", "sentence"),
    [
        ({"expression": "input.(name"}, 400, "expression", "at character"),
        ({"expression": "length(`5`)"}, 400, "expression", "length() takes"),
        ({"expression": "x" * 1001}, 400, "expression", "1000 is the most"),
        ({"template": {"a": ['$.abs(`"x"`)']}}, 400, "template.a[0]", "abs() takes"),
        ({"template": {"a": "$.]"}}, 400, "template.a", "at character"),
        ({}, 400, "expression", "Give either"),
        ({"expression": "a", "template": 1}, 400, "expression", "Give either"),
    ],
)
def test_bad_expression_is_refused_with_its_place(api, finished, body, status, field, sentence):
    answer = api.post(f"/executions/{finished.pk}/evaluate", body)
    assert answer.status_code == status
    assert sentence in answer.json()["errors"][field][0]


def test_expression_at_an_unknown_step_is_not_found(api, finished):
    url = f"/executions/{finished.pk}/evaluate"
    assert api.post(url, {"expression": "input", "step": "zzz"}).status_code == 404


def test_expression_may_be_tried_by_who_may_read(finished):
    url = f"/executions/{finished.pk}/evaluate"
    assert caller("VIEWER").post(url, {"expression": "input"}).status_code == 200
