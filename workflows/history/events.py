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

    An execution that has as many now as it may have is ended; see `end_if_full`.
    """
    event = next_event(execution, kind, actor=actor, payload=payload)
    insert_rows(event)
    end_if_full(execution)
    return event


def end_if_full(execution: WorkflowExecution) -> bool:
    """Have an execution with as many events as it may have ended; return whether it is one.

    "history_full" is published for it once this transaction is durable.
    """
    is_full = execution.last_sequence >= settings.EVENTS_PER_EXECUTION
    if is_full:
        mediator.publish_on_commit("history_full", execution_id=str(execution.pk))
    return is_full


def why_full() -> str:
    """Return the sentence on an execution with as many events as it may have."""
    most = settings.EVENTS_PER_EXECUTION
    return f"It has {most:,} events, as many as an execution may have (EVENTS_PER_EXECUTION)."


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
