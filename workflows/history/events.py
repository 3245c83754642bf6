"""The history of an execution: appended under its lock, numbered without gaps."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from core.db.rows import insert_rows
from core.mediator import mediator
from workflows.models import WorkflowEvent, WorkflowExecution


def append_event(
    execution: WorkflowExecution,
    kind: str,
    *,
    actor: str = "",
    payload: dict[str, Any] | None = None,
) -> WorkflowEvent:
    """Append one event. The caller holds the execution's row and saves its `last_sequence`.

    Where it has as many now as it may have, "history_full" is published once that is durable.
    """
    event = next_event(execution, kind, actor=actor, payload=payload)
    insert_rows(event)
    if execution.last_sequence >= settings.EVENTS_PER_EXECUTION:
        mediator.publish_on_commit("history_full", execution_id=str(execution.pk))
    return event


def next_event(
    execution: WorkflowExecution,
    kind: str,
    *,
    actor: str = "",
    payload: dict[str, Any] | None = None,
) -> WorkflowEvent:
    """Return the next event of an execution, for the caller to insert."""
    execution.last_sequence += 1
    return WorkflowEvent(
        execution=execution,
        sequence=execution.last_sequence,
        kind=kind,
        actor=actor[:100],  # people's names may be longer
        payload=payload or {},
    )
