"""The inbox: its place in the menu, how a question is put, and what came of a decision."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests import factories
from workflows.admin.execution.approval_form import asked_in, facts_in, without_empty
from workflows.models import WorkflowExecution, WorkflowStep

pytestmark = pytest.mark.django_db
DOCUMENT = {"question": "May it go out?", "amount": 12.5, "urgent": True, "note": None, "more": {}}


@pytest.fixture
def asked() -> Callable[..., WorkflowExecution]:
    """An execution that waits for a decision."""

    def make(document: Any = DOCUMENT, **fields: Any) -> WorkflowExecution:
        step = {"id": "agree", "name": "Agree to it", "type": "APPROVAL", **fields}
        run = factories.make_execution(factories.make_workflow("", [step]), status="WAITING")
        run.steps.update(
            step_id="agree", path="agree", name="Agree to it", status="WAITING",
            input={"document": document, "decisions": []},
        )  # fmt: skip
        return run

    return make


def inbox(client: Client, **query: str) -> str:
    answer = client.get(reverse("admin:inbox"), query)
    assert answer.status_code == 200
    return answer.content.decode()


def lit(text: str) -> list[str]:
    """The entries of the menu that are shown as the one at hand."""
    links = re.findall(r'<a href="([^"]+)" class="([^"]+)"', text)
    return [link for link, classes in links if classes.split()[-1] == "active"]


def test_the_inbox_lights_its_own_entry_alone(admin: Client) -> None:
    assert lit(inbox(admin)) == [reverse("admin:inbox")]
    executions = reverse("admin:workflows_workflowexecution_changelist")
    assert lit(admin.get(executions).content.decode()) == [executions]


def test_the_badge_counts_what_waits_for_this_person(
    admin: Client, asked: Callable[..., WorkflowExecution]
) -> None:
    count = reverse("admin:inbox_count")
    assert count in inbox(admin)
    assert admin.get(count).content == b""
    first = asked()
    asked()
    asked(assignees=["somebody"])
    assert ">3<" in admin.get(count).content.decode()
    decide(admin, first)
    assert ">2<" in admin.get(count).content.decode()


def test_the_badge_stops_asking_without_a_session_or_permission(client: Client) -> None:
    assert client.get(reverse("admin:inbox_count")).status_code == 286
    client.force_login(User.objects.create_user("person", is_staff=True))
    assert client.get(reverse("admin:inbox_count")).status_code == 286


def test_the_question_comes_first_and_the_rest_is_folded_without_what_is_empty(
    admin: Client, asked: Callable[..., WorkflowExecution]
) -> None:
    asked()
    text = inbox(admin)
    assert ">May it go out?</h2>" in text
    assert "<dt>Amount</dt><dd>12.5</dd>" in text
    assert "null" not in text[text.index("May it go out?") :]
    assert text.index("May it go out?") < text.index("Approve</button>") < text.index("<details")


def decide(client: Client, run: WorkflowExecution, decision: str = "approve") -> Any:
    posted = {"step": "agree", "decision": decision, "from": "inbox"}
    return client.post(reverse("admin:execution_decide", args=(run.pk,)), posted, follow=True)


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_after_a_decision_the_page_says_what_came_of_it(
    admin: Client, asked: Callable[..., WorkflowExecution], decision: str
) -> None:
    run = asked()
    answer = decide(admin, run, decision)
    assert answer.redirect_chain[0][0] == f"{reverse('admin:inbox')}?done={run.pk}"
    text = answer.content.decode()
    assert "goes on with Agree to it" in text
    assert "Nothing else waits for you" in text
    assert f'data-live-execution="{run.pk}"' in text
    run.steps.update(status="COMPLETED")
    WorkflowExecution.objects.filter(pk=run.pk).update(status="COMPLETED")
    text = inbox(admin, done=str(run.pk))
    assert "ended" in text
    assert "data-live-execution" not in text


def test_after_one_of_two_approvals_the_page_says_that_it_waits(
    admin: Client, asked: Callable[..., WorkflowExecution]
) -> None:
    text = decide(admin, asked(minimum=2)).content.decode()
    assert "waits again, at Agree to it" in text


def test_the_page_of_an_execution_stops_saying_waiting_once_it_is_decided(
    admin: Client, asked: Callable[..., WorkflowExecution]
) -> None:
    run = asked()
    page = reverse("admin:workflows_workflowexecution_change", args=(run.pk,))
    badge = '<span class="hub-status" data-tone="{}">{}</span>'
    assert badge.format("warning", "Waiting") in admin.get(page).content.decode()
    decide(admin, run)
    assert WorkflowStep.objects.get(execution=run).status == "PENDING"
    head = admin.get(page).content.decode().partition("hub-facts")[0]
    assert badge.format("info", "Running") in head
    assert "Waiting" not in head.partition('id="execution"')[2]


@pytest.mark.parametrize("done", ["nonsense", "", "00000000"])
def test_an_outcome_of_nothing_is_left_out(admin: Client, done: str) -> None:
    assert "What came of it" not in inbox(admin, done=done)


# --- Questions (pure) ---


@pytest.mark.parametrize(
    ("document", "question"),
    [
        ({"question": "Go?", "title": "T"}, "Go?"),
        ({"question": " ", "title": "T"}, "T"),
        ({"question": 5}, ""),
        ({}, ""),
        (None, ""),
        ([1], ""),
    ],
)
def test_the_question_is_what_the_document_asks_in_words(document: Any, question: str) -> None:
    assert asked_in(document) == question


def test_facts_are_the_plain_values_with_names_in_words_but_for_the_hubs_own_ids() -> None:
    document = {
        "title": "T",
        "order_id": 7,
        "is-new": False,
        "Interaction ID": "i-1",
        "requestId": 7,
        "asker": "0b6f2a3c-5c0e-4a57-9a55-0d8b7c0f4c11",
        "paid": True,
        "empty": "",
        "x": [1],
        "long": "a" * 500,
    }
    assert facts_in(document) == (("Order ID", 7), ("Is new", "no"), ("Paid", "yes"))


def test_what_is_empty_is_left_out_at_any_depth() -> None:
    nested = {"a": None, "b": {"c": None}, "d": [{"e": "", "f": 0}], "g": False}
    assert without_empty(nested) == {"d": [{"f": 0}], "g": False}


def test_equal_questions_are_told_apart(admin: Client, asked: Callable[..., Any]) -> None:
    first, second = asked(), asked()
    names = re.findall(
        r'<section class="hub-card hub-question"[^>]* aria-label="([^"]+)"', inbox(admin)
    )
    assert [name.rpartition(" ")[2] for name in names] == [
        f"{run.short_id})" for run in (first, second)
    ]
