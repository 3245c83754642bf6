"""What the page of one execution shows, in a constant number of queries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.safestring import SafeString

from workflows.admin.drawing import draw_workflow
from workflows.admin.explain import Explanation, explain
from workflows.admin.timeline import timeline_of
from workflows.admin.waiting import Child, children_of, describe, questions_of, waiting_of
from workflows.definition import Definition, read
from workflows.models import (
    TERMINAL,
    ExecutionStatus,
    StepStatus,
    WorkflowExecution,
    WorkflowStep,
)

MAX_STEPS = 200
MAX_EVENTS = 100
MAX_STATUSES = 5_000
RETRYABLE = (ExecutionStatus.FAILED, ExecutionStatus.NEEDS_REVIEW, ExecutionStatus.CANCELLED)
TROUBLED = (ExecutionStatus.FAILED, ExecutionStatus.NEEDS_REVIEW)
PAUSABLE = (ExecutionStatus.PENDING, ExecutionStatus.RUNNING)
BUSY = (StepStatus.PENDING, StepStatus.RUNNING)
LIVE_SECONDS, IDLE_SECONDS = 2, 10
# Of the steps in several branches or elements, the picture shows the first of these.
WORST_FIRST = (
    StepStatus.NEEDS_REVIEW,
    StepStatus.FAILED,
    StepStatus.RUNNING,
    StepStatus.PENDING,
    StepStatus.WAITING,
)


@dataclass
class ShownStep:
    """A row of the list of steps: an attempt, or what is inside of a MAP (then `step` is None)."""

    step: WorkflowStep | None
    place: str = ""
    words: str = ""
    child: Child | None = None
    inside: list[ShownStep] = field(default_factory=list)

    @property
    def counts(self) -> list[tuple[str, int]]:
        """How many of those inside have which status."""
        return sorted(Counter(str(row.step.status) for row in self.inside if row.step).items())

    @property
    def key(self) -> str:
        """An id for the page that changes with what is shown."""
        counted = "-".join(f"{status}{count}" for status, count in self.counts)
        return f"{self.place.replace('/', '-')}-{counted}"


def executions_with_parts() -> QuerySet[WorkflowExecution]:
    return WorkflowExecution.objects.select_related(
        "workflow", "version", "parent_step__execution"
    ).defer("workflow__metadata", "parent_step__input", "parent_step__output")


def page_of(
    execution: WorkflowExecution, *, person: User | AnonymousUser, may_control: bool
) -> dict[str, Any]:
    """Everything that the live part of the page shows this person."""
    steps = list(execution.steps.defer("input", "output").order_by("-id")[: MAX_STEPS + 1])
    has_more = len(steps) > MAX_STEPS
    steps = steps[:MAX_STEPS][::-1]
    definition = read(execution.version.document).definition if execution.version else None
    children = children_of(execution, steps, definition)
    waiting = [] if execution.has_ended else waiting_of(steps, definition)
    words = describe(waiting, definition, children)
    names = {step.step_id: step.name for step in steps if step.name}
    return {
        "execution": execution,
        "steps": _shown(steps, definition, children, {w.path: w.words for w in words}),
        "has_more_steps": has_more,
        "max_steps": MAX_STEPS,
        "events": list(execution.events.order_by("-sequence")[:MAX_EVENTS]),
        "timeline": timeline_of(
            steps, start=execution.started_at, end=execution.completed_at or timezone.now()
        ),
        "graph": _graph(execution, steps, has_more=has_more),
        "waiting": words,
        "questions": questions_of(waiting, definition, person=person, may_control=may_control),
        "trouble": _trouble(execution, steps, names),
        "may_retry": execution.status in RETRYABLE,
        "may_cancel": execution.status not in TERMINAL,
        "may_pause": execution.status in PAUSABLE,
        "may_resume": execution.status == ExecutionStatus.PAUSED,
        "refresh_seconds": None if execution.has_ended else _refresh_seconds(execution, steps),
    }


def _refresh_seconds(execution: WorkflowExecution, steps: list[WorkflowStep]) -> int:
    """Often while something runs, seldom while all there is waits."""
    is_busy = not steps or any(step.status in BUSY for step in steps)
    return LIVE_SECONDS if is_busy and execution.status in PAUSABLE else IDLE_SECONDS


def _shown(
    steps: list[WorkflowStep],
    definition: Definition | None,
    children: dict[Any, Child],
    words: dict[str, str],
) -> list[ShownStep]:
    """The rows of the list; what is inside of a MAP is folded into one row below it."""
    maps = {s.id for s in definition.steps.values() if s.kind == "MAP"} if definition else set()
    shown: list[ShownStep] = []
    folded: dict[str, ShownStep] = {}
    for step in steps:
        row = ShownStep(step, child=children.get(step.pk), words=_words_of(step, words))
        element_of = _map_around(step.scope, maps)
        if element_of is None:
            shown.append(row)
            continue
        if element_of not in folded:
            folded[element_of] = ShownStep(step=None, place=element_of)
            shown.append(folded[element_of])
        folded[element_of].inside.append(row)
    return shown


def _words_of(step: WorkflowStep, words: dict[str, str]) -> str:
    return words.get(step.path, "") if step.status == StepStatus.WAITING else ""


def _map_around(scope: str, maps: set[str]) -> str | None:
    """The path of the outermost MAP that a scope such as `look/0/each/3` is in."""
    parts = scope.split("/") if scope else []
    for end in range(1, len(parts), 2):
        if parts[end - 1].partition("#")[0] in maps:
            return "/".join(parts[:end])
    return None


def _graph(
    execution: WorkflowExecution, steps: list[WorkflowStep], *, has_more: bool
) -> SafeString:
    if execution.version is None:
        return SafeString("")
    found = [(step.step_id, step.scope, step.status) for step in steps]
    if has_more:
        latest = execution.steps.order_by("-id").values_list("step_id", "scope", "status")
        found = list(latest[:MAX_STATUSES])[::-1]
    return draw_workflow(execution.version.document, statuses=_statuses(found))


def _statuses(found: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """The status of each step: the latest in its branch, the worst of several."""
    latest = {(step_id, scope): status for step_id, scope, status in found}
    statuses: dict[str, str] = {}
    for (step_id, _scope), status in latest.items():
        known = statuses.get(step_id)
        statuses[step_id] = status if known is None else min(known, status, key=_rank)
    return statuses


def _rank(status: str) -> int:
    return WORST_FIRST.index(status) if status in WORST_FIRST else len(WORST_FIRST)


def _trouble(
    execution: WorkflowExecution, steps: list[WorkflowStep], names: dict[str, str]
) -> Explanation | None:
    if execution.status not in TROUBLED:
        return None
    if execution.errors:
        return explain(execution.errors, names=names)
    bad = [s for s in steps if s.status in (StepStatus.FAILED, StepStatus.NEEDS_REVIEW)]
    if not bad:
        return None
    error = bad[-1].error if isinstance(bad[-1].error, dict) else {}
    about = {"step": bad[-1].step_id, "attempt": bad[-1].attempt, "service": bad[-1].service}
    return explain([{**about, **error}], names=names)
