"""Says what the open steps of an execution wait for, and what it asks people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.admin.formatting import moment
from workflows.admin.execution.approval_form import Question, ask
from workflows.definition import Step
from workflows.models import StepStatus, WorkflowExecution, WorkflowStep

MAX_SHOWN = 20
MAX_CHILDREN = 200
_WITH_INPUT = ("EVENT", "APPROVAL", "WAIT")


@dataclass(frozen=True)
class WaitingStep:
    """A step that waits, and for what in words."""

    name: str
    path: str
    words: SafeString


@dataclass(frozen=True)
class ChildLink:
    """An execution that a step started."""

    id: str
    name: str
    status: str


def waiting_of(
    steps: Iterable[WorkflowStep], definitions: Mapping[str, Step]
) -> list[WorkflowStep]:
    """Return the open steps that wait for something known, with their inputs; one query."""
    waiting = [s for s in steps if s.status == StepStatus.WAITING and s.step_id in definitions]
    waiting = waiting[:MAX_SHOWN]
    ids = [s.pk for s in waiting if definitions[s.step_id].kind in _WITH_INPUT]
    rows = WorkflowStep.objects.filter(pk__in=ids) if ids else WorkflowStep.objects.none()
    inputs = dict(rows.values_list("pk", "input"))
    for step in waiting:
        step.input = inputs.get(step.pk)
    return waiting


def describe(
    steps: Sequence[WorkflowStep],
    definitions: Mapping[str, Step],
    children: Mapping[Any, ChildLink],
) -> list[WaitingStep]:
    """Return for each what it waits for, in words."""
    return [
        WaitingStep(s.title, s.path, _words(s, definitions[s.step_id], children.get(s.pk)))
        for s in steps
    ]


def questions_of(
    steps: Sequence[WorkflowStep],
    definitions: Mapping[str, Step],
    *,
    person: User | AnonymousUser,
    may_control: bool,
) -> list[Question]:
    """Return what this person may decide now."""
    asking = [s for s in steps if definitions[s.step_id].kind == "APPROVAL"]
    questions = [
        ask(s, definitions[s.step_id], person=person, may_control=may_control) for s in asking
    ]
    return [question for question in questions if question is not None]


def children_of(
    execution: WorkflowExecution, steps: Iterable[WorkflowStep], definitions: Mapping[str, Step]
) -> dict[Any, ChildLink]:
    """Return the executions that these steps started, by the id of the step."""
    starters = {step.id for step in definitions.values() if step.kind == "WORKFLOW"}
    ids = [s.pk for s in steps if s.step_id in starters]
    if not ids:
        return {}
    children = WorkflowExecution.objects.filter(parent_step_id__in=ids)
    rows = children.values_list("parent_step_id", "pk", "workflow_name", "status")[:MAX_CHILDREN]
    return {parent: ChildLink(str(pk), name, status) for parent, pk, name, status in rows}


def _words(row: WorkflowStep, step: Step, child: ChildLink | None) -> SafeString:
    waiting_input = row.input if isinstance(row.input, Mapping) else {}
    at = row.wake_at or row.held_wake_at
    if row.is_compensation:
        return format_html("tried again {}", moment(at))
    if step.kind == "EVENT":
        return format_html(
            "waits for the signal ‘{}’{}", waiting_input.get("event", ""), _until(waiting_input)
        )
    if step.kind == "APPROVAL":
        return format_html("{}{}", _approval_words(step, waiting_input), _until(waiting_input))
    if step.kind == "WORKFLOW":
        name = child.name if child else step.workflow
        return format_html("waits for the execution of {}", name)
    if step.blocks:
        failed = format_html(", {} failed", row.failed) if row.failed else ""
        inside = "branches" if step.branches else "elements"
        return format_html("{} of {} {} done{}", row.done, row.total, inside, failed)
    word = "goes on" if step.kind == "WAIT" else "tried again"
    return format_html("{} {}", word, moment(at)) if at else SafeString("waits")


def _approval_words(step: Step, waiting_input: Mapping[str, Any]) -> str:
    so_far = len(waiting_input.get("decisions") or ())
    approvals = "an approval" if step.minimum == 1 else f"{step.minimum} approvals"
    names = ", ".join((*step.assignees, *step.escalate_to))
    count = f", {so_far} so far" if step.minimum > 1 else ""
    return f"waits for {approvals}{count}" + (f"; may be given by {names}" if names else "")


def _until(waiting_input: Mapping[str, Any]) -> SafeString:
    until = waiting_input.get("until")
    if not until:
        return SafeString("")
    return format_html("; gives up {}", moment(datetime.fromisoformat(until)))
