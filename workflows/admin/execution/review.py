"""Shows the steps that a person must settle, which complete or fail them by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from core.exceptions import ValidationFailed
from core.json import strict
from workflows import services
from workflows.definition import Step
from workflows.models import StepStatus, WorkflowStep

MAX_REASON = 2000
MAX_SHOWN = 20


@dataclass(frozen=True)
class Review:
    """A step whose call may or may not have happened."""

    key: str
    path: str
    name: str
    called: str
    sentence: str


def reviews_of(steps: Iterable[WorkflowStep], definitions: Mapping[str, Step]) -> list[Review]:
    """Return the calls that need a person, of the steps at hand."""
    stuck = [
        step
        for step in steps
        if step.status == StepStatus.NEEDS_REVIEW
        and step.step_id in definitions
        and definitions[step.step_id].kind == "ACTION"
    ]
    return [review_of(step) for step in stuck[:MAX_SHOWN]]


def review_of(step: WorkflowStep) -> Review:
    """Return what is asked of a step that was set aside."""
    error = step.error if isinstance(step.error, dict) else {}
    return Review(
        key=str(step.pk),
        path=step.path,
        name=step.name or step.step_id,
        called=" · ".join(part for part in (step.service, step.action) if part),
        sentence=str(error.get("message") or ""),
    )


def settle(execution: Any, posted: dict[str, str], *, actor: str) -> str:
    """Complete or fail a step as the form says; give what was done in words.

    Raises:
        ValidationFailed: the output is no JSON object, or a reason is missing.
        Conflict: the step is not to be settled any more.
    """
    path = posted.get("step", "")
    if posted.get("verdict") == "fail":
        reason = posted.get("reason", "").strip()[:MAX_REASON]
        if not reason:
            raise ValidationFailed("Say why the step failed; the reason is recorded.")
        services.settle_reviewed(execution, path, error=reason, actor=actor)
        return f"'{path}' is failed."
    services.settle_reviewed(execution, path, output=_output_of(posted), actor=actor)
    return f"'{path}' is completed."


def _output_of(posted: dict[str, str]) -> dict[str, Any]:
    text = posted.get("output", "").strip() or "{}"
    try:
        output = strict.parse(text)
    except strict.JSONRefused as error:
        raise ValidationFailed(f"The output is not JSON: {error}") from None
    if not isinstance(output, dict):
        raise ValidationFailed("The output must be an object {...}.")
    return output
