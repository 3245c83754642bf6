"""Sends signals to executions, and wakes the steps that wait for them."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import transaction

from core import audit
from core.db.clock import database_now
from core.exceptions import Conflict
from core.mediator import mediator
from core.models import AuditVerb
from workflows.history.events import append_event
from workflows.models import (
    TERMINAL,
    EventKind,
    StepStatus,
    WorkflowExecution,
    WorkflowStep,
)
from workflows.services.executions.control import lock_execution


def signal_execution(
    execution_id: Any, *, name: str, payload: Any = None, actor: str = ""
) -> WorkflowExecution:
    """Give an execution a signal; one that nothing waits for yet is kept for who will.

    Raises:
        Conflict: the execution has ended, is being undone, or took as many as it may.
    """
    with transaction.atomic():
        execution = lock_execution(execution_id)
        if execution.status in TERMINAL or execution.is_compensating:
            raise Conflict(f"The execution is {execution.status}; it takes no more signals.")
        _check_room(execution)
        append_event(
            execution, EventKind.SIGNAL, actor=actor, payload={"name": name, "payload": payload}
        )
        audit.record_use(AuditVerb.SIGNALLED, execution, changes={"signal": name})
        execution.save(update_fields=("last_sequence", "updated_at"))
        waiting = execution.steps.filter(status=StepStatus.WAITING, input__event=name)
        wake_steps(execution, [step.pk for step in waiting])
    return execution


def _check_room(execution: WorkflowExecution) -> None:
    """Refuse one more signal to an execution that took as many as it may.

    They are among its events, and so counted only where there are enough of those.
    """
    most = settings.SIGNALS_PER_EXECUTION
    if execution.last_sequence < most:
        return
    if execution.events.filter(kind=EventKind.SIGNAL).count() >= most:
        raise Conflict(
            f"The execution has taken {most:,} signals, as many as one may take"
            " (SIGNALS_PER_EXECUTION)."
        )


def wake_steps(execution: WorkflowExecution, steps: list[Any]) -> None:
    """Let waiting rows be looked at; those of one that is held once it goes on."""
    now = database_now()
    when = {"held_wake_at": now} if execution.is_held else {"wake_at": now}
    WorkflowStep.objects.filter(pk__in=steps, status=StepStatus.WAITING).update(
        status=StepStatus.PENDING, updated_at=now, **when
    )
    mediator.publish_on_commit("steps_ready", step_ids=[str(pk) for pk in steps])
