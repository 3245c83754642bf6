"""Records what people decide: approvals, and the outcome of steps that are left to a person."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import F

from core import audit
from core.db.clock import database_now
from core.exceptions import Conflict, NotFound, SchemaViolation
from core.json.schema import Schema, first_of
from core.mediator import mediator
from core.models import ApiKey, AuditVerb
from core.roles import Role
from workflows.compensation import errors_before_compensation, keep_in_review
from workflows.definition import Step
from workflows.definition.step_paths import is_compensation
from workflows.definition_cache import definition_of
from workflows.history.events import append_event
from workflows.models import (
    EventKind,
    ExecutionStatus,
    StepStatus,
    WorkflowExecution,
    WorkflowStep,
)
from workflows.services.executions.concurrency_limit import enqueue
from workflows.services.executions.control import check_approvals_hold, lock_execution
from workflows.services.executions.signals import wake_steps


def decide_approval(
    execution_id: Any,
    step_path: str,
    *,
    approve: bool,
    actor: str,
    comment: str = "",
    form: Any = None,
) -> WorkflowExecution:
    """Record what a person decided. One rejection, or enough approvals, lets the execution go on.

    Raises:
        Conflict: the step does not wait for a decision, or its time to decide is over; this person
            may not decide it, or has done so already.
        SchemaViolation: the form does not fit.
    """
    with transaction.atomic():
        execution = lock_execution(execution_id)
        row, step = _row_and_step(execution, step_path)
        if step.kind != "APPROVAL" or row.status != StepStatus.WAITING:
            raise Conflict(f"The step '{step_path}' does not wait for a decision.")
        _check_in_time(row)
        _check_may_decide(step, row, actor)
        if approve:
            _check_form(step, form)
        approvals = _record_decision(
            execution, row, approve=approve, actor=actor, comment=comment, form=form
        )
        if not approve or approvals >= step.minimum:
            wake_steps([row.pk], is_held=execution.is_held)
    return execution


def _record_decision(
    execution: WorkflowExecution,
    row: WorkflowStep,
    *,
    approve: bool,
    actor: str,
    comment: str,
    form: Any,
) -> int:
    """Add a decision to its step, the history and the audit trail; return how many there are."""
    decision = {
        "decision": "APPROVED" if approve else "REJECTED",
        "by": actor,
        "at": database_now().isoformat(),
        "comment": comment,
        "form": form,
    }
    decisions = [*_decisions_of(row), decision]
    row.input = {**(row.input or {}), "decisions": decisions}
    row.save(update_fields=("input", "updated_at"))
    kind = EventKind.APPROVED if approve else EventKind.REJECTED
    append_event(execution, kind, actor=actor, payload={"step": row.path, "comment": comment})
    verb = AuditVerb.APPROVED if approve else AuditVerb.REJECTED
    audit.record(verb, execution, reason=comment, changes={"step": row.path})
    execution.save(update_fields=("last_sequence", "updated_at"))
    return len(decisions)


def _row_and_step(execution: WorkflowExecution, path: str) -> tuple[WorkflowStep, Step]:
    row = execution.steps.filter(path=path).order_by("-attempt").first()
    if row is None:
        raise NotFound(f"The execution has no step '{path}'.")
    if execution.version is None:
        raise Conflict("The definition of this execution was deleted.")
    return row, definition_of(execution.version).steps[row.step_id]


def _decisions_of(row: WorkflowStep) -> list[dict[str, Any]]:
    return list((row.input or {}).get("decisions", ()))


def _check_in_time(row: WorkflowStep) -> None:
    until = (row.input or {}).get("until")
    if until is not None and datetime.fromisoformat(until) <= database_now():
        raise Conflict(f"The time to decide '{row.path}' ended at {until}.")


def _check_may_decide(step: Step, row: WorkflowStep, actor: str) -> None:
    if any(d["by"] == actor for d in _decisions_of(row)):
        raise Conflict(f"{actor} has decided '{row.path}' already.")
    due = (row.input or {}).get("due")
    is_overdue = due is not None and datetime.fromisoformat(due) <= database_now()
    named = {*step.assignees, *(step.escalate_to if is_overdue else ())}
    if not named or actor in named:
        return
    if _role_group_of_key(actor) in named:
        return
    person = get_user_model().objects.filter(username=actor).first()
    if person is None or not (person.is_superuser or person.groups.filter(name__in=named).exists()):
        who = ", ".join(sorted(named))
        raise Conflict(f"'{row.path}' is to be decided by {who}; {actor} is not one of them.")


def _role_group_of_key(actor: str) -> str:
    """Return the group of the API key's role; a key with scopes of its own has none."""
    key = ApiKey.objects.filter(name=actor).first()
    if key is None or key.scopes or key.role not in Role.values:
        return ""
    return Role(key.role).group_name


def _check_form(step: Step, form: Any) -> None:
    if step.form is None:
        return
    problems = Schema(step.form).problems(form)
    if problems:
        raise SchemaViolation(
            f"The form does not fit: {first_of(problems)}",
            errors={f"form.{p}" if p != "$" else "form": s for p, s in problems.items()},
        )


def settle_reviewed(
    execution_id: Any, step_path: str, *, output: Any = None, error: str = "", actor: str
) -> WorkflowExecution:
    """Record what became of a step that needs review: it completed with an output, or failed.

    So also of a compensation that failed: if it is done now, the execution goes on with the rest;
    if not, it stays in review.

    Raises:
        Conflict: the step needs no review.
    """
    with transaction.atomic():
        execution = lock_execution(execution_id)
        row, step = _row_and_step(execution, step_path)
        _check_needs_review(execution, row, step)
        check_approvals_hold(execution)
        outcome = {"error": error} if error else {"output": {} if output is None else output}
        now = database_now()
        if error and execution.is_compensating:
            keep_in_review(execution, row, error=error, actor=actor, now=now)
        else:
            _wake_with_outcome(execution, row, outcome, actor=actor, now=now)
        _record_settlement(execution, row, outcome, actor=actor)
        enqueue(execution, now=now)
        execution.save()
    return execution


def _record_settlement(
    execution: WorkflowExecution, row: WorkflowStep, outcome: dict[str, Any], *, actor: str
) -> None:
    """Add to the history and the audit trail what a person said of a step."""
    error = outcome.get("error", "")
    kind = EventKind.STEP_FAILED if error else EventKind.STEP_COMPLETED
    append_event(execution, kind, actor=actor, payload={"step": row.path, **outcome})
    verb = AuditVerb.FAILED if error else AuditVerb.COMPLETED
    audit.record(verb, execution, reason=error, changes={"step": row.path})


def _check_needs_review(execution: WorkflowExecution, row: WorkflowStep, step: Step) -> None:
    if is_compensation(row.path):
        stopped = row.status in (StepStatus.FAILED, StepStatus.NEEDS_REVIEW)
        needs_review = stopped and execution.status == ExecutionStatus.NEEDS_REVIEW
    else:
        needs_review = row.status == StepStatus.NEEDS_REVIEW and step.kind == "ACTION"
    if not needs_review:
        raise Conflict(f"The step '{row.path}' is {row.status}; only NEEDS_REVIEW can be settled.")


def _wake_with_outcome(
    execution: WorkflowExecution,
    row: WorkflowStep,
    outcome: dict[str, Any],
    *,
    actor: str,
    now: datetime,
) -> None:
    """Let the row be claimed like any other; the engine takes the outcome for that of the call."""
    WorkflowStep.objects.filter(pk=row.pk).update(
        status=StepStatus.PENDING,
        wake_at=now,
        error={"told": outcome, "by": actor},
        completed_at=None,
        fence=F("fence") + 1,
        deaths=0,
        updated_at=now,
    )
    if execution.is_compensating:
        execution.status = ExecutionStatus.COMPENSATING
        execution.errors = errors_before_compensation(execution)
    else:
        execution.status, execution.errors = ExecutionStatus.RUNNING, []
    mediator.publish_on_commit("steps_ready", step_ids=[str(row.pk)])
