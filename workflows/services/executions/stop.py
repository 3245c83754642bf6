"""Stops a locked execution: ends its open steps, and compensates what completed."""

from __future__ import annotations

from typing import Any

from core.db.clock import database_now
from core.mediator import mediator
from workflows.compensation import begin_compensation
from workflows.definition_cache import readable_definition
from workflows.execution_rows import request_dequeue, stop_steps
from workflows.history.events import append_event
from workflows.models import ExecutionStatus, WorkflowExecution


def stop_execution(
    execution: WorkflowExecution, *, as_: ExecutionStatus, actor: str, reason: str = ""
) -> None:
    """Stop every step of a locked execution, then begin to undo, or end it with this status."""
    now = database_now()
    stop_steps(execution, now=now)
    execution.queued_at = None
    definition = readable_definition(execution.version)
    if definition is not None:
        first = begin_compensation(
            execution, definition, ends_as=as_, now=now, actor=actor, reason=reason
        )
        if first is not None:
            execution.save()
            mediator.publish_on_commit("steps_ready", step_ids=[first])
            return
    execution.status, execution.completed_at = as_, now
    payload: dict[str, Any] = {"reason": reason} if reason else {}
    if execution.errors:
        payload["errors"] = execution.errors
    append_event(execution, as_, actor=actor, payload=payload)
    execution.save()
    mediator.publish_on_commit(
        f"execution_{as_.lower()}", execution_id=str(execution.pk), errors=execution.errors
    )
    request_dequeue(execution.workflow_id)
