"""What waits for people: approvals that this person may give, and steps that need a review."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from workflows.admin.questions import Question, has_decided, question_of
from workflows.admin.review import Review, review_of
from workflows.definition import Definition, DefinitionError, Step
from workflows.models import UNENDED, ExecutionStatus, StepStatus, WorkflowExecution, WorkflowStep
from workflows.versions import definition_of

MAX_SHOWN = 50


@dataclass(frozen=True)
class Item:
    """One thing to do: a question or a review, of a step of an execution."""

    execution: WorkflowExecution
    step: WorkflowStep
    question: Question | None = None
    review: Review | None = None


def inbox_view(admin: Any, request: HttpRequest) -> HttpResponse:
    """List what waits for this person, the oldest first."""
    if not admin.has_view_permission(request):
        raise PermissionDenied
    may_control = admin.has_control_permission(request)
    questions = _questions_for(request.user, may_control=may_control)
    reviews = _reviews() if may_control else []
    context = {
        **admin.admin_site.each_context(request),
        "opts": admin.opts,
        "title": "Inbox",
        "questions": questions[:MAX_SHOWN],
        "reviews": reviews,
        "may_control": may_control,
        "max_shown": MAX_SHOWN,
        "is_cut": max(len(questions), len(reviews)) >= MAX_SHOWN,
    }
    return TemplateResponse(request, "console/inbox.html", context)


def _rows(status: str, executions: Iterable[str]) -> QuerySet[WorkflowStep]:
    rows = WorkflowStep.objects.filter(status=status, execution__status__in=tuple(executions))
    return (
        rows.select_related("execution__version")
        .defer("output", "execution__input", "execution__context", "execution__output")
        .order_by("id")
    )


def _reviews() -> list[Item]:
    rows = _rows(StepStatus.NEEDS_REVIEW, (ExecutionStatus.NEEDS_REVIEW,))[:MAX_SHOWN]
    known = [(row, _step_of(row)) for row in rows.defer("input", "output")]
    return [
        Item(row.execution, row, review=review_of(row))
        for row, step in known
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
    definition = _definition_of(row.execution)
    return definition.steps.get(row.step_id) if definition else None


def _definition_of(execution: WorkflowExecution) -> Definition | None:
    if execution.version is None:
        return None
    try:
        return definition_of(execution.version)
    except DefinitionError:
        return None
