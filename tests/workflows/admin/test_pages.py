"""Executions and workflows in the admin, their picture and their time line."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from core.admin.graph_layout import NODE_HEIGHT, NODE_WIDTH, Diagram, Edge, Node, lay_out
from registry.models import Service, ServiceAction
from tests import factories
from tests.support.admin_pages import count_queries, list_url, page_url
from workflows.admin.execution.failure_explanation import explain
from workflows.admin.execution.timeline import timeline_of
from workflows.admin.graph import svg
from workflows.admin.graph.steps import graph_of
from workflows.admin.graph.svg import draw_workflow
from workflows.definition import read
from workflows.models import (
    Workflow,
    WorkflowEvent,
    WorkflowExecution,
    WorkflowStep,
    WorkflowVersion,
)

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
STEPS: list[dict[str, Any]] = [
    {"id": "first", "name": "The first", "service": "text", "action": "read", "next": "second"},
    {"id": "second", "service": "text", "action": "read", "next": None},
]
MODELS = (Workflow, WorkflowVersion, WorkflowExecution, WorkflowStep, WorkflowEvent)
ERROR = {
    "step": "first",
    "attempt": 2,
    "code": "service_unavailable",
    "message": "The service 'text' refused the connection.",
    "service": "text",
}


def make_workflow(name: str = "reading", steps: Any = None) -> Workflow:
    return factories.make_workflow(name, steps or STEPS)


def make_execution(
    workflow: Workflow, *, status: str = "COMPLETED", attempts: int = 1, **fields: Any
) -> WorkflowExecution:
    execution = WorkflowExecution.objects.create(
        workflow=workflow,
        version=workflow.current_version,
        workflow_name=workflow.name,
        status=status,
        started_at=NOW,
        completed_at=NOW + timedelta(seconds=3) if status in ("COMPLETED", "FAILED") else None,
        errors=[ERROR] if status == "FAILED" else [],
        last_sequence=1,
        **fields,
    )
    for attempt in range(1, attempts + 1):
        make_step(execution, attempt, status=status)
    WorkflowEvent.objects.create(execution=execution, sequence=1, kind="STARTED", actor="root")
    return execution


def make_step(execution: WorkflowExecution, attempt: int, *, status: str) -> WorkflowStep:
    return WorkflowStep.objects.create(
        execution=execution,
        step_id="first",
        path="first",
        name="The first",
        attempt=attempt,
        status=status,
        service="text",
        action="read",
        input={"secret-free": "<b>value</b>"},
        error=ERROR if status == "FAILED" else None,
        started_at=NOW + timedelta(seconds=attempt),
        completed_at=NOW + timedelta(seconds=attempt + 0.5) if status != "RUNNING" else None,
    )


# --- Lists and pages ---


@pytest.mark.parametrize("model", MODELS)
def test_lists_cost_the_same_at_two_and_at_thirty_rows(admin: Client, model: type) -> None:
    for index in range(2):
        make_execution(make_workflow(f"reading-{index}"))
    few = count_queries(admin, list_url(model))
    for index in range(2, 30):
        make_execution(make_workflow(f"reading-{index}"))
    assert count_queries(admin, list_url(model)) == few


@pytest.mark.parametrize("model", MODELS)
def test_pages_open(admin: Client, model: Any) -> None:
    make_execution(make_workflow())
    assert admin.get(page_url(model.objects.get())).status_code == 200


def test_execution_page_costs_the_same_with_many_steps(admin: Client) -> None:
    workflow = make_workflow()
    one = make_execution(workflow)
    many = make_execution(workflow, attempts=60)
    assert count_queries(admin, page_url(many)) == count_queries(admin, page_url(one))


@pytest.mark.parametrize("query", ["order-7", "READ", "not-there"])
def test_executions_are_found_by_correlation_and_workflow(admin: Client, query: str) -> None:
    make_execution(make_workflow(), correlation_id="order-7")
    found = admin.get(list_url(WorkflowExecution), {"q": query}).context["cl"].result_count
    assert found == (0 if query == "not-there" else 1)


def test_executions_are_found_by_id_and_filtered(admin: Client) -> None:
    workflow = make_workflow()
    execution = make_execution(workflow)
    make_execution(workflow, status="FAILED")
    filters = {"q": str(execution.pk), "workflow": str(workflow.pk), "created": "day"}
    assert admin.get(list_url(WorkflowExecution), filters).context["cl"].result_count == 1
    failed = admin.get(list_url(WorkflowExecution), {"status__exact": "FAILED"})
    assert failed.context["cl"].result_count == 1


@pytest.mark.parametrize("model", MODELS)
def test_odd_searches_and_filters_are_no_errors(admin: Client, model: Any) -> None:
    for odd in ({"q": "x" * 32}, {"workflow": "nonsense"}, {"created": "never"}):
        assert admin.get(list_url(model), odd).status_code in (200, 302)


@pytest.mark.parametrize("name", ["workflow_run", "workflowversion_activate"])
def test_an_action_on_nothing_is_not_found(admin: Client, name: str) -> None:
    url = reverse(f"admin:workflows_{name}", args=("nonsense",))
    assert admin.get(url).status_code == 200
    assert admin.post(url, {"_form_submitted": "True", "input": "{}"}).status_code == 404


def test_an_unknown_execution_is_not_found(admin: Client) -> None:
    for text in ("nonsense", "01a1fc26-7575-709d-99bb-b55376a95c0a"):
        url = reverse("admin:workflows_workflowexecution_change", args=(text,))
        assert admin.get(url).status_code == 404


def test_a_failed_execution_says_what_failed_why_and_what_to_do(admin: Client) -> None:
    page = admin.get(page_url(make_execution(make_workflow(), status="FAILED"))).content.decode()
    assert "The first failed at attempt 2" in page
    assert "refused the connection." in page
    assert "What to do:" in page
    assert "Retry from the failed step" in page


def test_an_open_execution_refreshes_until_it_ends(admin: Client) -> None:
    workflow = make_workflow()
    running = make_execution(workflow, status="RUNNING")
    follows = f'data-live-execution="{running.pk}" data-live-seconds="10"'
    assert follows in admin.get(page_url(running)).content.decode()
    live = reverse("admin:execution_live", args=(running.pk,))
    assert follows in admin.get(live).content.decode()
    WorkflowExecution.objects.update(status="COMPLETED")
    assert "data-live" not in admin.get(live).content.decode()


def test_polling_stops_when_the_session_or_the_execution_is_gone(client: Client, db: None) -> None:
    execution = make_execution(make_workflow(), status="RUNNING")
    answer = client.get(reverse("admin:execution_live", args=(execution.pk,)))
    assert (answer.status_code, answer.headers["HX-Refresh"]) == (286, "true")


def test_values_of_a_step_are_read_on_demand_and_escaped(admin: Client) -> None:
    execution = make_execution(make_workflow())
    assert "secret-free" not in admin.get(page_url(execution)).content.decode()
    url = reverse("admin:execution_step_values", args=(execution.steps.get().pk,))
    page = admin.get(url).content.decode()
    assert "secret-free" in page
    assert "<b>value</b>" not in page


def test_pages_are_refused_without_permission(person: Callable[..., Client]) -> None:
    execution = make_execution(make_workflow())
    client = person("view_workflow")
    step = execution.steps.get()
    assert client.get(page_url(execution)).status_code == 403
    assert client.get(reverse("admin:execution_live", args=(execution.pk,))).status_code == 286
    assert client.get(reverse("admin:execution_step_values", args=(step.pk,))).status_code == 403


# --- Cancelling and retrying ---


def test_cancelling_needs_post_and_permission(person: Callable[..., Client]) -> None:
    execution = make_execution(make_workflow(), status="RUNNING")
    url = reverse("admin:execution_cancel", args=(execution.pk,))
    client = person("view_workflowexecution")
    assert client.get(url).status_code == 405
    assert client.post(url).status_code == 403
    assert "Cancel this execution" not in client.get(page_url(execution)).content.decode()
    execution.refresh_from_db()
    assert execution.status == "RUNNING"


def test_cancelling_records_who_and_why(person: Callable[..., Client]) -> None:
    execution = make_execution(make_workflow(), status="RUNNING")
    client = person("view_workflowexecution", "change_workflowexecution")
    url = reverse("admin:execution_cancel", args=(execution.pk,))
    page = client.post(url, {"reason": "not needed"}, follow=True).content.decode()
    assert "not needed" in page
    execution.refresh_from_db()
    assert execution.status == "CANCELLED"
    assert execution.events.get(kind="CANCELLED").actor == "person"


def test_retrying_goes_on_from_the_failed_step(admin: Client) -> None:
    execution = make_execution(make_workflow(), status="FAILED")
    url = reverse("admin:execution_retry", args=(execution.pk,))
    assert admin.get(url).status_code == 405
    admin.post(url)
    execution.refresh_from_db()
    assert execution.status == "RUNNING"
    assert execution.steps.count() == 2


def test_a_refusal_is_shown_as_a_sentence(admin: Client) -> None:
    execution = make_execution(make_workflow())
    url = reverse("admin:execution_cancel", args=(execution.pk,))
    assert "cannot be cancelled" in admin.post(url, follow=True).content.decode()


def test_bulk_actions_say_how_many_were_done_and_why_others_were_not(admin: Client) -> None:
    workflow = make_workflow()
    rows = [make_execution(workflow, status=s) for s in ("RUNNING", "COMPLETED", "RUNNING")]
    chosen = {"action": "cancel_selected", "_selected_action": [row.pk for row in rows]}
    page = admin.post(list_url(WorkflowExecution), chosen, follow=True).content.decode()
    assert "2 cancelled." in page
    assert "1 refused. The execution is COMPLETED already" in page


def test_bulk_actions_are_offered_only_with_permission(person: Callable[..., Client]) -> None:
    row = make_execution(make_workflow(), status="RUNNING")
    client = person("view_workflowexecution")
    chosen = {"action": "cancel_selected", "_selected_action": [row.pk]}
    client.post(list_url(WorkflowExecution), chosen)
    row.refresh_from_db()
    assert row.status == "RUNNING"


# --- Branches, waiting and deciding ---

FORM = {
    "type": "object",
    "required": ["budget"],
    "properties": {
        "budget": {"type": "string", "title": "Budget line"},
        "sum": {"type": "integer"},
        "urgent": {"type": "boolean"},
        "size": {"type": "string", "enum": ["small", "large"]},
    },
}
MAPPED: list[dict[str, Any]] = [
    {
        "id": "each",
        "type": "MAP",
        "over": "$.input.items",
        "steps": [{"id": "one", "service": "text", "action": "read"}],
    }
]


def waiting_execution(step: dict[str, Any], given: Any = None, **fields: Any) -> WorkflowExecution:
    execution = make_execution(make_workflow(steps=[step]), status="RUNNING", attempts=0)
    add_step(execution, step["id"], status="WAITING", input=given, **fields)
    return execution


def add_step(execution: WorkflowExecution, step_id: str, **fields: Any) -> WorkflowStep:
    fields = {"path": step_id, "started_at": NOW, **fields}
    return WorkflowStep.objects.create(execution=execution, step_id=step_id, **fields)


def asking(**more: Any) -> WorkflowExecution:
    step = {"id": "ask", "type": "APPROVAL", **more}
    given: dict[str, Any] = {"document": {"price": 7531}, "until": None, "decisions": []}
    return waiting_execution(step, given)


def decide(client: Client, execution: WorkflowExecution, **posted: str) -> Any:
    url = reverse("admin:execution_decide", args=(execution.pk,))
    return client.post(url, {"step": "ask", "decision": "approve", **posted}, follow=True)


def decisions_of(execution: WorkflowExecution) -> list[Any]:
    found: list[Any] = (execution.steps.get().input or {})["decisions"]
    return found


@pytest.mark.parametrize(
    ("step", "fields", "words"),
    [
        (
            {"id": "s", "type": "EVENT", "event": "paid"},
            {"given": {"event": "paid-7", "until": None}},
            "waits for the signal ‘paid-7’",
        ),
        (
            {"id": "s", "type": "APPROVAL", "minimum": 2, "assignees": ["ann"]},
            {"given": {"decisions": [{"by": "eve"}]}},
            "waits for 2 approvals, 1 so far; may be given by ann",
        ),
        ({"id": "s", "type": "WAIT", "seconds": 9}, {"wake_at": NOW}, "goes on <time"),
        ({"id": "s", "type": "WORKFLOW", "workflow": "other"}, {}, "the execution of other"),
        ({**MAPPED[0], "id": "s"}, {"total": 9, "done": 4, "failed": 1}, "4 of 9 elements done, 1"),
        ({**STEPS[1], "id": "s"}, {"wake_at": NOW}, "tried again <time"),
    ],
)
def test_a_waiting_step_says_what_it_waits_for(
    admin: Client, step: dict[str, Any], fields: dict[str, Any], words: str
) -> None:
    page = admin.get(page_url(waiting_execution(step, **fields))).content.decode()
    assert words in page
    assert "data-live-execution=" in page
    assert 'data-live-seconds="10"' not in page


def test_a_step_leads_to_the_execution_that_it_started(admin: Client) -> None:
    parent = waiting_execution({"id": "s", "type": "WORKFLOW", "workflow": "other"})
    child = make_execution(make_workflow("other"), parent_step=parent.steps.get())
    assert page_url(child) in admin.get(page_url(parent)).content.decode()


def test_elements_of_a_map_are_folded_and_cost_the_same(admin: Client) -> None:
    workflow = make_workflow(steps=MAPPED)
    few, many = (make_execution(workflow, attempts=0) for _ in range(2))
    for execution, count in ((few, 2), (many, 40)):
        add_step(execution, "each", status="COMPLETED")
        for n in range(count):
            place = f"each/{n}"
            add_step(execution, "one", status="COMPLETED", scope=place, path=f"{place}/one")
    assert count_queries(admin, page_url(few)) == count_queries(admin, page_url(many))
    page = admin.get(page_url(many)).content.decode()
    assert page.count('class="hub-lane"') == 2
    assert "40 completed" in page


def test_pausing_and_resuming_need_post_and_permission(person: Callable[..., Client]) -> None:
    execution = make_execution(make_workflow(), status="RUNNING")
    pause, resume = (
        reverse(f"admin:execution_{name}", args=(execution.pk,)) for name in ("pause", "resume")
    )
    client = person("view_workflowexecution")
    assert (client.get(pause).status_code, client.post(pause).status_code) == (405, 403)
    User.objects.get().user_permissions.add(
        Permission.objects.get(codename="change_workflowexecution")
    )
    assert resume in client.post(pause, follow=True).content.decode()
    assert pause in client.post(resume, follow=True).content.decode()


def test_a_person_fills_in_the_form_and_approves(admin: Client) -> None:
    execution = asking(form=FORM)
    page = admin.get(page_url(execution)).content.decode()
    assert all(word in page for word in ("Budget line *", "7531", "<option>small</option>"))
    answers = {"form.budget": "B-7", "form.sum": "3", "form.size": "", "comment": "fine"}
    assert "Approved." in decide(admin, execution, **answers).content.decode()
    decision = decisions_of(execution)[0]
    assert decision["form"] == {"budget": "B-7", "sum": 3, "urgent": False}
    assert (decision["by"], decision["comment"]) == ("root", "fine")


def test_a_form_that_is_not_plain_is_filled_in_as_json(admin: Client) -> None:
    execution = asking(form={"type": "object", "properties": {"a": {"type": "array"}}})
    assert "cannot be read" in decide(admin, execution, form="{").content.decode()
    decide(admin, execution, form='{"a": [1]}')
    assert decisions_of(execution)[0]["form"] == {"a": [1]}


@pytest.mark.parametrize("answers", [{}, {"form.budget": "B", "form.sum": "many"}])
def test_a_form_that_does_not_fit_is_refused_with_a_sentence(
    admin: Client, answers: dict[str, str]
) -> None:
    execution = asking(form=FORM)
    page = decide(admin, execution, **answers).content.decode()
    assert "The form does not fit" in page or "cannot be read" in page
    assert decisions_of(execution) == []


def test_rejecting_needs_no_form(admin: Client) -> None:
    execution = asking(form=FORM)
    assert "Rejected." in decide(admin, execution, decision="reject").content.decode()
    assert decisions_of(execution)[0]["decision"] == "REJECTED"


def test_who_is_named_decides_and_nobody_else(person: Callable[..., Client]) -> None:
    client = person("view_workflowexecution")
    anybody = asking()
    assert "Approve</button>" not in client.get(page_url(anybody)).content.decode()
    assert decide(client, anybody).status_code == 403
    Workflow.objects.update(name="before")
    named = asking(assignees=["person"])
    assert "Approve</button>" in client.get(page_url(named)).content.decode()
    assert decide(client, named).status_code == 200
    assert decisions_of(named)[0]["by"] == "person"
    assert "Approve</button>" not in client.get(page_url(named)).content.decode()


def test_deciding_needs_post_and_a_token(admin: Client) -> None:
    execution = asking()
    url = reverse("admin:execution_decide", args=(execution.pk,))
    assert admin.get(url).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get())
    assert strict.post(url, {"step": "ask", "decision": "approve"}).status_code == 403


@pytest.mark.parametrize("place", ["", "other", "a\0b"])
def test_deciding_what_nobody_asks_is_refused(admin: Client, place: str) -> None:
    assert decide(admin, asking(), step=place).status_code == 403


# --- Workflows ---


def make_service() -> None:
    service = Service.objects.create(name="text")
    ServiceAction.objects.create(service=service, name="read")


def form_of(workflow: Workflow | None, steps: Any, **more: Any) -> dict[str, Any]:
    version = workflow.current_version.number if workflow and workflow.current_version else ""
    text = steps if isinstance(steps, str) else json.dumps({"steps": steps})
    fields = {"name": "reading", "type": "custom", "status": "ACTIVE", "metadata": "{}"}
    return {**fields, "definition": text, "base_version": version, **more}


def test_a_workflow_is_added_with_its_first_version(admin: Client) -> None:
    make_service()
    answer = admin.post(list_url(Workflow) + "add/", form_of(None, STEPS))
    assert answer.status_code == 302
    workflow = Workflow.objects.get()
    assert workflow.current_version is not None
    assert workflow.current_version.steps == STEPS


def test_changing_the_definition_makes_a_version_and_saving_the_same_none(admin: Client) -> None:
    make_service()
    workflow = make_workflow()
    admin.post(page_url(workflow), form_of(workflow, STEPS, description="Reads."))
    assert workflow.versions.count() == 1
    admin.post(page_url(workflow), form_of(workflow, STEPS[1:]))
    workflow.refresh_from_db()
    assert workflow.current_version is not None
    assert (workflow.current_version.number, workflow.description) == (2, "")


def test_errors_of_a_definition_are_shown_at_their_paths(admin: Client) -> None:
    make_service()
    workflow = make_workflow()
    wrong = [{**STEPS[0], "next": "secnd"}, STEPS[1]]
    page = admin.post(page_url(workflow), form_of(workflow, wrong)).content.decode()
    assert "steps[0].next: There is no step" in page
    page = admin.post(page_url(workflow), form_of(workflow, '{"steps": [}')).content.decode()
    assert "Not JSON" in page
    assert workflow.versions.count() == 1


@pytest.mark.parametrize("is_new", [True, False])
def test_a_definition_comes_back_as_it_was_typed_with_the_place_of_each_error(
    admin: Client, is_new: bool
) -> None:
    make_service()
    workflow = make_workflow()
    typed = '{"steps": [\r\n  {"id": "a", "type": "TRANSFORM",\r\n   "output": 1, "nxt": null}]}'
    place = reverse("admin:workflows_workflow_add") if is_new else page_url(workflow)
    other = {"name": "another", "base_version": ""} if is_new else {}
    answer = admin.post(place, {**form_of(workflow, typed), **other})
    assert answer.status_code == 200
    page = html.unescape(answer.content.decode())
    assert typed in page
    assert "Line 3, column 17, steps[0].nxt: " in page


def test_errors_of_a_definition_are_in_the_order_of_their_lines(admin: Client) -> None:
    make_service()
    workflow = make_workflow()
    typed = (
        '{"steps": [\n{"id": "a", "type": "TRANSFORM", "output": 1,\n"next": "b", "nxt": 1},\n'
        '{"id": "b", "type": "TRANSFORM",\n"next": "no", "nxt": 2}],\n"other": 1}'
    )
    page = admin.post(page_url(workflow), form_of(workflow, typed)).content.decode()
    places = re.findall(r"Line (\d+), column (\d+), ", page)
    found = [(int(line), int(column)) for line, column in places]
    assert len(found) >= 4
    assert found == sorted(found)


def test_a_definition_that_was_changed_meanwhile_is_not_overwritten(admin: Client) -> None:
    make_service()
    workflow = make_workflow()
    form = form_of(workflow, STEPS[1:], base_version=0)
    assert "while you were editing" in admin.post(page_url(workflow), form).content.decode()
    assert workflow.versions.count() == 1


def test_a_workflow_with_open_executions_is_not_deleted(admin: Client) -> None:
    workflow = make_workflow()
    make_execution(workflow, status="RUNNING")
    url = reverse("admin:workflows_workflow_delete", args=(workflow.pk,))
    assert "Cancel them first" in admin.post(url, {"post": "yes"}, follow=True).content.decode()
    assert Workflow.objects.exists()
    WorkflowExecution.objects.update(status="COMPLETED")
    admin.post(url, {"post": "yes"})
    assert not Workflow.objects.exists()


def test_a_viewer_reads_the_definition_and_cannot_run_it(person: Callable[..., Client]) -> None:
    workflow = make_workflow()
    client = person("view_workflow")
    assert "&quot;The first&quot;" in client.get(page_url(workflow)).content.decode()
    url = reverse("admin:workflows_workflow_run", args=(workflow.pk,))
    assert client.post(url, {"_form_submitted": "True", "input": "{}"}).status_code == 403


def test_running_needs_post_and_leads_to_the_execution(admin: Client) -> None:
    workflow = make_workflow()
    url = reverse("admin:workflows_workflow_run", args=(workflow.pk,))
    assert admin.get(url).status_code == 200
    assert not WorkflowExecution.objects.exists()
    answer = admin.post(url, {"_form_submitted": "True", "input": '{"a": 1}'})
    execution = WorkflowExecution.objects.get()
    assert answer.headers["HX-Redirect"] == page_url(execution)
    assert (execution.input, execution.started_by) == ({"a": 1}, "root")


def test_an_earlier_version_is_made_current_by_post(admin: Client) -> None:
    workflow = make_workflow()
    first = workflow.versions.get()
    second = WorkflowVersion.objects.create(workflow=workflow, number=2, steps=STEPS, checksum="-")
    Workflow.objects.update(current_version=second)
    url = reverse("admin:workflows_workflowversion_activate", args=(first.pk,))
    admin.get(url)
    assert Workflow.objects.get().current_version == second
    admin.post(url, {"_form_submitted": "True"})
    assert Workflow.objects.get().current_version == first


def test_an_execution_has_one_short_name_and_the_list_finds_it(admin: Client) -> None:
    workflow = make_workflow()
    first, second = make_execution(workflow), make_execution(workflow)
    assert str(first) == f"{first.workflow_name} {first.short_id}"
    listed = reverse("admin:workflows_workflowexecution_changelist")
    for text in (first.short_id, first.short_id.upper(), str(first.pk)):
        page = admin.get(listed, {"q": text}).content.decode()
        assert page_url(first) in page
        assert page_url(second) not in page
    assert f"{first.workflow_name} {first.short_id}" in admin.get(page_url(first)).content.decode()


# --- The picture (pure) ---


def chain(*names: str) -> Diagram:
    edges = tuple(Edge(a, b) for a, b in pairwise(names))
    return Diagram(tuple(Node(name, name) for name in names), edges)


def placed(graph: Diagram) -> dict[str, tuple[float, float]]:
    return {item.node.id: (item.x, item.y) for item in lay_out(graph).nodes}


def test_steps_in_a_row_are_below_each_other() -> None:
    at = placed(chain("a", "b", "c"))
    assert at["a"][0] == at["b"][0] == at["c"][0]
    assert at["a"][1] < at["b"][1] < at["c"][1]


def test_branches_are_beside_each_other_without_overlap() -> None:
    nodes = tuple(Node(name, name) for name in "abcde")
    edges = (*(Edge("a", name) for name in "bcd"), *(Edge(name, "e") for name in "bcd"))
    at = placed(Diagram(nodes, edges))
    xs = sorted(at[name][0] for name in "bcd")
    assert at["b"][1] == at["c"][1] == at["d"][1]
    assert all(right - left >= NODE_WIDTH for left, right in pairwise(xs))


def test_an_edge_over_several_layers_goes_around_the_nodes_between() -> None:
    graph = chain("a", "b", "c")
    graph = Diagram(graph.nodes, (*graph.edges, Edge("a", "c")))
    layout = lay_out(graph)
    (long,) = [item for item in layout.edges if (item.edge.source, item.edge.target) == ("a", "c")]
    x, y = placed(graph)["b"]
    beside = [px for px, py in long.points if y <= py <= y + NODE_HEIGHT]
    assert beside
    assert all(px < x or px > x + NODE_WIDTH for px in beside)


@pytest.mark.parametrize("others", [(), (Edge("a", "b"), Edge("b", "c"))])
def test_edges_between_the_same_two_nodes_are_apart(others: tuple[Edge, ...]) -> None:
    same = (Edge("a", "c", "FAILURE", "on rejected"), Edge("a", "c"))
    layout = lay_out(Diagram(chain("a", "b", "c").nodes, (*same, *others)))
    failure, normal = (
        next(item for item in layout.edges if item.edge == edge).points for edge in same
    )
    pairs = list(zip(normal, failure, strict=True))[1:-1] or [(normal[0], failure[0])]
    assert all(abs(right[0] - left[0]) >= 20 for left, right in pairs)


def test_a_label_is_inside_the_picture_and_beside_its_own_line() -> None:
    edges = (Edge("a", "b", "CONDITION", "input.x > " * 9), Edge("a", "b", "FAILURE", "on y"))
    layout = lay_out(Diagram(chain("a", "b").nodes, edges))
    left, right = sorted(layout.edges, key=lambda item: item.points[0])
    assert (left.is_left, right.is_left) == (True, False)
    x, _y, anchor = svg.label_position(left)
    assert anchor == "end"
    assert len(svg.label_text(left)) * svg.LABEL_WIDTH <= x


def test_the_way_on_of_an_approval_is_seen_beside_that_of_its_rejection() -> None:
    steps = [
        {"id": "ask", "type": "APPROVAL", "next": "tell",
         "on_error": [{"match": ["rejected"], "step": "tell"}, {"match": ["x"], "step": "tell"}]},
        {"id": "tell", "type": "TRANSFORM", "output": {}},
    ]  # fmt: skip
    layout = lay_out(graph_of(read({"steps": steps}).definition))
    assert [(item.edge.kind, item.edge.label) for item in layout.edges] == [
        ("NEXT", ""),
        ("FAILURE", "on rejected or on x"),
    ]
    assert layout.edges[0].points != layout.edges[1].points


def test_a_cycle_is_drawn_with_one_edge_leading_up() -> None:
    graph = chain("a", "b", "c")
    layout = lay_out(Diagram(graph.nodes, (*graph.edges, Edge("c", "a"), Edge("b", "b"))))
    back = {(item.edge.source, item.edge.target) for item in layout.edges if item.is_back}
    assert back == {("c", "a"), ("b", "b")}
    assert len(layout.edges) == 4


def test_everything_is_inside_the_picture() -> None:
    graph = chain(*(f"s{index}" for index in range(40)))
    extra = tuple(Edge(f"s{i}", f"s{(i * 7) % 40}") for i in range(0, 40, 3))
    layout = lay_out(Diagram(graph.nodes, (*graph.edges, *extra)))
    assert all(0 <= item.x <= layout.width - NODE_WIDTH for item in layout.nodes)
    assert all(0 <= item.y <= layout.height - NODE_HEIGHT for item in layout.nodes)
    assert all(0 <= x <= layout.width for item in layout.edges for x, _y in item.points)


def test_an_empty_graph_has_an_empty_layout() -> None:
    assert lay_out(Diagram()).nodes == ()
    assert draw_workflow({"steps": []}) == ""
    assert draw_workflow("nonsense") == ""


def test_routes_and_fallbacks_become_edges() -> None:
    routes = [{"when": "input.a", "step": "second"}, {"when": "input.b", "step": None}]
    steps = [{**STEPS[0], "next": routes, "fallback": {"step": "second"}}, STEPS[1]]
    graph = graph_of(read({"steps": steps}).definition)
    assert [(edge.kind, edge.label) for edge in graph.edges] == [
        ("CONDITION", "input.a"),
        ("CONDITION", "input.b"),
        ("FAILURE", "on failure"),
    ]
    assert graph.nodes[-1].name == "End"


def test_the_picture_shows_statuses_and_escapes_names() -> None:
    steps = [{**STEPS[0], "name": "<i>one</i>"}, STEPS[1]]
    picture = draw_workflow({"steps": steps}, statuses={"first": "FAILED"})
    assert 'data-tone="bad"' in picture
    assert 'data-tone="idle"' in picture
    assert "<i>" not in picture


# --- The time line and the explanation (pure) ---


def unsaved_step(name: str, start: float, seconds: float | None, **fields: Any) -> WorkflowStep:
    begun = NOW + timedelta(seconds=start)
    end = None if seconds is None else begun + timedelta(seconds=seconds)
    fields = {"status": "COMPLETED", "path": name, **fields}
    return WorkflowStep(step_id=name, name=name, started_at=begun, completed_at=end, **fields)


def test_attempts_of_a_step_share_a_row() -> None:
    steps = [unsaved_step("a", 0, 5), unsaved_step("b", 5, 1), unsaved_step("b", 8, 2, attempt=2)]
    line = timeline_of(steps, start=NOW, end=NOW + timedelta(seconds=10))
    assert [(row.name, len(row.bars)) for row in line.rows] == [("a", 1), ("b", 2)]
    assert (line.rows[0].bars[0].left, line.rows[0].bars[0].width) == (0, 50)
    assert (line.rows[1].bars[1].left, line.rows[1].bars[1].width) == (80, 20)
    assert [mark.words for mark in line.marks][-1] == "10 s"


def test_elements_share_a_row_and_a_waiting_step_reaches_to_now() -> None:
    steps = [
        unsaved_step("one", 0, 1, path="each/0/one", scope="each/0"),
        unsaved_step("one", 1, 1, path="each/1/one", scope="each/1"),
        unsaved_step("ask", 2, None, status="WAITING"),
    ]
    line = timeline_of(steps, start=NOW, end=NOW + timedelta(seconds=10))
    assert [(row.name, len(row.bars)) for row in line.rows] == [("one", 2), ("ask", 1)]
    assert line.rows[1].bars[0].width == 80


def test_a_running_step_reaches_to_now() -> None:
    steps = [unsaved_step("a", 2, None, status="RUNNING")]
    line = timeline_of(steps, start=NOW, end=NOW + timedelta(seconds=4))
    assert (line.rows[0].bars[0].left, line.rows[0].bars[0].width) == (50, 50)


def test_bars_stay_on_the_line_whatever_the_clocks_say() -> None:
    steps = [unsaved_step("a", 0, 0), unsaved_step("b", 9, -3), unsaved_step("c", 0, None)]
    line = timeline_of(steps, start=None, end=NOW)
    bars = [bar for row in line.rows for bar in row.bars]
    assert all(bar.left >= 0 and bar.width > 0 and bar.left + bar.width <= 100.001 for bar in bars)


def test_nothing_begun_is_an_empty_line() -> None:
    waiting = WorkflowStep(step_id="a", path="a", status="PENDING")
    assert timeline_of([waiting], start=None, end=NOW).rows == []


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (ERROR, "Bring ‘text’ back up"),
        ({**ERROR, "upstream_status": 503}, "answered that it cannot do this now"),
        ({"code": "schema_violation", "message": "No."}, "does not fit the action's schema"),
        ({"code": "service_error", "upstream_status": 422}, "refused the request"),
        ({"code": "service_error", "upstream_status": 500}, "failed on its side"),
        ({"message": "Odd."}, "Read the failed step below"),
    ],
)
def test_each_kind_of_error_has_advice(error: dict[str, Any], advice: str) -> None:
    explanation = explain([error], names={"first": "The first"})
    assert explanation is not None
    assert advice in explanation.advice


@pytest.mark.parametrize("errors", [None, [], {}, "text", [None], ["text"], [{"step": None}]])
def test_any_recorded_error_can_be_explained(errors: Any) -> None:
    explanation = explain(errors)
    assert explanation is None or explanation.sentence
