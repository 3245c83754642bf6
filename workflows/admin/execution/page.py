"""Reads what the page of one execution shows, in a constant number of queries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.safestring import SafeString

from workflows import services
from workflows.admin.execution.failure_explanation import Explanation, explain
from workflows.admin.execution.large_executions import MAX_STEPS, ShownSteps, find_steps, totals_of
from workflows.admin.execution.review import reviews_of
from workflows.admin.execution.timeline import timeline_of
from workflows.admin.execution.waits import (
    ChildLink,
    children_of,
    describe,
    questions_of,
    waiting_of,
)
from workflows.admin.graph.svg import draw_workflow
from workflows.definition import Step, read
from workflows.definition.step_paths import is_compensation, scope_of
from workflows.history.activity import active_seconds, idle_kinds, spans_of
from workflows.models import (
    ACTIVE,
    GOING_ON,
    OPEN_STEP,
    TERMINAL,
    ExecutionStatus,
    StepStatus,
    WorkflowExecution,
    WorkflowStep,
)

MAX_EVENTS = 100
MAX_RERUNS = 10
RETRYABLE = (ExecutionStatus.FAILED, ExecutionStatus.NEEDS_REVIEW, ExecutionStatus.CANCELLED)
TROUBLED = (ExecutionStatus.FAILED, ExecutionStatus.NEEDS_REVIEW)
BUSY = (StepStatus.PENDING, StepStatus.RUNNING)
# Of the steps in several branches or elements, the picture shows the first of these.
WORST_FIRST = (
    StepStatus.NEEDS_REVIEW,
    StepStatus.FAILED,
    ExecutionStatus.COMPENSATING,
    StepStatus.RUNNING,
    StepStatus.PENDING,
    StepStatus.WAITING,
)


@dataclass
class ShownStep:
    """A row of a list of steps: an attempt, or what is inside of a MAP (then `step` is None).

    `scope` is the path of that MAP, or the branch of the step that this one undoes.
    """

    step: WorkflowStep | None
    scope: str = ""
    words: str = ""
    child: ChildLink | None = None
    inside: list[ShownStep] = field(default_factory=list)
    # How many have which status, where not all of those inside are shown.
    totals: list[tuple[str, int]] = field(default_factory=list)

    @property
    def counts(self) -> list[tuple[str, int]]:
        """Return how many of those inside have which status."""
        if self.totals:
            return self.totals
        return sorted(Counter(str(row.step.status) for row in self.inside if row.step).items())

    @property
    def shares(self) -> list[tuple[str, float, float]]:
        """Of a bar of all inside: each status, where it begins and how wide it is in percent."""
        shares, left = [], 0.0
        whole = sum(count for _, count in self.counts) or 1
        for status, count in self.counts:
            width = 100 * count / whole
            shares.append((status, round(left, 3), round(width, 3)))
            left += width
        return shares

    @property
    def key(self) -> str:
        """An id for the page that changes with what is shown."""
        counted = "-".join(f"{status}{count}" for status, count in self.counts)
        return f"{self.scope.replace('/', '-')}-{counted}"


def executions_with_parts() -> QuerySet[WorkflowExecution]:
    return WorkflowExecution.objects.select_related(
        "workflow", "version", "parent_step__execution", "rerun_of"
    ).defer(
        "workflow__metadata",
        "parent_step__input",
        "parent_step__output",
        "rerun_of__input",
        "rerun_of__context",
        "rerun_of__output",
    )


def page_of(
    execution: WorkflowExecution, *, person: User | AnonymousUser, may_control: bool
) -> dict[str, Any]:
    """Return what the live part of the page shows this person."""
    shown = find_steps(execution)
    steps = shown.steps
    definition = read(execution.version.document).definition if execution.version else None
    definitions = definition.steps if definition else {}
    idle = idle_kinds(definition)
    children = children_of(execution, steps, definitions)
    waiting = [] if execution.has_ended else waiting_of(steps, definitions)
    words = describe(waiting, definitions, children)
    names = {step.step_id: step.name for step in steps if step.name}
    return {
        "execution": execution,
        "shown_status": _shown_status(execution, steps),
        "steps": _rows_of(shown, definitions, children, {w.path: w.words for w in words}),
        "undone": [ShownStep(s, scope=scope_of(s.path)) for s in steps if s.is_compensation],
        "has_more_steps": shown.has_more or len(steps) >= MAX_STEPS,
        "shown_steps": len(steps),
        "events": list(execution.events.order_by("-sequence")[:MAX_EVENTS]),
        **_activity(execution, shown, idle),
        "timeline": timeline_of(
            [s for s in steps if not s.reused and not (shown.groups and s.scope)],
            start=execution.started_at,
            end=execution.completed_at or timezone.now(),
            spans=shown.spans(),
            names=names,
            idle=idle,
        ),
        "graph": _graph(execution, shown),
        "waiting": words,
        "reviews": reviews_of(steps, definitions) if may_control else [],
        "reruns": list(execution.reruns.order_by("-created_at").only("status")[:MAX_RERUNS]),
        "may_rerun": execution.has_ended,
        "questions": questions_of(waiting, definitions, person=person, may_control=may_control),
        "trouble": _trouble(execution, steps, names),
        "queue": services.queue_of(execution),
        "may_retry": execution.status in RETRYABLE and not execution.was_compensated,
        "may_cancel": execution.status not in TERMINAL and not execution.is_compensating,
        "may_pause": execution.status in ACTIVE,
        "may_resume": execution.status == ExecutionStatus.PAUSED,
        "is_live": not execution.has_ended,
        # The bars of the timeline grow.
        "is_busy": _is_busy(execution, steps),
    }


def _shown_status(execution: WorkflowExecution, steps: list[WorkflowStep]) -> str:
    """Return the status; what waited and was answered goes on, before a worker takes it up."""
    if execution.is_queued:
        return "QUEUED"
    goes_on = execution.status == ExecutionStatus.WAITING and any(s.status in BUSY for s in steps)
    return ExecutionStatus.RUNNING if goes_on else execution.status


def _activity(
    execution: WorkflowExecution, shown: ShownSteps, idle: Mapping[str, str]
) -> dict[str, float]:
    """Return for how long something of it ran, and for how long nothing did."""
    if execution.started_at is None:
        return {"active_seconds": 0.0, "idle_seconds": 0.0}
    end = execution.completed_at or timezone.now()
    own = [s for s in shown.steps if not s.reused and not (shown.groups and s.scope)]
    times = [(step.started_at, step.completed_at) for step in own if step.step_id not in idle]
    times += [(s.begun_at, s.ended_at) for s in shown.spans() if s.step_id not in idle]
    active = active_seconds(spans_of(times, until=None if execution.has_ended else end))
    elapsed = (end - execution.started_at).total_seconds()
    return {"active_seconds": active, "idle_seconds": elapsed - active}


def _is_busy(execution: WorkflowExecution, steps: list[WorkflowStep]) -> bool:
    """Return whether something runs, and not all there is waits."""
    is_busy = not steps or any(step.status in BUSY for step in steps)
    return is_busy and execution.status in GOING_ON


def _rows_of(
    shown: ShownSteps,
    definitions: Mapping[str, Step],
    children: dict[Any, ChildLink],
    words: dict[str, str],
) -> list[ShownStep]:
    """Return the rows of the list; what is inside of a MAP is folded into one row below it."""
    maps = {step.id for step in definitions.values() if step.kind == "MAP"}
    rows: list[ShownStep] = []
    folded: dict[str, ShownStep] = {}
    for step in shown.steps:
        if step.is_compensation:
            continue
        row = ShownStep(step, child=children.get(step.pk), words=_words_of(step, words))
        element_of = _map_around(step.scope, maps)
        if element_of is None:
            rows.append(row)
            continue
        if element_of not in folded:
            folded[element_of] = ShownStep(step=None, scope=element_of)
            rows.append(folded[element_of])
        folded[element_of].inside.append(row)
    totals = totals_of(shown.groups, definitions)
    for path, row in folded.items():
        row.totals = totals.get(path.rpartition("/")[2].partition("#")[0], [])
    return rows


def _words_of(step: WorkflowStep, words: dict[str, str]) -> str:
    return words.get(step.path, "") if step.status == StepStatus.WAITING else ""


def _map_around(scope: str, maps: set[str]) -> str | None:
    """Return the path of the outermost MAP that a scope such as `look/0/each/3` is in."""
    parts = scope.split("/") if scope else []
    for end in range(1, len(parts), 2):
        if parts[end - 1].partition("#")[0] in maps:
            return "/".join(parts[:end])
    return None


def _graph(execution: WorkflowExecution, shown: ShownSteps) -> SafeString:
    if execution.version is None:
        return SafeString("")
    top = [s for s in shown.steps if not (shown.groups and s.scope)]
    statuses = latest_statuses((step.step_id, step.path, step.status) for step in top)
    for group in shown.groups:
        worst = statuses.get(group.step_id, group.status)
        statuses[group.step_id] = min(worst, group.status, key=_rank)
    return draw_workflow(execution.version.document, statuses=statuses)


def latest_statuses(attempts: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """Return the status of each step: the latest in its branch, the worst of several.

    Rows are given as step id, path and status. Once it is being undone, how far that is.
    """
    latest = {
        (step_id, scope_of(path)): _status_at(path, status) for step_id, path, status in attempts
    }
    statuses: dict[str, str] = {}
    for (step_id, _scope), status in latest.items():
        worst = statuses.get(step_id)
        statuses[step_id] = status if worst is None else min(worst, status, key=_rank)
    return statuses


def _status_at(path: str, status: str) -> str:
    if not is_compensation(path):
        return status
    if status == StepStatus.COMPLETED:
        return StepStatus.COMPENSATED
    is_open = status in OPEN_STEP
    return ExecutionStatus.COMPENSATING if is_open else StepStatus.NEEDS_REVIEW


def _rank(status: str) -> int:
    return WORST_FIRST.index(status) if status in WORST_FIRST else len(WORST_FIRST)


def _trouble(
    execution: WorkflowExecution, steps: list[WorkflowStep], names: dict[str, str]
) -> Explanation | None:
    if execution.status not in TROUBLED:
        return None
    if execution.errors:
        return explain(execution.errors, names=names, was_compensated=execution.was_compensated)
    bad = [s for s in steps if s.status in (StepStatus.FAILED, StepStatus.NEEDS_REVIEW)]
    if not bad:
        return None
    error = bad[-1].error if isinstance(bad[-1].error, dict) else {}
    about = {"step": bad[-1].step_id, "attempt": bad[-1].attempt, "service": bad[-1].service}
    return explain([{**about, **error}], names=names)
