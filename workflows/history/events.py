"""The history of an execution: appended under its lock, numbered without gaps."""

from __future__ import annotations

from typing import Any

from core.db.rows import insert_rows
from workflows.models import WorkflowEvent, WorkflowExecution


def append_event(
    execution: WorkflowExecution,
    kind: str,
    *,
    actor: str = "",
    payload: dict[str, Any] | None = None,
) -> WorkflowEvent:
    """Append one event. The caller holds the execution's row and saves its `last_sequence`."""
    event = next_event(execution, kind, actor=actor, payload=payload)
    insert_rows(event)
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
        actor=actor,
        payload=payload or {},
    )
