"""Finds executions, and waits for their end."""

from __future__ import annotations

import time

from django.db import connection

from core.db.rows import read_row
from core.exceptions import Conflict, NotFound
from core.identifiers import read_id
from workflows.definition import Definition, DefinitionError
from workflows.definition_cache import definition_of
from workflows.models import WorkflowExecution
from workflows.signalling.completion_events import completions

POLL_SECONDS = (0.01, 0.25)


def get_execution(reference: str) -> WorkflowExecution:
    """Return the execution of that id, with workflow and version.

    Raises:
        NotFound: there is none.
    """
    key = read_id(reference)
    rows = WorkflowExecution.objects.select_related("workflow", "version")
    execution = rows.filter(pk=key).first() if key else None
    if execution is None:
        raise NotFound(f"No execution with the id '{str(reference)[:100]}'.")
    return execution


def execution_definition(execution: WorkflowExecution, *, consequence: str = "") -> Definition:
    """Return the definition that an execution runs.

    Raises:
        Conflict: it is gone, which has this consequence, or cannot be read any more.
    """
    if execution.version is None:
        raise Conflict(f"The definition of this execution was deleted{consequence}.")
    try:
        return definition_of(execution.version)
    except DefinitionError as error:
        raise Conflict(f"The definition cannot be read any more: {error.message}") from None


def wait_for_end(execution: WorkflowExecution, *, seconds: float) -> WorkflowExecution:
    """Return the execution once it has ended, or as it is when the time is up.

    Holds no connection between looks, so that waiting callers do not use up the pool. Looks at
    once when the end is told, and now and then in case it is not.
    """
    deadline = time.monotonic() + seconds
    pause, longest = POLL_SECONDS
    with completions.watch(str(execution.pk)) as ended:
        while not execution.has_ended and time.monotonic() < deadline:
            _let_go_of_connection()
            patience = longest if completions.hears else pause
            ended.wait(min(patience, max(0.0, deadline - time.monotonic())))
            ended.clear()
            pause = min(pause * 1.5, longest)
            execution = _read_again(execution)
    return execution


def _read_again(execution: WorkflowExecution) -> WorkflowExecution:
    """Return the same execution as it is now. Raises: NotFound."""
    # Read past the ORM, which takes six times as long, for each caller that waits.
    latest: WorkflowExecution | None = read_row(WorkflowExecution, "WHERE id = %s", [execution.pk])
    if latest is None:
        raise NotFound(f"No execution with the id '{execution.pk}'.")
    for name in ("workflow", "version"):
        is_same = getattr(latest, f"{name}_id") == getattr(execution, f"{name}_id")
        if is_same and name in execution._state.fields_cache:
            setattr(latest, name, execution._state.fields_cache[name])
    return latest


def _let_go_of_connection() -> None:
    if not connection.in_atomic_block:
        connection.close()
