"""Shows what waits for people: approvals that this person may give, and steps to review."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html

from core.admin.base import find_or_404, is_id
from workflows.admin.execution.approval_form import Question, has_decided, question_of
from workflows.admin.execution.review import Review, review_of
from workflows.admin.live_page import STOP_POLLING
from workflows.admin.permissions import may_control
from workflows.definition import Step
from workflows.definition_cache import readable_definition
from workflows.models import (
    OPEN_STEP,
    UNENDED,
    ExecutionStatus,
    StepStatus,
    WorkflowExecution,
    WorkflowStep,
)

MAX_SHOWN = 50


@dataclass(frozen=True)
class Item:
    """One thing to do: a question or a review, of a step of an execution."""

    execution: WorkflowExecution
    step: WorkflowStep
    question: Question | None = None
    review: Review | None = None


@dataclass(frozen=True)
class DecisionOutcome:
    """How an execution goes on that was decided on here: where it is, or how it ended."""

    execution: WorkflowExecution
    at: WorkflowStep | None

    @property
    def goes_on(self) -> bool:
        """Return whether it is under way, so that what is shown will change."""
        return not self.execution.has_ended and not self.rests

    @property
    def rests(self) -> bool:
        """Return whether it waits again: for more people, a signal or a time."""
        return self.at is not None and self.at.status == StepStatus.WAITING


def inbox_view(site: AdminSite, request: HttpRequest) -> HttpResponse:
    """List what waits for this person, the oldest first."""
    if not _may_see(request):
        raise PermissionDenied
    questions, reviews = _items_for(request)
    context = {
        **site.each_context(request),
        "title": "Inbox",
        "questions": questions[:MAX_SHOWN],
        "reviews": reviews,
        "may_control": may_control(request),
        "max_shown": MAX_SHOWN,
        "is_cut": max(len(questions), len(reviews)) >= MAX_SHOWN,
        "outcome": _outcome_of(request.GET.get("done", "")),
    }
    return TemplateResponse(request, "console/inbox.html", context)


def count_view(request: HttpRequest) -> HttpResponse:
    """Say in the menu how many things wait for this person; without access, stop asking."""
    if not request.user.is_staff or not _may_see(request):
        return HttpResponse(status=STOP_POLLING)
    questions, reviews = _items_for(request)
    count = len(questions) + len(reviews)
    if not count:
        return HttpResponse()
    is_cut = max(len(questions), len(reviews)) >= MAX_SHOWN
    badge = '<span class="hub-badge">{}{}<span class="hub-unseen"> waiting for you</span></span>'
    return HttpResponse(format_html(badge, count, "+" if is_cut else ""))


def address_of_outcome(execution_id: Any) -> str:
    """Return the inbox, with what became of an execution that was decided on."""
    return f"{reverse('admin:inbox')}?{urlencode({'done': str(execution_id)})}"


def _may_see(request: HttpRequest) -> bool:
    return request.user.has_perm("workflows.view_workflowexecution") or may_control(request)


def _items_for(request: HttpRequest) -> tuple[list[Item], list[Item]]:
    controls = may_control(request)
    questions = _questions_for(request.user, may_control=controls)
    return questions, _reviews() if controls else []


def _outcome_of(execution_id: str) -> DecisionOutcome | None:
    if not is_id(execution_id):
        return None
    execution = find_or_404(WorkflowExecution.objects.defer("input", "context"), execution_id)
    is_open = execution.steps.filter(status__in=OPEN_STEP).defer("input", "output")
    return DecisionOutcome(execution, is_open.order_by("-id").first())


def _rows(status: str, executions: Iterable[str]) -> QuerySet[WorkflowStep]:
    rows = WorkflowStep.objects.filter(status=status, execution__status__in=tuple(executions))
    return (
        rows.select_related("execution__version")
        .defer("output", "execution__input", "execution__context", "execution__output")
        .order_by("id")
    )


def _reviews() -> list[Item]:
    rows = _rows(StepStatus.NEEDS_REVIEW, (ExecutionStatus.NEEDS_REVIEW,))[:MAX_SHOWN]
    rows_and_steps = [(row, _step_of(row)) for row in rows.defer("input", "output")]
    return [
        Item(row.execution, row, review=review_of(row))
        for row, step in rows_and_steps
        if step is not None and step.kind == "ACTION"
    ]


def _questions_for(person: Any, *, may_control: bool) -> list[Item]:
    names = {person.get_username(), *person.groups.values_list("name", flat=True)}
    rows = _rows(StepStatus.WAITING, UNENDED).filter(input__has_key="decisions")
    items = []
    for row in rows[: 4 * MAX_SHOWN]:
        step = _step_of(row)
        if step is None or step.kind != "APPROVAL" or has_decided(row, person):
            continue
        named = {*step.assignees, *step.escalate_to}
        asked = may_control if not named or person.is_superuser else bool(named & names)
        if asked:
            items.append(Item(row.execution, row, question=question_of(row, step)))
    return items


def _step_of(row: WorkflowStep) -> Step | None:
    definition = readable_definition(row.execution.version)
    return definition.steps.get(row.step_id) if definition else None
