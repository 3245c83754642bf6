"""Starting executions: once accepted, they end, whatever dies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction

from registry.exceptions import Conflict, NotFound
from registry.mediator import mediator
from workflows.events import append_event
from workflows.models import (
    EventKind,
    Workflow,
    WorkflowExecution,
    WorkflowStatus,
    WorkflowStep,
    WorkflowVersion,
)
from workflows.recovery import database_now
from workflows.versions import definition_of


@dataclass(frozen=True, kw_only=True)
class Start:
    """What an execution is started with."""

    input: Mapping[str, Any]
    context: Mapping[str, Any]
    idempotency_key: str | None = None
    actor: str = ""
    correlation_id: str = ""
    parent_step_id: str | None = None

    def correlation(self) -> str:
        """What ties this execution to its cause."""
        found = self.context.get("correlation_id") or self.context.get("request_id")
        return str(self.correlation_id or found or "")[:100]


@dataclass(frozen=True)
class Started:
    """The execution, and whether this call made it."""

    execution: WorkflowExecution
    created: bool


def start_execution(workflow: Workflow, start: Start) -> Started:
    """Accept an execution: once this returns, it will end, whatever dies.

    The same idempotency key answers the execution that it made the first time.

    Raises:
        Conflict: the workflow is not ACTIVE, or the key was used with another input.
    """
    if start.idempotency_key:
        known = _known_execution(workflow, start)
        if known is not None:
            return Started(known, created=False)
    version = check_startable(workflow)
    try:
        with transaction.atomic():
            execution, first = insert_execution(workflow, version, start)
            mediator.publish_on_commit("steps_ready", step_ids=[first])
    except IntegrityError:
        known = _known_execution(workflow, start) if start.idempotency_key else None
        if known is None:
            raise Conflict(f"The workflow '{workflow.name}' was deleted meanwhile.") from None
        return Started(known, created=False)
    return Started(execution, created=True)


def find_startable(name: str, number: int | None) -> tuple[Workflow, WorkflowVersion]:
    """The workflow of that name or id, and the version with that number or the current one.

    Raises:
        NotFound: there is no such workflow or version.
        Conflict: it is not ACTIVE.
    """
    workflow = Workflow.objects.select_related("current_version").find(name)
    if workflow is None:
        raise NotFound(f"No workflow with the id or name '{name[:100]}'.")
    current = check_startable(workflow)
    if number is None:
        return workflow, current
    version = workflow.versions.filter(number=number).first()
    if version is None:
        raise NotFound(f"The workflow '{workflow.name}' has no version {number}.")
    return workflow, version


def check_startable(workflow: Workflow) -> WorkflowVersion:
    """The version that an execution started now would run.

    Raises:
        Conflict: the workflow is not ACTIVE.
    """
    if workflow.status != WorkflowStatus.ACTIVE:
        raise Conflict(
            f"The workflow '{workflow.name}' is {workflow.status}; only ACTIVE ones can be started."
        )
    if workflow.current_version is None:
        raise Conflict(f"The workflow '{workflow.name}' has no definition.")
    return workflow.current_version


def _known_execution(workflow: Workflow, start: Start) -> WorkflowExecution | None:
    known = workflow.executions.filter(idempotency_key=start.idempotency_key).first()
    if known is not None and known.input != dict(start.input):
        raise Conflict(
            f"The Idempotency-Key '{start.idempotency_key}' was used with another input."
        )
    return known


def insert_execution(
    workflow: Workflow, version: WorkflowVersion, start: Start
) -> tuple[WorkflowExecution, str]:
    """Insert an execution with its first step in the caller's transaction; give that step's id."""
    now = database_now()
    definition = definition_of(version)
    limit = timedelta(seconds=definition.timeout) if definition.timeout else None
    execution = WorkflowExecution(
        workflow=workflow,
        version=version,
        workflow_name=workflow.name,
        type=workflow.type,
        input=dict(start.input),
        context=dict(start.context),
        idempotency_key=start.idempotency_key,
        correlation_id=start.correlation(),
        started_by=start.actor[:100],
        parent_step_id=start.parent_step_id,
        deadline_at=now + limit if limit else None,
        last_sequence=1,
    )
    step = definition.steps[definition.first]
    row = WorkflowStep(
        execution=execution,
        step_id=step.id,
        path=step.id,
        name=step.name,
        service=step.target.name if step.target else "",
        action=step.action or "",
        wake_at=now,
    )
    execution.save(force_insert=True)
    row.save(force_insert=True)
    execution.last_sequence = 0
    append_event(execution, EventKind.STARTED, actor=start.actor)
    return execution, str(row.id)
