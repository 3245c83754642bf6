"""Says which approvals a rerun may take over: those whose givers saw what runs now, and once.

What an execution kept as a whole (a PARALLEL, a MAP, a WORKFLOW) asked people where a step inside
of it did, or one of the executions that it started.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet

from workflows.definition import Definition
from workflows.definition_cache import known_definition
from workflows.models import StepStatus, WorkflowExecution, WorkflowStep
from workflows.services.definitions.retirement import approvals_in
from workflows.validation.graph import StepGraph

_CONTAINERS = ("PARALLEL", "MAP")
# As deep as workflows start each other.
_MOST_DEPTH = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """A row that is to be kept: whether people could be asked by it, and whether they approved."""

    row: WorkflowStep
    asks: bool
    approved: bool


def asked_in(rows: Iterable[WorkflowStep], definition: Definition) -> list[Asked]:
    """Return those of the rows at the top of an execution that ask people, in the same order."""
    found = [_asked_by(row, definition) for row in rows]
    return [asked for asked in found if asked.asks or asked.approved]


def void_ones(
    asked: Sequence[Asked], original: WorkflowExecution, *, is_changed: bool
) -> list[WorkflowStep]:
    """Return the rows whose decisions do not hold for a rerun.

    With anything changed those are all, also of what was skipped or rejected; else the approvals
    that another execution has taken over, or that were taken over by `original` itself.
    """
    if is_changed:
        return [each.row for each in asked]
    is_used = original.approvals_reused
    return [each.row for each in asked if each.approved and (is_used or each.row.reused)]


def gates_before(step_id: str, definition: Definition) -> list[str]:
    """Return the steps at the top that ask people and lead to a step, by their ids."""
    graph = StepGraph(definition)
    outer = {graph.around(name)[-1] for name in approvals_in(definition)}
    return sorted((outer & graph.before(step_id)) - {step_id})


def _asked_by(row: WorkflowStep, definition: Definition) -> Asked:
    kind = definition.steps[row.step_id].kind if row.step_id in definition.steps else ""
    if kind == "APPROVAL":
        return Asked(row, True, row.status == StepStatus.COMPLETED)
    if kind not in (*_CONTAINERS, "WORKFLOW"):
        return Asked(row, False, False)
    inside = _approvals_inside(row.step_id, definition)
    source = _source_of(row)
    if source is None:  # nobody knows any more what it did
        return Asked(row, True, True)
    below = Q(scope__startswith=f"{source.path}/")
    rows = WorkflowStep.objects.filter(below, execution_id=source.execution_id)
    approved = _have_approved(rows, inside)
    asks_below, approved_below = _asked_by_children(source)
    return Asked(row, bool(inside) or asks_below, approved or approved_below)


def _approvals_inside(step_id: str, definition: Definition) -> frozenset[str]:
    graph = StepGraph(definition)
    return frozenset(n for n in approvals_in(definition) if step_id in graph.around(n)[1:])


def _source_of(row: WorkflowStep) -> WorkflowStep | None:
    """Return the row of which one is a copy of a copy; None if it was deleted."""
    source: WorkflowStep | None = row
    while source is not None and source.reused:
        rows = WorkflowStep.objects.filter(execution__reruns=source.execution_id, path=source.path)
        source = rows.order_by("-attempt").first()
    return source


def _asked_by_children(row: WorkflowStep) -> tuple[bool, bool]:
    """Return whether executions that a step started could ask people, and were approved."""
    started = WorkflowExecution.objects.filter(
        Q(parent_step__path=row.path) | Q(parent_step__scope__startswith=f"{row.path}/"),
        parent_step__execution_id=row.execution_id,
    )
    asks = approved = False
    for _ in range(_MOST_DEPTH):
        versions = set(started.order_by().values_list("version_id", flat=True).distinct())
        if not versions:
            break
        ids = frozenset().union(*(_approvals_of(version) for version in versions))
        asks = asks or bool(ids)
        steps = WorkflowStep.objects.filter(execution__in=started.values("pk"))
        approved = approved or _have_approved(steps, ids)
        started = WorkflowExecution.objects.filter(parent_step__execution__in=started.values("pk"))
    return asks, approved


def _approvals_of(version_id: Any) -> frozenset[str]:
    return approvals_in(known_definition(version_id))


def _have_approved(rows: QuerySet[WorkflowStep], ids: frozenset[str]) -> bool:
    return bool(ids) and rows.filter(step_id__in=ids, status=StepStatus.COMPLETED).exists()
