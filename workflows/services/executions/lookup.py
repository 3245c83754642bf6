"""Finds executions, and waits for their end."""

from __future__ import annotations

from django.db import connection

from core.db.rows import read_row
from core.exceptions import Conflict, NotFound
from core.identifiers import id_of_text
from workflows.definition import Definition, DefinitionError
from workflows.definition_cache import definition_of
from workflows.models import WorkflowExecution
from workflows.signalling.ends import when_ended


def get_execution(reference: str) -> WorkflowExecution:
    """Return the execution of that id, with workflow and version.

    What is no id is looked for as the one that an execution had in the system that it came from.

    Raises:
        NotFound: there is none.
    """
    key = id_of_text(str(reference).strip())
    rows = WorkflowExecution.objects.select_related("workflow", "version")
    execution = rows.filter(pk=key).first()
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

    Holds no connection meanwhile, so that waiting callers do not use up the pool.
    """
    if execution.has_ended or seconds <= 0:
        return execution
    if not connection.in_atomic_block:
        connection.close()
    when_ended(execution.pk, seconds=seconds).result()
    return read_again(execution)


def read_again(execution: WorkflowExecution) -> WorkflowExecution:
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
