"""Refuses schedules whose input surely fails their workflow, as a dry run shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils import timezone

from core.exceptions import IntegrationError, ValidationFailed
from workflows.definition_cache import definition_of
from workflows.dry_run import DryRunResult, execute_in_memory
from workflows.dry_run.fake_calls import Calls
from workflows.dry_run.mocks import Mocks
from workflows.dry_run.model import DryRunLimits
from workflows.models import Workflow, WorkflowSchedule, WorkflowVersion

# Of the failures of a dry run, those that an input is to blame for.
_OF_INPUT = ("schema_violation", "expression_error")
_LIMITS = DryRunLimits(steps=100, seconds=0.5, size=1 << 20)


def missing_in(
    version: WorkflowVersion | None, input: Mapping[str, Any], context: Mapping[str, Any]
) -> str:
    """Return a sentence on why executions of a version with this input surely fail, or "".

    Sure is what a dry run comes to before it has to make up an answer.
    """
    if version is None:
        return ""
    try:
        definition = definition_of(version)
        result = execute_in_memory(
            definition,
            workflow=version.workflow.name,
            input=input,
            context=context,
            calls=Calls(Mocks({})),
            now=timezone.now(),
            limits=_LIMITS,
        )
    except IntegrationError:
        return ""
    return _why_it_fails(result)


def _why_it_fails(result: DryRunResult) -> str:
    if result.status != "FAILED" or any(step.sampled for step in result.steps):
        return ""
    # What went wrong inside of a branch is told by its own step.
    failed = [step.row for step in result.steps if step.row.status == "FAILED"]
    failures = [(f"the step '{row.step_id}'", row.error or {}) for row in failed]
    failures += [("its output", error) for error in result.errors if error.get("step") is None]
    for where, error in failures:
        if error.get("code") in _OF_INPUT and "handled" not in error:
            return f"With this input {where} fails: {error['message'].rstrip('.')}."
    return ""


def _given_by(schedule: WorkflowSchedule) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the input and context that an execution of a schedule gets."""
    tick = {"schedule": schedule.name, "scheduled_for": timezone.now().isoformat()}
    return schedule.input, {**schedule.context, **tick}


def check_schedule(schedule: WorkflowSchedule) -> None:
    """Refuse an enabled schedule whose every execution would fail.

    Raises:
        ValidationFailed: at `input`.
    """
    version = schedule.version or schedule.workflow.current_version
    why = missing_in(version, *_given_by(schedule)) if schedule.enabled else ""
    if why:
        sentence = f"{why} Give what the workflow needs, or save the schedule with enabled false."
        raise ValidationFailed.at("input", sentence)


def check_schedules_of(workflow: Workflow, before: WorkflowVersion | None) -> None:
    """Refuse another current version with which enabled schedules would fail from now on.

    Those that failed `before` already are no reason.

    Raises:
        ValidationFailed: at `steps`, naming them.
    """
    after = workflow.current_version
    if before is None or after is None or before.pk == after.pk:
        return
    problems = []
    for schedule in workflow.schedules.filter(enabled=True, version__isnull=True).order_by("name"):
        input_and_context = _given_by(schedule)
        if (why := missing_in(after, *input_and_context)) and not missing_in(
            before, *input_and_context
        ):
            problems.append(
                f"The schedule '{schedule.name}' gives too little. {why} Disable the schedule, or"
                " let the workflow do without."
            )
    if problems:
        raise ValidationFailed(f"steps: {problems[0]}", errors={"steps": problems})
