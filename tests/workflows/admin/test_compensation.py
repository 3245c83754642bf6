"""The page of an execution that is, or was, undone."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.support.admin_pages import count_queries, page_url
from tests.support.engine import call, make_workflow, running_engine, start
from tests.support.waiting import until
from tests.workflows.engine.test_compensation import (
    CHAIN,
    FAILING,
    client,
    refuse,
    run,
    stuck,
    undo,
)
from workflows import services
from workflows.admin.execution.failure_explanation import explain
from workflows.admin.execution.page import latest_statuses
from workflows.models import WorkflowExecution

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]

EACH = {"id": "each", "type": "MAP", "over": "$.input.items", "next": "bad",
        "steps": [call("do", input={"id": "$.item"}, compensate=undo())]}  # fmt: skip


@pytest.fixture
def root(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


def page_of(root, execution):
    return root.get(page_url(execution)).content.decode()


def stuck_execution():
    with running_engine(client(undo=refuse)) as engine:
        return stuck(engine)


def test_undone_steps_are_marked_and_what_undid_them_is_listed_apart(root):
    page = page_of(root, run(CHAIN))
    steps, undone = page.split('aria-label="Undone"')
    assert steps.split('aria-label="Steps"')[1].count("Compensated") == 2
    assert undone.index("Undo b") < undone.index("Undo a")
    assert "a (a): s · do — Compensated" in steps
    assert 'title="~b">Undo b</span>' in steps
    assert "there is nothing to retry from" in page
    assert "then start a new execution" in page
    assert reverse("admin:execution_retry", args=(WorkflowExecution.objects.get().pk,)) not in page


def test_what_undid_an_element_says_which(root):
    page = page_of(root, run([EACH, FAILING], {"items": [1, 2]}))
    undone = page.split('aria-label="Undone"')[1]
    assert undone.count("Undo do") == 2
    assert {"each/0", "each/1"} <= set(re.findall(r"each/\d", undone))


def test_page_of_an_undone_execution_costs_the_same_for_many_steps(root):
    few = run([EACH, FAILING], {"items": [1]})
    many = run([EACH, FAILING], {"items": list(range(15))}, name="many")
    assert count_queries(root, page_url(few)) == count_queries(root, page_url(many))


def test_what_could_not_be_undone_is_explained_and_can_be_gone_on_with(root):
    found = stuck_execution()
    page = page_of(root, found)
    assert "Undoing b needs review" in page
    assert "Go on undoing" in page
    assert "It is undone" in page
    assert reverse("admin:execution_cancel", args=(found.pk,)) not in page
    assert "b (b): s · do — Needs review" in page
    root.post(reverse("admin:execution_retry", args=(found.pk,)))
    found.refresh_from_db()
    assert (found.status, found.events.last().actor) == ("COMPENSATING", "root")


def test_word_that_a_step_is_undone_goes_on_with_the_rest(root):
    found = stuck_execution()
    answer = root.post(reverse("admin:execution_undone", args=(found.pk,)), {"step": "~b"})
    assert answer.status_code == 302
    with running_engine(client()):
        found = services.wait_for_end(services.get_execution(str(found.pk)), seconds=20)
    assert found.status == "FAILED"
    assert found.events.get(kind="STEP_COMPLETED").actor == "root"


@pytest.mark.parametrize("step", ["b", "", "\0"])
def test_only_what_undoes_a_step_can_be_said_to_be_undone(root, step):
    found = stuck_execution()
    answer = root.post(reverse("admin:execution_undone", args=(found.pk,)), {"step": step})
    assert answer.status_code == 404


def test_unknown_step_that_is_said_to_be_undone_is_refused_with_a_message(root):
    found = stuck_execution()
    url = reverse("admin:execution_undone", args=(found.pk,))
    page = root.post(url, {"step": "~zzz"}, follow=True).content.decode()
    assert "no step" in page


def test_viewer_may_not_say_that_a_step_is_undone(client):
    found = stuck_execution()
    client.force_login(User.objects.create_user("viewer", is_staff=True))
    answer = client.post(reverse("admin:execution_undone", args=(found.pk,)), {"step": "~b"})
    assert answer.status_code == 403
    found.refresh_from_db()
    assert found.status == "NEEDS_REVIEW"


def test_page_while_it_is_being_undone_says_so_and_offers_no_buttons(root):
    using = client(undo=refuse)
    retry = {"max_attempts": 2, "base_delay": 60, "max_delay": 60}
    slow = {**CHAIN[1], "compensate": undo(retry=retry)}
    workflow = make_workflow([CHAIN[0], slow, FAILING])
    execution = start(workflow)
    with running_engine(using):
        until(lambda: execution.steps.filter(path="~b", status="WAITING").exists())
    page = page_of(root, execution)
    assert "Being undone" in page
    assert "ends as failed" in page
    for name in ("cancel", "retry", "pause"):
        assert reverse(f"admin:execution_{name}", args=(execution.pk,)) not in page
    assert "Undo b</strong> <span" in page


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ("COMPLETED", "COMPENSATED"),
        ("RUNNING", "COMPENSATING"),
        ("WAITING", "COMPENSATING"),
        ("FAILED", "NEEDS_REVIEW"),
        ("NEEDS_REVIEW", "NEEDS_REVIEW"),
    ],
)
def test_picture_says_how_far_the_undoing_of_a_step_is(status, shown):
    found = [("a", "each/0/a", "COMPENSATED"), ("a", "~each/0/a", status)]
    assert latest_statuses(found) == {"a": shown}


def test_advice_for_an_undone_execution_is_to_start_anew():
    error = {"step": "a", "code": "service_unavailable", "service": "s", "message": "down"}
    assert "retry" in explain([error]).advice
    assert explain([error], was_compensated=True).advice.endswith("then start a new execution.")
