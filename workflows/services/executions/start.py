"""Starts executions: once accepted, they end, whatever dies."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError

from core import audit
from core.db.pipeline import one_statement, pipelined_transaction
from core.exceptions import Conflict, ValidationFailed
from core.json.equality import json_equal
from core.mediator import mediator
from core.models import AuditVerb
from workflows.execution_rows import (
    Start,
    check_startable,
    insert_execution,
    limit_of,
)
from workflows.models import (
    Workflow,
    WorkflowExecution,
    WorkflowStep,
    WorkflowVersion,
)
from workflows.services.definitions.lifecycle import workflow_of_type


@dataclass(frozen=True)
class Started:
    """The execution, whether this call made it, and then its first step."""

    execution: WorkflowExecution
    created: bool
    first: WorkflowStep | None = None


def start_execution(workflow: Workflow, start: Start) -> Started:
    """Accept an execution: once this returns, it will end, whatever dies.

    The same idempotency key answers the execution that it made the first time.

    Raises:
        Conflict: the workflow is not ACTIVE, or the key was used for something else.
        ValidationFailed: it has no such version.
    """
    earlier = known_execution(workflow, start)
    if earlier is not None:
        return Started(earlier, created=False)
    version = _version_to_run(workflow, start)
    try:
        with _storing(workflow, start):
            execution, first = insert_execution(workflow, version, start)
            if not execution.is_queued:
                mediator.publish_on_commit("steps_ready", step_ids=[str(first.pk)])
    except IntegrityError:
        earlier = known_execution(workflow, start)
        if earlier is None:
            raise Conflict(f"The workflow '{workflow.name}' was deleted meanwhile.") from None
        return Started(earlier, created=False)
    audit.record_use(AuditVerb.STARTED, execution)
    if execution.is_queued:  # perhaps there was a slot for it
        execution.refresh_from_db(fields=("status", "queued_at", "deadline_at"))
    # What a rerun took over is to be read.
    return Started(execution, created=True, first=None if start.origin else first)


def _storing(workflow: Workflow, start: Start) -> AbstractContextManager[None]:
    """Return the transaction in which an execution is stored; most are stored by one statement."""
    alone = start.origin is None and limit_of(workflow) is None
    return one_statement() if alone else pipelined_transaction()


def _version_to_run(workflow: Workflow, start: Start) -> WorkflowVersion:
    current = check_startable(workflow)
    if start.origin is not None:
        return start.origin.version
    return current if start.version is None else version_of(workflow, start.version)


def version_of(workflow: Workflow, number: int) -> WorkflowVersion:
    """Return the version with that number.

    Raises:
        ValidationFailed: there is none.
    """
    version = workflow.versions.filter(number=number).first()
    if version is None:
        sentence = f"The workflow '{workflow.name}' has no version {number}."
        raise ValidationFailed(sentence, errors={"version": [sentence]})
    return version


def known_execution(workflow: Workflow, start: Start) -> WorkflowExecution | None:
    """Return the execution that the same Idempotency-Key made before.

    Raises:
        Conflict: that was for something else.
    """
    if not start.idempotency_key:
        return None
    executions = workflow.executions.filter(idempotency_key=start.idempotency_key)
    earlier = executions.select_related("version").first()
    difference = _difference(earlier, start) if earlier is not None else ""
    if difference:
        raise Conflict(f"The Idempotency-Key '{start.idempotency_key}' was used with {difference}.")
    return earlier


def _difference(earlier: WorkflowExecution, start: Start) -> str:
    """In what an execution differs from what is to be started now."""
    if not json_equal(earlier.input, dict(start.input)):
        return "another input"
    if not json_equal(_given_context(earlier, start), dict(start.context)):
        return "another context"
    if earlier.priority != start.priority:
        return "another priority"
    origin = start.origin.execution.pk if start.origin else None
    if earlier.rerun_of_id != origin:
        return "another execution to rerun" if origin else "a rerun"
    if start.origin is not None:
        begin = _begin_of(earlier)
        if begin.get("from_step") != start.origin.path:
            return "another step to rerun from"
        if not json_equal(_edited_input(earlier, begin), start.origin.step_input):
            return "another input of the step to rerun from"
    number = start.origin.version.number if start.origin else start.version
    if number is not None and earlier.version is not None and earlier.version.number != number:
        return "another version"
    return ""


def _given_context(earlier: WorkflowExecution, start: Start) -> dict[str, Any]:
    """Return the context of an execution without what the hub noted of its request."""
    noted = start.noted.keys() - start.context.keys()
    return {key: value for key, value in earlier.context.items() if key not in noted}


def _begin_of(rerun: WorkflowExecution) -> dict[str, Any]:
    """Return what the history says of the start of a rerun."""
    event = rerun.events.filter(sequence=1).first()
    return event.payload if event else {}


def _edited_input(rerun: WorkflowExecution, begin: Mapping[str, Any]) -> Any:
    """Return the input that replaced that of the first step of a rerun; None without one."""
    if not begin.get("edited"):
        return None
    row = rerun.steps.filter(path=begin.get("from_step")).order_by("attempt").first()
    return row.input if row else None


def start_by_type(workflow_type: str, start: Start) -> Started:
    """Start the workflow that stands for this type; the mediator's handler of such requests.

    Raises:
        NotFound: no workflow of this type is active.
    """
    return start_execution(workflow_of_type(workflow_type), start)
