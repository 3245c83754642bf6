"""Counts the steps inside of branches, where there are more of them than a page shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Max, Min, Q

from workflows.definition import Step
from workflows.models import StepStatus, WorkflowExecution, WorkflowStep

MAX_STEPS = 200
# Of those inside of branches and elements, when there are more than a page shows.
MAX_INSIDE = 50


@dataclass(frozen=True)
class Group:
    """All rows of one step, inside of branches or elements, that have the same status."""

    step_id: str
    status: str
    count: int
    begun_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True)
class Span:
    """When all rows of one step inside of branches began and ended, taken together."""

    step_id: str
    count: int
    begun_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True)
class ShownSteps:
    """The steps that a page shows; `groups` count what is inside when these are not all."""

    steps: list[WorkflowStep]
    groups: list[Group]

    @property
    def has_more(self) -> bool:
        return bool(self.groups)

    def spans(self) -> list[Span]:
        """Return one for each step that is counted and has begun."""
        by_step: dict[str, list[Group]] = {}
        for group in self.groups:
            by_step.setdefault(group.step_id, []).append(group)
        made = [_span_of(step_id, groups) for step_id, groups in by_step.items()]
        return sorted((s for s in made if s is not None), key=lambda span: span.begun_at)


def find_steps(execution: WorkflowExecution) -> ShownSteps:
    """Return the latest steps in the order in which they began; at most four queries."""
    rows = execution.steps.defer("input", "output").order_by("-id")
    steps = list(rows[: MAX_STEPS + 1])
    if len(steps) <= MAX_STEPS:
        return ShownSteps(steps[::-1], [])
    groups = _groups_of(execution)
    if groups:
        inside = list(rows.exclude(scope="")[:MAX_INSIDE])
        steps = [*rows.filter(scope="")[:MAX_STEPS], *inside]
        return ShownSteps(sorted(steps, key=lambda step: step.id), groups)
    return ShownSteps(steps[:MAX_STEPS][::-1], [])


def _groups_of(execution: WorkflowExecution) -> list[Group]:
    # Rows that another attempt took the place of are left out: a place counts once.
    lasting = Q(error__handled__isnull=True) | ~Q(error__handled="RETRIED")
    lasting |= ~Q(status=StepStatus.FAILED)
    rows = execution.steps.filter(lasting).exclude(scope="").order_by()
    counted = rows.values_list("step_id", "status").annotate(
        Count("pk"), Min("started_at"), Max("completed_at")
    )
    return [Group(*values) for values in counted]


def _span_of(step_id: str, groups: list[Group]) -> Span | None:
    begun = [group.begun_at for group in groups if group.begun_at is not None]
    ended = [group.ended_at for group in groups]
    if not begun:
        return None
    is_open = any(moment is None for moment in ended)
    last = None if is_open else max(moment for moment in ended if moment is not None)
    return Span(step_id, sum(group.count for group in groups), min(begun), last)


def totals_of(
    groups: Iterable[Group], steps: Mapping[str, Step]
) -> Mapping[str, list[tuple[str, int]]]:
    """Return how many rows have which status, by the outermost MAP that they are in."""
    totals: dict[str, dict[str, int]] = {}
    for group in groups:
        outermost = _outermost_map(group.step_id, steps)
        if outermost is not None:
            counts = totals.setdefault(outermost, {})
            counts[group.status] = counts.get(group.status, 0) + group.count
    return {name: sorted(counts.items()) for name, counts in totals.items()}


def _outermost_map(step_id: str, steps: Mapping[str, Step]) -> str | None:
    outermost = None
    container = steps[step_id].container if step_id in steps else None
    while container is not None:
        if steps[container].kind == "MAP":
            outermost = container
        container = steps[container].container
    return outermost
