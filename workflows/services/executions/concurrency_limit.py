"""Places: how many executions of a workflow may go on at once, and who gets the next one.

An execution of a limited workflow begins in the queue, where its steps cannot be claimed. Only
`admit_executions` lets it go on, under the lock of the workflow, so that the limit holds however
many start at once. It is called after a start and after an end; should that be lost, the sweep does
it. No other lock is held meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from core.exceptions import Conflict
from core.mediator import mediator
from workflows.definition import DefinitionError
from workflows.definition_cache import definition_of
from workflows.engine.database_clock import database_now
from workflows.models import (
    HOLDING,
    ExecutionStatus,
    StepStatus,
    Workflow,
    WorkflowExecution,
    WorkflowStep,
)

# As many are let in by one transaction.
LARGEST_ADMISSION = 100
# Of a queue, no more are counted to tell a place in it.
MOST_COUNTED = 1000


@dataclass(frozen=True, slots=True)
class Queue:
    """What can be said of a queued execution: it is the `position`-th in the queue."""

    position: int
    held: int
    places: int | None

    @property
    def ahead(self) -> int:
        """How many go on before it."""
        return self.position - 1


def limit_of(workflow: Workflow) -> int | None:
    """How many executions of it may go on at once, as its current version says; None for any."""
    if workflow.current_version is None:
        return None
    try:
        return definition_of(workflow.current_version).concurrency
    except DefinitionError:
        return None


def request_admission(workflow_id: Any) -> None:
    """Let in who waits for a place of this workflow, once the open transaction is durable."""
    if workflow_id is not None:
        mediator.publish_on_commit("places_changed", workflow_id=str(workflow_id))


def enqueue(execution: WorkflowExecution, *, now: datetime) -> None:
    """Make an execution wait for a place, if its workflow has a limit; the caller saves it.

    Its open steps are kept back, and the time that its workflow allows it begins with its place.
    One that is being undone waits for nothing.
    """
    if execution.is_being_undone:
        return
    if execution.workflow is None or limit_of(execution.workflow) is None:
        return
    execution.status = ExecutionStatus.PENDING
    execution.queued_at = now
    execution.deadline_at = None
    open_steps = execution.steps.filter(status__in=(StepStatus.PENDING, StepStatus.WAITING))
    open_steps.filter(wake_at__isnull=False).update(held_wake_at=F("wake_at"), wake_at=None)
    request_admission(execution.workflow_id)


def admit_executions(workflow_id: Any) -> int:
    """Let as many executions go on as there are free places, the most urgent first; how many."""
    if not _queued(workflow_id).exists():
        return 0
    with transaction.atomic():
        workflow = (
            Workflow.objects.select_for_update(no_key=True, of=("self",))
            .select_related("current_version")
            .filter(pk=workflow_id)
            .first()
        )
        limit = limit_of(workflow) if workflow else None
        room = LARGEST_ADMISSION
        if limit is not None:
            room = min(room, limit - _holding(workflow_id).count())
        if room <= 0:
            return 0
        # One that somebody holds is passed over: its turn comes with the next look.
        found = _queued(workflow_id).select_for_update(no_key=True, skip_locked=True, of=("self",))
        admitted = list(in_turn(found).select_related("version")[:room])
        _admit(admitted)
    if limit is None and len(admitted) == LARGEST_ADMISSION:
        request_admission(workflow_id)
    return len(admitted)


def in_turn(executions: QuerySet[WorkflowExecution]) -> QuerySet[WorkflowExecution]:
    return executions.order_by(F("priority").desc(), "created_at", "id")


def admit_everywhere() -> int:
    """Let in whoever waits although there is room; how many."""
    queued = WorkflowExecution.objects.filter(
        workflow=OuterRef("pk"), queued_at__isnull=False, status=ExecutionStatus.PENDING
    )
    waiting = Workflow.objects.filter(Exists(queued)).values_list("pk", flat=True)
    return sum(admit_executions(pk) for pk in waiting)


def admit_after(execution_ids: Iterable[str]) -> None:
    """Let in who waited for these executions to end."""
    ended = WorkflowExecution.objects.filter(pk__in=list(execution_ids), workflow__isnull=False)
    for workflow_id in set(ended.values_list("workflow_id", flat=True)):
        admit_executions(workflow_id)


def queue_of(execution: WorkflowExecution) -> Queue | None:
    """Where it stands in the queue; None for one that does not wait for a place."""
    if not execution.is_queued or execution.workflow is None:
        return None
    before = Q(priority__gt=execution.priority) | Q(
        priority=execution.priority, created_at__lt=execution.created_at
    )
    ahead = _queued(execution.workflow_id).filter(before)[:MOST_COUNTED].count()
    held = _holding(execution.workflow_id).count()
    return Queue(ahead + 1, held, limit_of(execution.workflow))


def check_not_inside_itself(workflow: Workflow, parent_step_id: Any) -> None:
    """Refuse a child that would wait for a place which one that waits for it holds.

    Raises:
        Conflict: the workflow has a limit, and the child would run inside of the same workflow.
    """
    if limit_of(workflow) is None:
        return
    step_id = parent_step_id
    while step_id is not None:
        found = WorkflowStep.objects.filter(pk=step_id).values_list(
            "execution__workflow_id", "execution__parent_step_id"
        )
        outer, step_id = found.first() or (None, None)
        if outer == workflow.pk:
            raise Conflict(
                f"The workflow '{workflow.name}' limits its concurrency, so it cannot run inside of"
                " itself: it would wait for a place that it holds."
            )


def _queued(workflow_id: Any) -> QuerySet[WorkflowExecution]:
    return WorkflowExecution.objects.filter(
        workflow=workflow_id, queued_at__isnull=False, status=ExecutionStatus.PENDING
    )


def _holding(workflow_id: Any) -> QuerySet[WorkflowExecution]:
    return WorkflowExecution.objects.filter(
        workflow=workflow_id, queued_at__isnull=True, status__in=HOLDING
    ).order_by()


def _admit(executions: list[WorkflowExecution]) -> None:
    if not executions:
        return
    now = database_now()
    for execution in executions:
        execution.queued_at = None
        if execution.started_at is not None:  # it went on before, and may have nothing but timers
            execution.status = ExecutionStatus.RUNNING
        execution.deadline_at = _deadline(execution, now)
        execution.updated_at = now
    WorkflowExecution.objects.bulk_update(
        executions, ("status", "queued_at", "deadline_at", "updated_at")
    )
    held = WorkflowStep.objects.filter(
        execution__in=executions,
        status__in=(StepStatus.PENDING, StepStatus.WAITING),
        held_wake_at__isnull=False,
    )
    ready = [str(pk) for pk in held.values_list("pk", flat=True)]
    WorkflowStep.objects.filter(pk__in=ready).update(
        wake_at=Coalesce("wake_at", "held_wake_at"), held_wake_at=None, updated_at=now
    )
    mediator.publish_on_commit("steps_ready", step_ids=ready)


def _deadline(execution: WorkflowExecution, now: datetime) -> datetime | None:
    try:
        limit = definition_of(execution.version).timeout if execution.version else None
    except DefinitionError:
        return None
    return now + timedelta(seconds=limit) if limit else None
