"""Keeps the concurrency limit of workflows: slots, and the queue of executions for them.

An execution of a limited workflow begins in the queue, where its steps cannot be claimed. Only
`dequeue_executions` lets it go on, under the lock of the workflow, so that the limit holds however
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

from core.db.clock import database_now
from core.mediator import mediator
from workflows.definition_cache import readable_definition
from workflows.execution_rows import limit_of, request_dequeue
from workflows.models import (
    HOLDING_SLOT,
    ExecutionStatus,
    StepStatus,
    Workflow,
    WorkflowExecution,
    WorkflowStep,
)

# As many are dequeued by one transaction.
LARGEST_DEQUEUE = 100
# Of a queue, no more are counted to tell a position in it.
MOST_COUNTED = 1000


@dataclass(frozen=True, slots=True)
class Queue:
    """The position of a queued execution, and how many of the slots are held."""

    position: int
    held: int
    slots: int | None

    @property
    def ahead(self) -> int:
        """The number of executions that go on before it."""
        return self.position - 1


def enqueue(execution: WorkflowExecution, *, now: datetime) -> None:
    """Make an execution wait for a slot, if its workflow has a limit; the caller saves it.

    Its open steps are kept back, and the time that its workflow allows it begins with its slot.
    One that is being compensated waits for nothing.
    """
    if execution.is_compensating:
        return
    if execution.workflow is None or limit_of(execution.workflow) is None:
        return
    execution.status = ExecutionStatus.PENDING
    execution.queued_at = now
    execution.deadline_at = None
    open_steps = execution.steps.filter(status__in=(StepStatus.PENDING, StepStatus.WAITING))
    open_steps.filter(wake_at__isnull=False).update(held_wake_at=F("wake_at"), wake_at=None)
    request_dequeue(execution.workflow_id)


def dequeue_executions(workflow_id: Any) -> int:
    """Fill the free slots, the most urgent execution first; return how many went on."""
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
        room = LARGEST_DEQUEUE
        if limit is not None:
            room = min(room, limit - _holding(workflow_id).count())
        if room <= 0:
            return 0
        # One that somebody has locked is passed over: its turn comes with the next look.
        queued = _queued(workflow_id).select_for_update(no_key=True, skip_locked=True, of=("self",))
        dequeued = list(in_turn(queued).select_related("version")[:room])
        _give_slots(dequeued)
    if limit is None and len(dequeued) == LARGEST_DEQUEUE:
        request_dequeue(workflow_id)
    return len(dequeued)


def in_turn(executions: QuerySet[WorkflowExecution]) -> QuerySet[WorkflowExecution]:
    return executions.order_by(F("priority").desc(), "created_at", "id")


def dequeue_everywhere() -> int:
    """Fill the free slots of every workflow; return how many executions went on."""
    queued = WorkflowExecution.objects.filter(
        workflow=OuterRef("pk"), queued_at__isnull=False, status=ExecutionStatus.PENDING
    )
    waiting = Workflow.objects.filter(Exists(queued)).values_list("pk", flat=True)
    return sum(dequeue_executions(pk) for pk in waiting)


def dequeue_after(execution_ids: Iterable[str]) -> None:
    """Fill the slots that these executions held."""
    ended = WorkflowExecution.objects.filter(pk__in=list(execution_ids), workflow__isnull=False)
    for workflow_id in set(ended.values_list("workflow_id", flat=True)):
        dequeue_executions(workflow_id)


def queue_of(execution: WorkflowExecution) -> Queue | None:
    """Return its position in the queue; None for one that does not wait for a slot."""
    if not execution.is_queued or execution.workflow is None:
        return None
    before = Q(priority__gt=execution.priority) | Q(
        priority=execution.priority, created_at__lt=execution.created_at
    )
    ahead = _queued(execution.workflow_id).filter(before)[:MOST_COUNTED].count()
    held = _holding(execution.workflow_id).count()
    return Queue(ahead + 1, held, limit_of(execution.workflow))


def _queued(workflow_id: Any) -> QuerySet[WorkflowExecution]:
    return WorkflowExecution.objects.filter(
        workflow=workflow_id, queued_at__isnull=False, status=ExecutionStatus.PENDING
    )


def _holding(workflow_id: Any) -> QuerySet[WorkflowExecution]:
    return WorkflowExecution.objects.filter(
        workflow=workflow_id, queued_at__isnull=True, status__in=HOLDING_SLOT
    ).order_by()


def _give_slots(executions: list[WorkflowExecution]) -> None:
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
    definition = readable_definition(execution.version)
    limit = definition.timeout if definition else None
    return now + timedelta(seconds=limit) if limit else None
