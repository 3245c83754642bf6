"""Which version may be started, and by whom."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.urls import reverse

from core.models import AuditEntry
from tests.factories import caller, make_key
from tests.support.credentials import make_credential
from tests.support.engine import ScriptedClient, ended, running_engine, start
from tests.support.people import in_groups
from tests.support.web_requests import by_django, web_request
from tests.workflows.api.test_webhooks import SECRET, make_webhook, send
from workflows import services
from workflows.api.gathered_starts import answer_starts
from workflows.models import Workflow, WorkflowExecution, WorkflowScheduleRun, WorkflowVersion
from workflows.services import Start

pytestmark = pytest.mark.django_db
DONE = {"id": "done", "type": "SUCCEED", "output": {"ok": True}}
ASK = {"id": "agree", "type": "APPROVAL", "next": "done"}
SENT = {"_form_submitted": "True"}
PLAIN, ASKING = [DONE], [ASK, DONE]


def save(*versions: list[dict[str, Any]], name: str = "w", **fields: Any) -> Workflow:
    """A workflow to which these definitions were given, the last one current."""
    workflow = services.create_workflow({"name": name, **fields}, {"steps": versions[0]})
    for steps in versions[1:]:
        services.update_workflow(workflow, {}, {"steps": steps})
    return Workflow.objects.get(pk=workflow.pk)


def again(output: Any) -> list[dict[str, Any]]:
    return [{**DONE, "output": {"n": output}}]


def retired(workflow: Workflow) -> list[int]:
    rows = workflow.versions.filter(retired_at__isnull=False).order_by("number")
    return list(rows.values_list("number", flat=True))


def view(path: str, body: Any, key: str) -> tuple[int, dict[str, Any]]:
    answer = by_django(web_request(path, body, key=key))
    return answer.status, json.loads(answer.body)


def gathered(path: str, body: Any, key: str) -> tuple[int, dict[str, Any]]:
    answer = answer_starts([web_request(path, body, key=key)])[0]
    return (answer.status, json.loads(answer.body)) if answer else view(path, body, key)


WAYS = pytest.mark.parametrize("way", [view, gathered])


# --- Another version than the active one ---


@WAYS
@pytest.mark.parametrize("role", ["SERVICE", "WORKFLOW_EDITOR"])
def test_another_version_than_the_active_one_takes_the_scope(way, role):
    save(PLAIN, again(2))
    key = make_key(role)[1]
    status, problem = way("/workflows/w/execute", {"version": 1}, key)
    assert (status, problem["code"]) == (403, "permission_denied")
    assert "workflows:operate" in problem["detail"]
    assert not WorkflowExecution.objects.exists()
    assert way("/workflows/w/execute", {"version": 2}, key)[0] == 202


@WAYS
def test_operators_start_another_version_and_one_refused_start_stops_no_other(way):
    save(PLAIN, again(2))
    status, answer = way("/workflows/w/execute", {"version": 1}, make_key("OPERATOR")[1])
    assert (status, answer["version"]) == (202, 1)
    key = make_key("SERVICE")[1]
    bodies = ({}, {"version": 1}, {})
    answers = answer_starts([web_request("/workflows/w/execute", b, key=key) for b in bodies])
    assert [answer and answer.status for answer in answers] == [202, None, 202]


@pytest.mark.parametrize("version", [1, 2], ids=["older", "active"])
def test_a_schedule_names_a_version_only_for_who_may_start_any(version):
    save(PLAIN, again(2))
    editor, operator = caller("WORKFLOW_EDITOR"), caller("OPERATOR")
    body = {"name": "s", "workflow": "w", "cron": "0 6 * * *", "version": version}
    assert editor.post("/schedules", body).status_code == 403
    assert operator.post("/schedules", body).status_code == 201
    for change in ({"input": {"n": 1}}, {"context": {"n": 1}}, {"version": 3 - version}):
        assert editor.patch("/schedules/s", change).status_code == 403, change
    assert editor.patch("/schedules/s", {"cron": "0 7 * * *"}).status_code == 200
    assert editor.patch("/schedules/s", {"version": None, "input": {"n": 1}}).status_code == 200
    assert editor.patch("/schedules/s", {"version": version}).status_code == 403


def test_a_step_names_a_version_only_for_who_may_start_any():
    save(PLAIN, again(2))
    steps = [{"id": "child", "type": "WORKFLOW", "workflow": "W", "version": 1, "next": None}]
    editor, operator = caller("WORKFLOW_EDITOR"), caller("OPERATOR")
    refused = editor.post("/workflows", {"name": "outer", "steps": steps})
    assert (refused.status_code, "workflows:operate" in refused.json()["detail"]) == (403, True)
    assert operator.post("/workflows", {"name": "outer", "steps": steps}).status_code == 201
    more = [{**steps[0], "next": "done"}, DONE]
    assert editor.patch("/workflows/outer", {"steps": more}).status_code == 200
    other = [{**steps[0], "version": 2}]
    assert editor.patch("/workflows/outer", {"steps": other}).status_code == 403


# --- Retired by hand ---


@WAYS
@pytest.mark.parametrize("number", [1, 2], ids=["an older one", "the active one"])
def test_a_retired_version_is_started_by_nobody_until_it_is_reinstated(way, number):
    save(PLAIN, again(2))
    operator, key = caller("OPERATOR"), make_key("OPERATOR")[1]
    about = f"/workflows/w/versions/{number}"
    answer = operator.post(f"{about}/retire", {"reason": "It pays twice."})
    assert answer.status_code == 200, answer.content
    assert (answer.json()["retired_reason"], answer.json()["retired_at"] is None) == (
        "It pays twice.",
        False,
    )
    status, problem = way("/workflows/w/execute", {"version": number}, key)
    assert (status, problem["code"], "It pays twice." in problem["detail"]) == (
        409,
        "conflict",
        True,
    )
    assert way("/workflows/w/execute", {}, key)[0] == (409 if number == 2 else 202)
    assert operator.post(f"{about}/activate", {}).status_code == 409
    assert caller("WORKFLOW_EDITOR").post(f"{about}/reinstate", {"reason": "x"}).status_code == 403
    assert operator.post(f"{about}/reinstate", {}).status_code == 400
    assert operator.post(f"{about}/reinstate", {"reason": "Mended."}).status_code == 200
    assert operator.post(f"{about}/reinstate", {"reason": "Mended."}).status_code == 409
    assert way("/workflows/w/execute", {"version": number}, key)[0] == 202
    entries = AuditEntry.objects.filter(verb__in=("RETIRED", "REINSTATED")).order_by("id")
    told = [(e.verb, e.object_name, e.reason, e.changes) for e in entries]
    assert told == [
        ("RETIRED", "w", "It pays twice.", {"version": number}),
        ("REINSTATED", "w", "Mended.", {"version": number}),
    ]


def test_retiring_again_changes_nothing():
    workflow = save(PLAIN)
    version = services.get_version(workflow, 1)
    first = services.retire_version(version, "First.", actor="me")
    second = services.retire_version(version, "Second.", actor="other")
    assert (second.retired_reason, second.retired_by, second.retired_at) == (
        "First.",
        "me",
        first.retired_at,
    )


def test_by_type_a_retired_version_is_not_started_either():
    workflow = save(PLAIN, name="custom", type="CUSTOM")
    services.retire_version(services.get_version(workflow, 1), "Gone.")
    answer = caller("SERVICE").post("/workflows/execute", {"workflow_type": "CUSTOM"})
    assert (answer.status_code, "is retired: Gone." in answer.json()["detail"]) == (409, True)


def test_a_schedule_says_why_its_version_is_not_started():
    workflow = save(PLAIN, again(2))
    fields = {"name": "s", "workflow": "w", "cron": "0 6 * * *", "version": 1}
    schedule = services.create_schedule(fields)
    services.retire_version(services.get_version(workflow, 1), "It pays twice.")
    run = services.run_now(schedule, actor="me")
    run = WorkflowScheduleRun.objects.get(pk=run.pk)
    reason = "Version 1 of the workflow 'w' is retired: It pays twice."
    assert (run.outcome, run.reason.startswith(reason)) == ("FAILED", True)
    operator = caller("OPERATOR")
    assert operator.patch("/schedules/s", {"cron": "0 7 * * *"}).status_code == 200
    other = {**fields, "name": "t"}
    assert list(operator.post("/schedules", other).json()["errors"]) == ["version"]


def test_a_webhook_says_why_its_workflow_is_not_started(api):
    make_credential("HMAC_SIGNATURE", name="shop", secret={"key": SECRET}, allowed_origins=[])
    workflow = save(PLAIN, name="fulfil")
    make_webhook(api)
    services.retire_version(services.get_version(workflow, 1), "It pays twice.")
    answer = send()
    assert (answer.status_code, "is retired" in answer.json()["detail"]) == (409, True)
    [entry] = api.get("/webhooks/orders/deliveries").json()["items"]
    assert (entry["outcome"], "is retired: It pays twice." in entry["reason"]) == ("FAILED", True)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("pinned", [{"version": 1}, {}], ids=["pinned", "current"])
def test_what_began_goes_on_and_a_step_that_starts_it_fails(pinned):
    child = save(PLAIN)
    step = {"id": "c", "type": "WORKFLOW", "workflow": "w", "next": None, **pinned}
    outer = save([step], name="outer")
    running = start(child)
    services.retire_version(services.get_version(child, 1), "Gone.")
    later = start(outer)
    with running_engine(ScriptedClient()):
        assert ended(running).status == "COMPLETED"
        assert (ended(later).status, ended(later).errors[0]["code"]) == ("FAILED", "conflict")


# --- Retired by itself ---


@pytest.mark.parametrize(
    ("versions", "numbers"),
    [
        ([PLAIN, ASKING], [1]),
        ([PLAIN, again(2), ASKING], [1, 2]),
        ([ASKING, [ASK, {**DONE, "output": {"n": 2}}]], []),
        ([ASKING, [{**ASK, "id": "other"}, DONE]], [1]),
        ([PLAIN, ASKING, PLAIN, [{**ASK, "minimum": 2}, DONE]], [1, 3]),
        ([PLAIN, again(2)], []),
        ([PLAIN, [{"id": "p", "type": "PARALLEL", "branches": [[{**ASK, "next": None}]]}]], [1]),
    ],
)
def test_a_version_is_retired_once_a_newer_one_adds_an_approval(versions, numbers):
    workflow = save(*versions)
    assert retired(workflow) == numbers
    for version in workflow.versions.filter(number__in=numbers):
        assert (version.retired_by, "approval" in version.retired_reason) == ("hub", True)


def test_a_draft_retires_nothing_until_it_is_active():
    workflow = save(PLAIN, ASKING, status="DRAFT")
    assert retired(workflow) == []
    services.update_workflow(workflow, {"status": "ACTIVE"})
    assert retired(workflow) == [1]


def test_an_approval_that_is_activated_retires_what_is_older():
    workflow = save(PLAIN, ASKING, again(3))
    version = services.get_version(workflow, 1)
    services.reinstate_version(version, "For a while.")
    services.update_workflow(workflow, {}, {"steps": again(4)})
    assert retired(workflow) == []
    services.activate_version(workflow, 2)
    assert retired(workflow) == [1]


def test_a_save_without_another_approval_leaves_what_was_reinstated():
    workflow = save(PLAIN, ASKING)
    services.reinstate_version(services.get_version(workflow, 1), "For a while.")
    services.update_workflow(workflow, {}, {"steps": [{**ASK, "minimum": 2}, DONE]})
    assert retired(workflow) == []


NESTED = [{"id": "p", "type": "PARALLEL", "branches": [[{**ASK, "next": None}]]}]


def test_the_upgrade_retires_what_was_saved_before_and_going_back_reinstates_it():
    upgrade = import_module("workflows.migrations.0021_retire_what_lacks_approvals")
    save(PLAIN, again(2), ASKING, name="two")
    save(PLAIN, NESTED, name="inside")
    save(ASKING, again(2), name="none-now")
    save(PLAIN, ASKING, name="draft", status="DRAFT")
    save(PLAIN, ASKING, name="kept")
    WorkflowVersion.objects.update(retired_at=None, retired_by="", retired_reason="")
    AuditEntry.objects.all().delete()
    for act in ("retire", "reinstate"):
        answer = caller().post(f"/workflows/kept/versions/1/{act}", {"reason": "For a while."})
        assert answer.status_code == 200
    upgrade.retire_versions(apps, None)
    numbers = {w.name: retired(w) for w in Workflow.objects.filter(versions__number=2)}
    assert numbers == {"two": [1, 2], "inside": [1], "none-now": [], "draft": [], "kept": []}
    version = services.get_version(Workflow.objects.get(name="two"), 2)
    assert (version.retired_by, "approval 'agree'" in version.retired_reason) == ("upgrade", True)
    entries = AuditEntry.objects.filter(actor="upgrade", verb="RETIRED").order_by("object_name")
    told = {entry.object_name: [*entry.changes["versions"]] for entry in entries}
    assert told == {"two": ["1", "2"], "inside": ["1"]}
    upgrade.retire_versions(apps, None)  # again changes nothing
    assert entries.count() == 2
    upgrade.reinstate_versions(apps, None)
    assert not WorkflowVersion.objects.filter(retired_at__isnull=False).exists()


# --- In the admin ---


@pytest.mark.parametrize(("role", "shown"), [("operator", True), ("workflow-editor", False)])
def test_page_of_a_version_retires_and_reinstates(role, shown):
    client = in_groups(role)
    workflow = save(PLAIN, again(2))
    version = services.get_version(workflow, 1)
    page = reverse("admin:workflows_workflowversion_change", args=(version.pk,))
    assert ("Run this version" in client.get(page).content.decode()) == shown
    retire = reverse("admin:workflows_workflowversion_retire", args=(version.pk,))
    client.post(retire, {**SENT, "reason": "Old."})
    html = client.get(page).content.decode()
    assert ("Old." in html, "Retired" in html, "Run this version" in html) == (True, True, False)
    entry = AuditEntry.objects.get(verb="RETIRED")
    assert (entry.actor, entry.actor_kind, entry.reason) == (role, "USER", "Old.")
    reinstate = reverse("admin:workflows_workflowversion_reinstate", args=(version.pk,))
    client.post(reinstate, {**SENT, "reason": "New."})
    assert (retired(workflow) == []) == shown


def test_page_of_a_workflow_starts_no_other_version_for_an_editor():
    workflow = save(PLAIN, again(2))
    run = reverse("admin:workflows_workflow_run", args=(workflow.pk,))
    in_groups("workflow-editor").post(run, {**SENT, "version": "1", "input": "{}"})
    assert not WorkflowExecution.objects.exists()
    in_groups("operator").post(run, {**SENT, "version": "1", "input": "{}"})
    assert WorkflowExecution.objects.get().version.number == 1


def test_a_program_in_the_process_cannot_start_a_retired_version_either():
    workflow = save(PLAIN)
    services.retire_version(services.get_version(workflow, 1), "Gone.")
    answers = services.start_many([(workflow, Start(input={}, context={}))])
    assert "is retired" in str(answers[0])
