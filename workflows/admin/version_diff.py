"""Shows how one version of a workflow differs from another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.safestring import SafeString

from core.admin.formatting import json_text
from core.admin.pages import render_page
from core.admin.views import own_view
from workflows import services
from workflows.admin.graph.svg import draw_workflow
from workflows.definition.diff import ComparedStep, Comparison, KeyChange
from workflows.models import Workflow

MAX_VERSIONS = 200


@dataclass(frozen=True)
class DiffLine:
    """A key path with the values that it had and has. An empty text is an absence."""

    path: str
    kind: str
    before: str
    after: str


@dataclass(frozen=True)
class DiffSection:
    """A step, or the options, with its lines."""

    title: str
    detail: str
    kind: str
    lines: tuple[DiffLine, ...]


def parts_of(comparison: Comparison) -> list[DiffSection]:
    """Return what is shown, the changed steps first."""
    parts = [_part(step, "CHANGED", _lines(step.changes)) for step in comparison.changed]
    parts += [_part(step, "ADDED", _whole(step, "ADDED")) for step in comparison.added]
    parts += [_part(step, "REMOVED", _whole(step, "REMOVED")) for step in comparison.removed]
    if comparison.options:
        parts.insert(0, DiffSection("The definition", "", "CHANGED", _lines(comparison.options)))
    return parts


def _part(step: ComparedStep, kind: str, lines: tuple[DiffLine, ...]) -> DiffSection:
    detail = step.id if step.name != step.id else ""
    return DiffSection(
        step.name, f"{detail} in {step.place}".strip() if step.place else detail, kind, lines
    )


def _lines(changes: Iterable[KeyChange]) -> tuple[DiffLine, ...]:
    return tuple(
        DiffLine(
            change.path,
            change.kind,
            "" if change.kind == "ADDED" else json_text(change.before),
            "" if change.kind == "REMOVED" else json_text(change.after),
        )
        for change in changes
    )


def _whole(step: ComparedStep, kind: str) -> tuple[DiffLine, ...]:
    text = json_text(dict(step.document))
    before, after = ("", text) if kind == "ADDED" else (text, "")
    return (DiffLine("", kind, before, after),)


def marks_of(steps: Iterable[ComparedStep], kind: str) -> dict[str, str]:
    """Return what a picture says of these steps."""
    return {step.id: kind for step in steps}


@own_view("<uuid:pk>/compare/", name="workflow_compare", permissions=["view"])
def compare_view(admin: Any, request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show two versions beside each other: the last two unless others are asked for."""
    workflow = get_object_or_404(Workflow, pk=pk)
    rows = workflow.versions.order_by("-number").values_list("number", flat=True)
    numbers = list(rows[:MAX_VERSIONS])
    newest = numbers[0] if numbers else 0
    after = _number(request, "after", numbers, newest)
    before = _number(request, "before", numbers, numbers[1] if len(numbers) > 1 else newest)
    return render_page(
        admin,
        request,
        "console/compare.html",
        title="Compare versions",
        workflow=workflow,
        numbers=numbers,
        before=before,
        after=after,
        **(_compared(workflow, before, after) if numbers else {}),
    )


def _number(request: HttpRequest, name: str, numbers: list[int], otherwise: int) -> int:
    by_text = {str(number): number for number in numbers}
    return by_text.get(request.GET.get(name, ""), otherwise)


def _compared(workflow: Workflow, before: int, after: int) -> dict[str, Any]:
    versions = services.compare_versions(workflow, before, after)
    comparison = versions.comparison
    changed = marks_of(comparison.changed, "CHANGED")
    old = draw_workflow(
        versions.before.document, statuses={**changed, **marks_of(comparison.removed, "REMOVED")}
    )
    new = draw_workflow(
        versions.after.document, statuses={**changed, **marks_of(comparison.added, "ADDED")}
    )
    pictures: list[tuple[int, SafeString]] = [(before, old), (after, new)]
    return {
        "parts": parts_of(comparison),
        "unchanged": comparison.unchanged,
        "is_same": comparison.is_same,
        "pictures": pictures if before != after else [],
    }
