"""Deletes executions older than their class allows, whole trees in bounded batches."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
from django.conf import settings
from django.db import connection
from django.db.models import Count, Q, QuerySet

from core.db.clock import database_now
from workflows.history.append_only import deletable_history
from workflows.models import (
    OPEN_RUN,
    TERMINAL,
    ExecutionStatus,
    PurgeRun,
    RetentionClass,
    Workflow,
    WorkflowExecution,
    WorkflowSchedule,
    WorkflowScheduleRun,
    WorkflowStep,
)
from workflows.services.retention.policy import Policy, RetentionCutoff

logger = structlog.get_logger(__name__)

BATCH_EXECUTIONS = 500
# An execution may have ten thousand steps; a transaction stops taking more at this many.
BATCH_STEPS = 10_000
MOST_COUNTED = 10_000
KEPT_RUNS = 1_000
# A week of a schedule that starts every minute.
KEPT_SCHEDULE_RUNS = 10_000
BATCH_RUNS = 1_000
PURGE_SECONDS = 20.0


@dataclass
class Purged:
    """What a purge deleted, or with a dry run would."""

    executions: int = 0
    steps: int = 0
    by_class: Counter[str] = field(default_factory=Counter)
    is_finished: bool = True


@dataclass(frozen=True)
class PurgeEstimate:
    """How many executions of a class may go now; counted no further than MOST_COUNTED."""

    retention: str
    days: int | None
    workflows: int
    executions: int

    @property
    def is_capped(self) -> bool:
        return self.executions >= MOST_COUNTED


def purge_schedule_runs(*, keep: int = KEPT_SCHEDULE_RUNS) -> int:
    """Forget all but the latest `keep` runs of each schedule, none that is open; give how many.

    An execution that a run started goes by the class of its workflow.
    """
    dropped = 0
    for schedule in WorkflowSchedule.objects.values_list("pk", flat=True):
        runs = WorkflowScheduleRun.objects.filter(schedule=schedule)
        last = runs.order_by("-tick").values_list("tick", flat=True)[keep : keep + 1].first()
        if last is not None:
            old = runs.filter(tick__lte=last, running=False).exclude(outcome__in=OPEN_RUN)
            oldest = old.order_by("tick").values_list("pk", flat=True)[:BATCH_RUNS]
            dropped += WorkflowScheduleRun.objects.filter(pk__in=list(oldest)).delete()[0]
    return dropped


def current_policy() -> Policy:
    """Return what the settings say."""
    return Policy(
        days=settings.RETENTION_DAYS,
        default=settings.RETENTION_DEFAULT,
        failed_days=settings.RETENTION_FAILED_DAYS,
    )


def purge_executions(
    *,
    actor: str = "hub",
    policy: Policy | None = None,
    seconds: float = PURGE_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Purged:
    """Delete executions that ended longer ago than their class allows, for at most `seconds`.

    Only COMPLETED, FAILED and CANCELLED ones that nobody started as a child; their children, steps
    and events go with them. What a live execution refers to stays. Any number may run at once.
    """
    purged, started_at, deadline = Purged(), database_now(), clock() + seconds
    for workflow, limits in _kept_by(policy or current_policy(), now=started_at):
        passed: list[Any] = []
        while clock() < deadline and _purge_batch(workflow, limits, purged, passed):
            pass
        if clock() >= deadline:
            purged.is_finished = False
            break
    if purged.executions:
        _note(purged, actor=actor, started_at=started_at)
    return purged


def due_by_class(policy: Policy | None = None) -> list[PurgeEstimate]:
    """Return how many executions each class would lose now; one query per class, bounded."""
    policy = policy or current_policy()
    now = database_now()
    classes: dict[str, list[Any]] = {}
    for workflow, retention in _workflows():
        name = policy.default if retention == RetentionClass.DEFAULT else retention
        classes.setdefault(name, []).append(workflow)
    due = []
    for name in RetentionClass.values:
        if name == RetentionClass.DEFAULT:
            continue
        workflows = classes.get(name, [])
        limits = policy.limits(name, now=now)
        count = 0
        if limits is not None and workflows:
            of_workflows = Q(workflow_id__in=[key for key in workflows if key is not None])
            unknown = Q(workflow__isnull=True) if None in workflows else Q(pk__in=())
            count = _ended(of_workflows | unknown, limits).order_by()[:MOST_COUNTED].count()
        named = sum(key is not None for key in workflows)
        due.append(PurgeEstimate(name, policy.days.get(name), named, count))
    return due


def _workflows() -> list[tuple[Any, str]]:
    """Return each workflow with its class; executions of deleted ones have None."""
    rows = Workflow.objects.order_by("name").values_list("pk", "retention")
    return [*rows, (None, RetentionClass.DEFAULT)]


def _kept_by(policy: Policy, *, now: datetime) -> Iterable[tuple[Any, RetentionCutoff]]:
    for workflow, retention in _workflows():
        limits = policy.limits(retention, now=now)
        if limits is not None:
            yield workflow, limits


def _ended(of: Q, limits: RetentionCutoff) -> QuerySet[WorkflowExecution]:
    # Answered, and ordered, by execution_retention_idx.
    early_enough = ~Q(status=ExecutionStatus.FAILED) | Q(completed_at__lt=limits.failed_before)
    return WorkflowExecution.objects.filter(
        of,
        early_enough,
        parent_step__isnull=True,
        status__in=TERMINAL,
        completed_at__lt=limits.ended_before,
    )


def _purge_batch(workflow: Any, limits: RetentionCutoff, purged: Purged, passed: list[Any]) -> bool:
    """Delete one batch in one transaction; False when there is no more to look at.

    `passed` collects what had to stay, so that the next batch does not begin with it again.
    """
    of = Q(workflow_id=workflow) if workflow else Q(workflow__isnull=True)
    with deletable_history():
        rows = _ended(of, limits).exclude(pk__in=passed).order_by("completed_at")
        roots = list(_lock(rows).values_list("pk", flat=True)[:BATCH_EXECUTIONS])
        members, live = _descendants(_few_enough(roots))
        live |= _referred_to(members)
        ids = [member for member, root in members.items() if root not in live]
        steps = sum(_count_steps(ids).values())
        if ids:
            WorkflowExecution.objects.filter(pk__in=ids).delete()
    passed.extend(live)
    if ids:
        purged.executions += len(ids)
        purged.steps += steps
        purged.by_class[limits.retention] += len(ids)
    # Beyond as many that must stay, the rest waits for the next purge.
    return bool(roots) and len(passed) < BATCH_EXECUTIONS


def _lock(rows: QuerySet[WorkflowExecution]) -> QuerySet[WorkflowExecution]:
    """Pass over what somebody holds: another purge, or a retry that comes just in time."""
    if connection.vendor != "postgresql":
        return rows
    return rows.select_for_update(skip_locked=True, of=("self",))


def _few_enough(roots: list[Any]) -> list[Any]:
    """Return as many as one transaction takes, at least one.

    A child has a step of its parent each, so this bounds their number too.
    """
    counts = _count_steps(roots)
    total = 0
    chosen: list[Any] = []
    for root in roots:
        total += counts.get(root, 0)
        if chosen and total > BATCH_STEPS:
            break
        chosen.append(root)
    return chosen


def _count_steps(executions: Iterable[Any]) -> dict[Any, int]:
    rows = WorkflowStep.objects.filter(execution_id__in=list(executions)).order_by()
    return dict(rows.values_list("execution_id").annotate(steps=Count("pk")))


def _descendants(roots: list[Any]) -> tuple[dict[Any, Any], set[Any]]:
    """Return every execution below these by its root, and the roots with one that goes on."""
    members = {root: root for root in roots}
    live: set[Any] = set()
    level = list(roots)
    while level:
        below = WorkflowExecution.objects.filter(parent_step__execution_id__in=level)
        held = {
            key: (parent, status)
            for key, parent, status in _lock(below).values_list(
                "pk", "parent_step__execution_id", "status"
            )
        }
        for parent in below.exclude(pk__in=list(held)).values_list(
            "parent_step__execution_id", flat=True
        ):
            live.add(members[parent])
        for key, (parent, status) in held.items():
            members[key] = members[parent]
            if status not in TERMINAL:
                live.add(members[parent])
        level = list(held)
    return members, live


def _referred_to(members: dict[Any, Any]) -> set[Any]:
    """Return the roots of which another execution, that has not ended, was made, as by a rerun."""
    roots: set[Any] = set()
    for relation in WorkflowExecution._meta.related_objects:
        if relation.related_model is not WorkflowExecution:
            continue
        name = relation.field.attname
        rows = WorkflowExecution.objects.filter(**{f"{relation.field.name}__in": list(members)})
        rows = rows.exclude(status__in=TERMINAL)
        roots |= {members[key] for key in rows.values_list(name, flat=True)}
    return roots


def _note(purged: Purged, *, actor: str, started_at: datetime) -> None:
    PurgeRun.objects.create(
        actor=actor[:100],
        started_at=started_at,
        completed_at=database_now(),
        executions=purged.executions,
        steps=purged.steps,
        by_class=dict(purged.by_class),
    )
    kept = PurgeRun.objects.order_by("-id").values_list("pk", flat=True)[:KEPT_RUNS]
    PurgeRun.objects.exclude(pk__in=list(kept)).delete()
    logger.info("executions_purged", executions=purged.executions, steps=purged.steps, by=actor)
