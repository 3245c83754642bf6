"""Cancels, fails, pauses, resumes and retries executions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Max, Q
from django.db.models.functions import Coalesce

from core import audit
from core.db.clock import database_now
from core.exceptions import Conflict, IntegrationError, NotFound
from core.mediator import mediator
from core.models import AuditVerb
from workflows.compensation import next_attempt, retry_compensation
from workflows.decide import describe
from workflows.definition import Definition
from workflows.definition.step_paths import containers_of
from workflows.exceptions import WorkflowError
from workflows.execution_rows import request_dequeue
from workflows.history.events import append_event, why_full
from workflows.models import (
    ACTIVE,
    TERMINAL,
    EventKind,
    ExecutionStatus,
    StepStatus,
    WorkflowExecution,
    WorkflowStep,
)
from workflows.services.executions.concurrency_limit import enqueue
from workflows.services.executions.lookup import execution_definition
from workflows.services.executions.stop import stop_execution

_RETRYABLE = (ExecutionStatus.FAILED, ExecutionStatus.CANCELLED, ExecutionStatus.NEEDS_REVIEW)
_CONTAINERS = ("PARALLEL", "MAP")


def lock_execution(execution_id: Any) -> WorkflowExecution:
    """Return the execution, locked until the caller's transaction ends.

    Raises:
        NotFound: there is none.
    """
    execution = WorkflowExecution.objects.select_for_update().filter(pk=execution_id).first()
    if execution is None:
        raise NotFound(f"No execution with the id '{execution_id}'.")
    return execution


def cancel_execution(execution_id: Any, *, actor: str = "", reason: str = "") -> WorkflowExecution:
    """End an execution and its children now. What a call under way answers is not recorded.

    What completed is undone first, where the definition says how.

    Raises:
        Conflict: it has ended already, or is being undone.
    """
    with transaction.atomic():
        execution = lock_execution(execution_id)
        _check_may_cancel(execution)
        stop_execution(execution, as_=ExecutionStatus.CANCELLED, actor=actor, reason=reason)
        audit.record(AuditVerb.CANCELLED, execution, reason=reason)
    cancel_children(execution, actor=actor)
    wake_parent(execution)
    return execution


def _check_may_cancel(execution: WorkflowExecution) -> None:
    if execution.status in TERMINAL:
        raise Conflict(f"The execution is {execution.status} already; it cannot be cancelled.")
    if execution.is_compensating:
        raise Conflict(
            f"The execution is {execution.status}: it is being undone already, and ends"
            f" {execution.ends_as} after that."
        )


def cancel_orphan(execution_id: Any) -> bool:
    """Cancel a child that its parent waits for no longer; False when it has ended meanwhile."""
    try:
        cancel_execution(execution_id, actor="engine", reason="Its parent waits for it no longer.")
    except Conflict:
        return False
    return True


def fail_execution(execution_id: Any, error: IntegrationError) -> bool:
    """End an execution that cannot go on, whatever its steps do.

    What completed is undone first. False when it has ended or is being undone.
    """
    with transaction.atomic():
        execution = lock_execution(execution_id)
        if execution.status in TERMINAL or execution.is_compensating:
            return False
        execution.errors = [{"step": None, **describe(error)}]
        stop_execution(execution, as_=ExecutionStatus.FAILED, actor="engine")
    cancel_children(execution, actor="engine")
    wake_parent(execution)
    return True


def fail_full_execution(execution_id: Any) -> bool:
    """End an execution with as many events as it may have; False when it has ended anyway."""
    return fail_execution(execution_id, WorkflowError(why_full(), code="history_full"))


def cancel_children(execution: WorkflowExecution, *, actor: str) -> None:
    """Cancel what the execution started and waits for no longer."""
    children = WorkflowExecution.objects.filter(parent_step__execution=execution)
    for child in children.exclude(status__in=TERMINAL):
        try:
            with audit.acting(None):  # it follows from the act on the parent
                cancel_execution(child.pk, actor=actor, reason="Its parent was cancelled.")
        except Conflict:
            continue  # it ended meanwhile


def wake_parent(execution: WorkflowExecution) -> None:
    """Let the step look that waits for this execution; it would by itself, later."""
    if execution.parent_step_id is None:
        return
    woken = WorkflowStep.objects.filter(pk=execution.parent_step_id, status=StepStatus.WAITING)
    if woken.update(status=StepStatus.PENDING, wake_at=database_now()):
        mediator.publish("steps_ready", step_ids=[str(execution.parent_step_id)])


def pause_execution(execution_id: Any, *, actor: str = "") -> WorkflowExecution:
    """Begin nothing more of an execution; calls under way finish and are recorded.

    Raises:
        Conflict: it is not running.
    """
    with transaction.atomic():
        execution = lock_execution(execution_id)
        if execution.is_compensating:
            raise Conflict("The execution is being undone; that cannot be paused.")
        if execution.status not in ACTIVE:
            raise Conflict(
                f"The execution is {execution.status}; only a running one can be paused."
            )
        waiting = execution.steps.filter(status__in=(StepStatus.PENDING, StepStatus.WAITING))
        waiting.filter(wake_at__isnull=False).update(held_wake_at=F("wake_at"), wake_at=None)
        execution.status = ExecutionStatus.PAUSED
        append_event(execution, EventKind.PAUSED, actor=actor)
        audit.record(AuditVerb.PAUSED, execution)
        execution.save()
    return execution


def resume_execution(execution_id: Any, *, actor: str = "") -> WorkflowExecution:
    """Go on with a paused execution.

    Raises:
        Conflict: it is not paused.
    """
    with transaction.atomic():
        execution = lock_execution(execution_id)
        if execution.status != ExecutionStatus.PAUSED:
            raise Conflict(f"The execution is {execution.status}; only a PAUSED one can go on.")
        append_event(execution, EventKind.RESUMED, actor=actor)
        audit.record(AuditVerb.RESUMED, execution)
        if execution.queued_at is not None:
            execution.status = ExecutionStatus.PENDING
            execution.save()
            request_dequeue(execution.workflow_id)
            return execution
        held = execution.steps.filter(status__in=(StepStatus.PENDING, StepStatus.WAITING))
        ready = [
            str(pk) for pk in held.filter(held_wake_at__isnull=False).values_list("pk", flat=True)
        ]
        held.update(wake_at=Coalesce("wake_at", "held_wake_at"), held_wake_at=None)
        execution.status = _status_by_steps(execution)
        execution.save()
        mediator.publish_on_commit("steps_ready", step_ids=ready)
    return execution


def _status_by_steps(execution: WorkflowExecution) -> ExecutionStatus:
    busy = execution.steps.filter(status__in=(StepStatus.PENDING, StepStatus.RUNNING))
    return ExecutionStatus.RUNNING if busy.exists() else ExecutionStatus.WAITING


def retry_execution(execution_id: Any, *, actor: str = "") -> WorkflowExecution:
    """Go on from where it stopped, with a fresh budget of attempts. Completed steps are kept.

    One that stopped while it was being undone goes on with that.

    Raises:
        Conflict: the execution did not fail, was undone, or its definition is gone.
    """
    with transaction.atomic():
        execution = lock_execution(execution_id)
        _check_may_retry(execution)
        now = database_now()
        if execution.is_compensating:
            _finish_retry(execution, [retry_compensation(execution, now=now)], actor=actor, now=now)
            return execution
        stopped = stopped_steps(execution)
        definition = execution_definition(execution, consequence=", so it cannot go on")
        rows = [
            _next_row(step, definition, now=now, priority=execution.priority)
            for step in stopped
            if not _is_open_container(step, definition)
        ]
        if not rows:
            raise Conflict("The execution has no failed step to go on from. Start a new one.")
        _reopen([s for s in stopped if _is_open_container(s, definition)], rows)
        WorkflowStep.objects.bulk_create(rows)
        execution.status = ExecutionStatus.RUNNING
        execution.errors, execution.output, execution.completed_at = [], None, None
        limit = definition.timeout
        execution.deadline_at = now + timedelta(seconds=limit) if limit else None
        _finish_retry(execution, rows, actor=actor, now=now)
    return execution


def _check_may_retry(execution: WorkflowExecution) -> None:
    if execution.last_sequence >= settings.EVENTS_PER_EXECUTION:
        raise Conflict(f"{why_full()} It cannot be retried; run it again.")
    if execution.status not in _RETRYABLE:
        raise Conflict(
            f"The execution is {execution.status}; only one that is FAILED, CANCELLED or"
            " NEEDS_REVIEW can be retried."
        )
    check_approvals_hold(execution)
    if execution.was_compensated:
        raise Conflict(
            f"The execution is {execution.status} and its effects were undone, so there is nothing"
            " to go on from. Start a new one."
        )


def check_approvals_hold(execution: WorkflowExecution) -> None:
    """Refuse to go on with what people approved where a rerun goes on with that.

    Raises:
        Conflict: one does.
    """
    if execution.approvals_reused and not execution.is_compensating:
        raise Conflict(
            "A rerun has taken over what people approved in this execution, so it cannot go on with"
            " that. Run it again: people are asked anew."
        )


def _finish_retry(
    execution: WorkflowExecution, rows: list[WorkflowStep], *, actor: str, now: datetime
) -> None:
    payload = {"steps": [row.path for row in rows]}
    append_event(execution, EventKind.RETRIED, actor=actor, payload=payload)
    audit.record(AuditVerb.RETRIED, execution, changes={"steps": [row.path for row in rows]})
    enqueue(execution, now=now)
    execution.save()
    mediator.publish_on_commit("steps_ready", step_ids=[str(row.id) for row in rows])


def stopped_steps(execution: WorkflowExecution) -> list[WorkflowStep]:
    """Return the latest attempt at each place where the execution stopped.

    A branch whose container went on without it is not one of them.
    """
    stopped = execution.steps.filter(
        Q(status__in=(StepStatus.CANCELLED, StepStatus.NEEDS_REVIEW))
        | Q(status=StepStatus.FAILED, error__handled__isnull=True)
    )
    latest: dict[str, WorkflowStep] = {}
    for step in stopped.order_by("attempt"):
        latest[step.path] = step
    newest = dict(execution.steps.values_list("path").annotate(newest=Max("attempt")))
    last = {path: step for path, step in latest.items() if step.attempt == newest[path]}
    return [step for step in last.values() if containers_of(step.scope) <= last.keys()]


def _is_open_container(step: WorkflowStep, definition: Definition) -> bool:
    """Return whether a container had begun its branches: then they go on, not it."""
    spec = definition.steps.get(step.step_id)
    return spec is not None and spec.kind in _CONTAINERS and step.total > 0


def _next_row(
    step: WorkflowStep, definition: Definition, *, now: datetime, priority: int
) -> WorkflowStep:
    """Return the next attempt. Only a call keeps its input; what waited begins to wait anew."""
    spec = definition.steps.get(step.step_id)
    is_call = spec is not None and spec.kind == "ACTION"
    return next_attempt(step, now=now, priority=priority, keeps_input=is_call)


def _reopen(containers: Iterable[WorkflowStep], rows: Iterable[WorkflowStep]) -> None:
    """Let containers wait again for the branches that go on.

    What is done is counted anew: a branch may have ended while its container was failing.
    """
    reopened = list(containers)
    scopes = {row.scope for row in rows} | {container.scope for container in reopened}
    for container in reopened:
        again = {scope for scope in scopes if scope.rpartition("/")[0] == container.path}
        WorkflowStep.objects.filter(pk=container.pk).update(
            status=StepStatus.WAITING,
            completed_at=None,
            output=None,
            error=None,
            wake_at=None,
            done=len(_begun_branches(container) - again),
            failed=0,
        )


def _begun_branches(container: WorkflowStep) -> set[str]:
    below = WorkflowStep.objects.filter(
        execution_id=container.execution_id, scope__startswith=f"{container.path}/"
    )
    scopes = below.values_list("scope", flat=True).distinct()
    return {scope for scope in scopes if scope.rpartition("/")[0] == container.path}
