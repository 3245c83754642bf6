"""What happens to workflows and executions: saved, started, cancelled, retried."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models import F, Max, Q

from registry.calls.resolve import Target, resolve
from registry.exceptions import CallError, Conflict, NotFound
from registry.mediator import mediator
from registry.models import ServiceType
from registry.services import as_validation_failed
from workflows import validation
from workflows.definition import DefinitionError, parse
from workflows.definition import Target as StepTarget
from workflows.events import append_event
from workflows.models import (
    OPEN_STEP,
    TERMINAL,
    EventKind,
    ExecutionStatus,
    StepStatus,
    Workflow,
    WorkflowExecution,
    WorkflowStatus,
    WorkflowStep,
    WorkflowVersion,
    checksum_of,
)
from workflows.recovery import database_now

OPTION_KEYS = ("output", "retry", "timeout")
POLL_SECONDS = (0.01, 0.25)


class RegistryDirectory:
    """What the validator may ask the registry, each thing once."""

    def __init__(self) -> None:
        self._known: dict[tuple[StepTarget, str], validation.ActionInfo | LookupError] = {}

    def find_action(self, target: StepTarget, action: str) -> validation.ActionInfo:
        """The schemas of an action.

        Raises:
            LookupError: the service or its action does not exist.
        """
        key = (target, action)
        if key not in self._known:
            self._known[key] = self._find(target, action)
        found = self._known[key]
        if isinstance(found, LookupError):
            raise found
        return found

    @staticmethod
    def _find(target: StepTarget, action: str) -> validation.ActionInfo | LookupError:
        if target.kind not in ("service", "service_type"):
            return LookupError(f"Targets of the kind '{target.kind}' are not available.")
        if target.kind == "service_type":
            try:
                ServiceType.parse(target.name)
            except ValueError as error:
                return validation.UnknownTypeError(str(error))
        try:
            found = resolve(Target(target.kind, target.name), action)
        except CallError as error:
            kind = validation.ActionNotFoundError if "action" in error.details else LookupError
            return kind(error.message)
        return validation.ActionInfo(found.input_schema.document, found.output_schema.document)


# --- Definitions ---


def get_workflow(reference: str) -> Workflow:
    """The workflow of that id or name, with its current version.

    Raises:
        NotFound: there is none.
    """
    workflow = Workflow.objects.select_related("current_version").find(reference)
    if workflow is None:
        raise NotFound(f"No workflow with the id or name '{str(reference)[:100]}'.")
    return workflow


def workflow_of_type(workflow_type: str) -> Workflow:
    """The workflow that requests of this type run: the ACTIVE one of the catalog, else the oldest.

    Raises:
        NotFound: none is active.
    """
    found = Workflow.objects.filter(type=workflow_type, status=WorkflowStatus.ACTIVE)
    by_catalog = found.filter(name=workflow_type.lower().replace("_", "-")).first()
    workflow = by_catalog or found.order_by("created_at").first()
    if workflow is None:
        raise NotFound(f"No active workflow of the type {workflow_type}.")
    return workflow


def validate_document(document: Any, *, draft: bool = False) -> validation.Validation:
    """All that is wrong with a definition, held against what is registered now."""
    return validation.validate(document, directory=RegistryDirectory(), draft=draft)


def create_workflow(
    fields: Mapping[str, Any], document: Any, *, actor: str = "", lenient: bool = False
) -> Workflow:
    """Store a new workflow with its first version.

    With `lenient`, and for a DRAFT, its services need not be registered yet.

    Raises:
        DefinitionError: the definition is not valid.
        ValidationFailed: a field breaks a rule.
        Conflict: the name is taken.
    """
    workflow = Workflow(owner=actor, **fields)
    _check_fields(workflow)
    draft = lenient or workflow.status == WorkflowStatus.DRAFT
    checked = _check_document(document, draft=draft)
    try:
        with transaction.atomic():
            workflow.save()
            _add_version(workflow, checked)
    except IntegrityError:
        raise Conflict(f"A workflow named '{workflow.name}' exists already.") from None
    return workflow


def update_workflow(
    workflow: Workflow,
    fields: Mapping[str, Any],
    document: Any = None,
    *,
    actor: str = "",
    lenient: bool = False,
) -> Workflow:
    """Change what is given; a document that says something else makes a new version.

    Raises:
        DefinitionError: the definition is not valid.
        ValidationFailed: a field breaks a rule.
        Conflict: the name is taken.
    """
    try:
        with transaction.atomic():
            locked = Workflow.objects.select_for_update().filter(pk=workflow.pk).first()
            if locked is None:
                raise NotFound(f"The workflow '{workflow.name}' was deleted meanwhile.")
            was = locked.status
            for name, value in fields.items():
                setattr(locked, name, value)
            _check_fields(locked)
            draft = lenient or locked.status == WorkflowStatus.DRAFT
            current = locked.current_version.document if locked.current_version else None
            if document is not None and checksum_of(dict(document)) != checksum_of(current or {}):
                _add_version(locked, _check_document(document, draft=draft))
            elif was == WorkflowStatus.DRAFT and not draft:
                _check_document(current, draft=False)
            locked.save()
    except IntegrityError:
        raise Conflict(f"A workflow named '{fields.get('name')}' exists already.") from None
    return locked


def save_definition(workflow: Workflow, document: Any, *, actor: str = "") -> Workflow:
    """Give a workflow a new definition."""
    return update_workflow(workflow, {}, document, actor=actor)


def delete_workflow(workflow: Workflow) -> None:
    """Delete a workflow and its versions. Executions that ended keep their record.

    Raises:
        Conflict: executions of it are still open.
    """
    with transaction.atomic():
        locked = Workflow.objects.select_for_update().filter(pk=workflow.pk).first()
        if locked is None:
            raise NotFound(f"The workflow '{workflow.name}' was deleted meanwhile.")
        still_open = locked.executions.exclude(status__in=TERMINAL).count()
        if still_open:
            raise Conflict(
                f"{still_open} executions of '{locked.name}' have not ended. Cancel them first."
            )
        locked.delete()


def activate_version(workflow: Workflow, number: int) -> Workflow:
    """Make an earlier version the one that new executions use.

    Raises:
        NotFound: there is no such version.
    """
    with transaction.atomic():
        locked = Workflow.objects.select_for_update().get(pk=workflow.pk)
        version = locked.versions.filter(number=number).first()
        if version is None:
            raise NotFound(f"The workflow '{locked.name}' has no version {number}.")
        locked.current_version = version
        locked.save(update_fields=("current_version", "updated_at"))
    return locked


def _check_fields(workflow: Workflow) -> None:
    try:
        workflow.full_clean(
            exclude=("current_version",), validate_unique=False, validate_constraints=False
        )
    except ValidationError as error:
        raise as_validation_failed(error) from None


def _check_document(document: Any, *, draft: bool) -> dict[str, Any]:
    found = validate_document(document, draft=draft)
    if not found.valid:
        path, sentences = next(iter(found.errors.items()))
        more = len(found.errors) - 1
        raise DefinitionError(
            f"The definition is not valid: {path}: {sentences[0]}"
            + (f" (and {more} more)" if more else ""),
            errors=found.errors,
        )
    return {"steps": document} if isinstance(document, list) else dict(document)


def _add_version(workflow: Workflow, document: dict[str, Any]) -> None:
    last = workflow.versions.aggregate(last=Max("number"))["last"] or 0
    workflow.current_version = WorkflowVersion.objects.create(
        workflow=workflow,
        number=last + 1,
        steps=document["steps"],
        options={k: document[k] for k in OPTION_KEYS if k in document},
        checksum=checksum_of(document),
    )
    workflow.save()


# --- Executions ---


@dataclass(frozen=True, kw_only=True)
class Start:
    """What an execution is started with."""

    input: Mapping[str, Any]
    context: Mapping[str, Any]
    idempotency_key: str | None = None
    actor: str = ""
    priority: int = 0


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
    if workflow.status != WorkflowStatus.ACTIVE:
        raise Conflict(
            f"The workflow '{workflow.name}' is {workflow.status}; only ACTIVE ones can be started."
        )
    if workflow.current_version is None:
        raise Conflict(f"The workflow '{workflow.name}' has no definition.")
    try:
        with transaction.atomic():
            return Started(_insert_execution(workflow, start), created=True)
    except IntegrityError:
        known = _known_execution(workflow, start) if start.idempotency_key else None
        if known is None:
            raise Conflict(f"The workflow '{workflow.name}' was deleted meanwhile.") from None
        return Started(known, created=False)


def _known_execution(workflow: Workflow, start: Start) -> WorkflowExecution | None:
    known = workflow.executions.filter(idempotency_key=start.idempotency_key).first()
    if known is not None and known.input != dict(start.input):
        raise Conflict(
            f"The Idempotency-Key '{start.idempotency_key}' was used with another input."
        )
    return known


def _insert_execution(workflow: Workflow, start: Start) -> WorkflowExecution:
    assert workflow.current_version is not None
    now = database_now()
    execution = WorkflowExecution(
        workflow=workflow,
        version=workflow.current_version,
        workflow_name=workflow.name,
        type=workflow.type,
        input=dict(start.input),
        context=dict(start.context),
        idempotency_key=start.idempotency_key,
        correlation_id=str(
            start.context.get("correlation_id") or start.context.get("request_id") or ""
        )[:100],
        started_by=start.actor[:100],
        priority=start.priority,
        last_sequence=1,
    )
    first = parse(workflow.current_version.document)
    step = first.steps[first.first]
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
    mediator.publish_on_commit("steps_ready", step_ids=[str(row.id)])
    return execution


def get_execution(reference: str) -> WorkflowExecution:
    """The execution of that id, with workflow and version.

    Raises:
        NotFound: there is none.
    """
    try:
        key = uuid.UUID(str(reference))
    except ValueError:
        key = None
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

    Holds no connection between looks, so that waiting callers do not use up the pool.
    """
    deadline = time.monotonic() + seconds
    pause, longest = POLL_SECONDS
    while not execution.has_ended and time.monotonic() < deadline:
        _let_go_of_connection()
        time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
        pause = min(pause * 1.5, longest)
        execution = get_execution(str(execution.pk))
    return execution


def _let_go_of_connection() -> None:
    if not connection.in_atomic_block:
        connection.close()


def cancel_execution(execution_id: Any, *, actor: str = "", reason: str = "") -> WorkflowExecution:
    """End an execution now. A call under way is dropped; what it answers is not recorded.

    Raises:
        Conflict: it has ended already.
    """
    with transaction.atomic():
        execution = _lock_execution(execution_id)
        if execution.status in TERMINAL:
            raise Conflict(f"The execution is {execution.status} already; it cannot be cancelled.")
        now = database_now()
        execution.steps.filter(status__in=(*OPEN_STEP, StepStatus.NEEDS_REVIEW)).update(
            status=StepStatus.CANCELLED,
            wake_at=None,
            lease_until=None,
            lease_owner="",
            fence=F("fence") + 1,
            completed_at=now,
            updated_at=now,
        )
        execution.status = ExecutionStatus.CANCELLED
        execution.completed_at = now
        payload = {"reason": reason} if reason else {}
        append_event(execution, EventKind.CANCELLED, actor=actor, payload=payload)
        execution.save()
        mediator.publish_on_commit("execution_cancelled", execution_id=str(execution.pk))
    return execution


_RETRYABLE = (ExecutionStatus.FAILED, ExecutionStatus.CANCELLED, ExecutionStatus.NEEDS_REVIEW)


def retry_execution(execution_id: Any, *, actor: str = "") -> WorkflowExecution:
    """Go on from the step that failed, with a fresh budget of attempts. Completed steps are kept.

    Raises:
        Conflict: the execution did not fail, or its definition is gone.
    """
    with transaction.atomic():
        execution = _lock_execution(execution_id)
        if execution.status not in _RETRYABLE:
            raise Conflict(
                f"The execution is {execution.status}; only one that is FAILED, CANCELLED or"
                " NEEDS_REVIEW can be retried."
            )
        if execution.version_id is None:
            raise Conflict("The definition of this execution was deleted, so it cannot go on.")
        rows = [_next_row(step) for step in _stopped_steps(execution)]
        if not rows:
            raise Conflict("The execution has no failed step to go on from. Start a new one.")
        WorkflowStep.objects.bulk_create(rows)
        execution.status = ExecutionStatus.RUNNING
        execution.errors, execution.output, execution.completed_at = [], None, None
        payload = {"steps": [row.path for row in rows]}
        append_event(execution, EventKind.RETRIED, actor=actor, payload=payload)
        execution.save()
        mediator.publish_on_commit("steps_ready", step_ids=[str(row.id) for row in rows])
    return execution


def _stopped_steps(execution: WorkflowExecution) -> list[WorkflowStep]:
    """The latest attempt at each place where the execution stopped."""
    stopped = execution.steps.filter(
        Q(status__in=(StepStatus.CANCELLED, StepStatus.NEEDS_REVIEW))
        | Q(status=StepStatus.FAILED, error__handled__isnull=True)
    )
    latest: dict[str, WorkflowStep] = {}
    for step in stopped.order_by("attempt"):
        latest[step.path] = step
    newest = dict(execution.steps.values_list("path").annotate(newest=Max("attempt")))
    return [step for path, step in latest.items() if step.attempt == newest[path]]


def _next_row(step: WorkflowStep) -> WorkflowStep:
    return WorkflowStep(
        execution_id=step.execution_id,
        step_id=step.step_id,
        path=step.path,
        attempt=step.attempt + 1,
        name=step.name,
        service=step.service,
        action=step.action,
        input=step.input,
        wake_at=database_now(),
        retry_base=step.attempt,
    )


def _lock_execution(execution_id: Any) -> WorkflowExecution:
    found = WorkflowExecution.objects.select_for_update().filter(pk=execution_id).first()
    if found is None:
        raise NotFound(f"No execution with the id '{execution_id}'.")
    return found
