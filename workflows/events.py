"""The history of an execution: appended under its lock, numbered without gaps."""

from __future__ import annotations

from typing import Any

from workflows.database import insert_row
from workflows.models import WorkflowEvent, WorkflowExecution


def append_event(
    execution: WorkflowExecution,
    kind: str,
    *,
    actor: str = "",
    payload: dict[str, Any] | None = None,
) -> WorkflowEvent:
    """Append one event. The caller holds the execution's row and saves its `last_sequence`."""
    execution.last_sequence += 1
    event = WorkflowEvent(
        execution=execution,
        sequence=execution.last_sequence,
        kind=kind,
        actor=actor,
        payload=payload or {},
    )
    insert_row(event)
    return event
