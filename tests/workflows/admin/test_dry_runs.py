"""Pages of the admin: rerun, comparison, dry run, expressions, review and inbox."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.factories import make_service, make_workflow
from tests.support.engine import ScriptedClient, call, ended, running_engine, start
from workflows.models import (
    Workflow,
    WorkflowExecution,
    WorkflowStep,
    WorkflowVersion,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]

STEPS = [call("a", next="b"), call("b", next="c"), call("c")]


@pytest.fixture
def operator(person: Callable[..., Client]) -> Client:
    return person(
        "view_workflowexecution",
        "change_workflowexecution",
        "view_workflow",
        "change_workflow",
        "view_workflowversion",
    )


def finished() -> WorkflowExecution:
    edge = ScriptedClient(a=lambda _: {"a": 1}, b=lambda _: {"b": 2}, c=lambda d: d)
    execution = start(make_workflow("w", STEPS), {"n": 1})
    with running_engine(edge):
        return ended(execution)


def add_version(workflow: Workflow, steps: list[dict[str, Any]]) -> WorkflowVersion:
    number = workflow.versions.count() + 1
    return WorkflowVersion.objects.create(
        workflow=workflow, number=number, steps=steps, checksum="-"
    )


def page(name: str, *args: Any) -> str:
    return reverse(f"admin:{name}", args=args)


def text_of(answer: Any) -> str:
    return answer.content.decode()


# --- Rerun ---


def test_rerun_starts_and_shows_a_new_execution(operator):
    first = finished()
    url = page("execution_rerun", first.pk)
    assert "2, the newest" not in text_of(operator.get(url))
    posted = {"from_step": "b", "version": "1", "input": '{"n": 2}', "step_input": '{"x": 1}'}
    answer = operator.post(url, posted)
    second = WorkflowExecution.objects.get(rerun_of=first)
    assert answer.url == page("workflows_workflowexecution_change", second.pk)
    assert (second.input, second.started_by) == ({"n": 2}, "person")
    assert second.steps.get(path="b").input == {"x": 1}
    shown = text_of(operator.get(answer.url))
    assert "reused" in shown
    assert page("workflows_workflowexecution_change", first.pk) in shown
    assert str(second.pk)[-8:] in text_of(
        operator.get(page("workflows_workflowexecution_change", first.pk))
    )


@pytest.mark.parametrize(
    ("posted", "sentence"),
    [
        ({"step_input": "{x"}, "Not JSON"),
        ({"step_input": "[1]"}, "Must be an object"),
        ({"input": "5"}, "Must be an object"),
        ({"from_step": "zzz"}, "Select a valid choice"),
        ({"version": "9"}, "Select a valid choice"),
    ],
)
def test_rerun_says_what_is_wrong_and_starts_nothing(operator, posted, sentence):
    first = finished()
    answer = operator.post(
        page("execution_rerun", first.pk),
        {"from_step": "b", "version": "1", "input": "{}", "step_input": "", **posted},
    )
    assert (answer.status_code, sentence in text_of(answer)) == (200, True)
    assert WorkflowExecution.objects.count() == 1


def test_rerun_refused_by_the_state_is_said_on_its_page(operator):
    first = finished()
    WorkflowExecution.objects.update(status="RUNNING")
    posted = {"from_step": "b", "version": "1", "input": "{}"}
    answer = operator.post(page("execution_rerun", first.pk), posted)
    assert "only one that has ended can be rerun" in text_of(answer)


def test_rerun_and_settling_ask_for_control(person):
    first = finished()
    viewer = person("view_workflowexecution")
    assert viewer.get(page("execution_rerun", first.pk)).status_code == 403
    assert viewer.post(page("execution_settle", first.pk), {"step": "a"}).status_code == 403
    shown = text_of(viewer.get(page("workflows_workflowexecution_change", first.pk)))
    assert "Rerun…" not in shown


# --- Versions ---


def test_versions_are_compared_side_by_side(operator):
    workflow = make_workflow("w", STEPS)
    add_version(workflow, [call("a", next="d", timeout=7), call("d")])
    shown = text_of(operator.get(page("workflow_compare", workflow.pk)))
    assert shown.count('data-kind="ACTION"') == 5  # both pictures
    for text in ("timeout", "Added", "Removed", "Changed"):
        assert text in shown
    same = operator.get(page("workflow_compare", workflow.pk), {"before": "2", "after": "2"})
    assert "Choose two versions." in text_of(same)
    odd = operator.get(page("workflow_compare", workflow.pk), {"before": "x", "after": "99"})
    assert odd.status_code == 200


def test_comparison_needs_two_versions_and_the_right_to_see_them(person):
    workflow = make_workflow("w", STEPS)
    assert person().get(page("workflow_compare", workflow.pk)).status_code == 403
    User.objects.all().delete()
    viewer = person("view_workflow")
    assert viewer.get(page("workflow_compare", workflow.pk)).status_code == 200


def test_chosen_version_is_run_from_the_workflow_and_from_its_own_page(operator):
    workflow = make_workflow("w", STEPS)
    second = add_version(workflow, [call("z")])
    said = {"_form_submitted": "True", "input": "{}"}
    operator.post(page("workflows_workflow_run", workflow.pk), {**said, "version": "2"})
    operator.post(page("workflows_workflowversion_run_version", second.pk), said)
    assert [e.version.number for e in WorkflowExecution.objects.all()] == [2, 2]
    operator.post(page("workflows_workflow_run", workflow.pk), said)
    assert WorkflowExecution.objects.first().version.number == 1


# --- Dry runs ---


def test_dry_run_shows_the_graph_and_each_input(operator):
    make_service("s", actions=("a", "b", "c"))
    workflow = make_workflow("w", STEPS)
    url = page("workflow_dry_run", workflow.pk)
    assert "Run dry" in text_of(operator.get(url))
    mocks = json.dumps({"a": {"output": {"seen": 42}}, "b": {"error": {"code": "service_timeout"}}})
    shown = text_of(operator.post(url, {"version": "1", "input": '{"n": 7}', "mocks": mocks}))
    assert "fail with service_timeout" in shown
    assert "&quot;seen&quot;: 42" in shown
    assert 'data-tone="bad"' in shown
    assert WorkflowExecution.objects.count() == 0


@pytest.mark.parametrize(
    ("posted", "sentence"),
    [
        ({"mocks": '{"zzz": {"output": 1}}'}, "There is no step &#x27;zzz&#x27;"),
        ({"mocks": "{"}, "Not JSON"),
        ({"version": "9"}, "Select a valid choice"),
    ],
)
def test_dry_run_says_what_is_wrong(operator, posted, sentence):
    workflow = make_workflow("w", STEPS)
    url = page("workflow_dry_run", workflow.pk)
    answer = operator.post(url, {"version": "1", "input": "{}", "mocks": "{}", **posted})
    assert (answer.status_code, sentence in text_of(answer)) == (200, True)


# --- Expressions ---


@pytest.mark.parametrize(
    ("posted", "sentence"),
    [
        ({"kind": "expression", "text": "{mine: output.b}", "step": "b"}, "&quot;mine&quot;: 2"),
        ({"kind": "template", "text": '{"x": "$.input.n"}', "step": ""}, "&quot;x&quot;: 1"),
        ({"kind": "template", "text": "{x", "step": ""}, "Not JSON"),
        ({"kind": "expression", "text": "input.(x", "step": ""}, "at character"),
        ({"kind": "expression", "text": "input", "step": "zzz"}, "Select a valid choice"),
    ],
)
def test_expression_is_tried_by_who_may_see_the_execution(person, posted, sentence):
    first = finished()
    viewer = person("view_workflowexecution")
    answer = viewer.post(page("execution_evaluate", first.pk), posted)
    assert (answer.status_code, sentence in text_of(answer)) == (200, True)


def test_expression_page_is_closed_to_others(person):
    first = finished()
    assert person("view_workflow").get(page("execution_evaluate", first.pk)).status_code == 403


# --- Review and inbox ---


def set_aside() -> WorkflowExecution:
    execution = finished()
    execution.steps.filter(path="c").update(
        status="NEEDS_REVIEW", completed_at=None, error={"message": "The worker was lost."}
    )
    WorkflowExecution.objects.filter(pk=execution.pk).update(status="NEEDS_REVIEW")
    return execution


@pytest.mark.parametrize(
    ("posted", "told", "kind"),
    [
        ({"verdict": "complete", "output": '{"x": 1}'}, {"output": {"x": 1}}, "STEP_COMPLETED"),
        ({"verdict": "complete", "output": ""}, {"output": {}}, "STEP_COMPLETED"),
        ({"verdict": "fail", "reason": "It is lost."}, {"error": "It is lost."}, "STEP_FAILED"),
    ],
)
def test_reviewed_step_is_settled_on_the_page_of_the_execution(operator, posted, told, kind):
    execution = set_aside()
    shown = text_of(operator.get(page("workflows_workflowexecution_change", execution.pk)))
    assert "did it happen?" in shown
    operator.post(page("execution_settle", execution.pk), {"step": "c", **posted})
    assert execution.steps.get(path="c").error == {"told": told, "by": "person"}
    assert execution.events.latest("sequence").kind == kind


@pytest.mark.parametrize(
    ("posted", "sentence"),
    [
        ({"verdict": "complete", "output": "{x"}, "not JSON"),
        ({"verdict": "complete", "output": "[1]"}, "must be an object"),
        ({"verdict": "fail", "reason": " "}, "Say why"),
        ({"step": "a", "verdict": "complete", "output": "{}"}, "only NEEDS_REVIEW can be settled"),
    ],
)
def test_settling_says_what_is_wrong_and_changes_nothing(operator, posted, sentence):
    execution = set_aside()
    url = page("execution_settle", execution.pk)
    answer = operator.post(url, {"step": "c", **posted}, follow=True)
    assert sentence in text_of(answer)
    assert execution.steps.get(path="c").status == "NEEDS_REVIEW"


def waiting_for(*assignees: str) -> WorkflowExecution:
    step: dict[str, Any] = {"id": "agree", "name": "Agree to it", "type": "APPROVAL"}
    step |= {"assignees": list(assignees)} if assignees else {}
    execution = start(make_workflow("", [step]))
    given: dict[str, Any] = {"document": {"what": "Bridge"}, "decisions": [], "until": None}
    WorkflowStep.objects.filter(execution=execution).update(
        status="WAITING", wake_at=None, input=given
    )
    WorkflowExecution.objects.filter(pk=execution.pk).update(status="RUNNING")
    return execution


def test_inbox_holds_what_this_person_may_settle(person):
    set_aside()
    waiting_for("person")
    waiting_for("somebody-else")
    client = person("view_workflowexecution", "change_workflowexecution")
    shown = text_of(client.get(page("inbox")))
    assert shown.count("did it happen?") == 1
    assert shown.count(">Agree to it</h2>") == 1


def test_inbox_of_a_group_holds_its_approvals_and_no_reviews(person):
    set_aside()
    waiting_for("deciders")
    waiting_for()
    decider = person("view_workflowexecution")
    User.objects.get(username="person").groups.add(Group.objects.create(name="deciders"))
    shown = text_of(decider.get(page("inbox")))
    assert "did it happen?" not in shown
    assert shown.count(">Agree to it</h2>") == 1


def test_inbox_says_when_it_is_empty_and_is_closed_to_others(person):
    assert "Nothing waits for you." in text_of(person("view_workflowexecution").get(page("inbox")))
    User.objects.all().delete()
    assert person("view_workflow").get(page("inbox")).status_code == 403


def test_inbox_costs_the_same_with_many_items(person):
    client = person("view_workflowexecution", "change_workflowexecution")

    def cost() -> int:
        client.get(page("inbox"))
        with CaptureQueriesContext(connection) as queries:
            client.get(page("inbox"))
        return len(queries)

    waiting_for("person")
    few = cost()
    for _ in range(12):
        waiting_for("person")
    assert cost() == few
