"""Finds executions, and waits for their end."""

from __future__ import annotations

import time

from django.db import connection

from core.db.pipeline import read_row
from core.exceptions import NotFound
from core.identifiers import read_id
from workflows.engine.ready_queue import endings
from workflows.models import WorkflowExecution

POLL_SECONDS = (0.01, 0.25)


def get_execution(reference: str) -> WorkflowExecution:
    """Return the execution of that id, with workflow and version.

    Raises:
        NotFound: there is none.
    """
    key = read_id(reference)
    found = (
        WorkflowExecution.objects.select_related("workflow", "version").filter(pk=key).first()
        if key
        else None
    )
    if found is None:
        raise NotFound(f"No execution with the id '{str(reference)[:100]}'.")
    return found


def wait_for_end(execution: WorkflowExecution, *, seconds: float) -> WorkflowExecution:
    """Return the execution once it has ended, or as it is when the time is up.

    Holds no connection between looks, so that waiting callers do not use up the pool. Looks at
    once when the end is told, and now and then in case it is not.
    """
    deadline = time.monotonic() + seconds
    pause, longest = POLL_SECONDS
    with endings.watch(str(execution.pk)) as ended:
        while not execution.has_ended and time.monotonic() < deadline:
            _let_go_of_connection()
            told_in_time = longest if endings.hears else pause
            ended.wait(min(told_in_time, max(0.0, deadline - time.monotonic())))
            ended.clear()
            pause = min(pause * 1.5, longest)
            execution = _read_again(execution)
    return execution


def _read_again(execution: WorkflowExecution) -> WorkflowExecution:
    """Return the same execution as it is now. Raises: NotFound."""
    found: WorkflowExecution | None = read_row(WorkflowExecution, "WHERE id = %s", [execution.pk])
    if found is None:
        raise NotFound(f"No execution with the id '{execution.pk}'.")
    for name in ("workflow", "version"):
        same = getattr(found, f"{name}_id") == getattr(execution, f"{name}_id")
        if same and name in execution._state.fields_cache:
            setattr(found, name, execution._state.fields_cache[name])
    return found


def _let_go_of_connection() -> None:
    if not connection.in_atomic_block:
        connection.close()
