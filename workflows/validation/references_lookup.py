"""Looks up the services, actions and workflows that a definition names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from core.expressions import Template
from core.unknown_fields import UnknownFields
from workflows.definition import (
    Compensation,
    Definition,
    DocumentReading,
    Findings,
    Step,
    StepTarget,
    extend_path,
)
from workflows.validation.inputs import input_problems

Report = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class ActionInfo:
    """What is known of an action."""

    input_schema: dict[str, Any] | None
    output_schema: dict[str, Any] | None
    # What the action itself does with fields that its input schema does not name.
    unknown_fields: str | None = None


class ActionNotFoundError(LookupError):
    """The service exists and has no such action: the error belongs to the `action` key."""


class UnknownTypeError(LookupError):
    """The type is none of the vocabulary: no service can ever have it."""


class Directory(Protocol):
    """Knows services and their actions.

    One that also has `find_workflow(name)`, which raises LookupError(sentence) when there is no
    such workflow, is asked for those too.
    """

    def find_action(self, target: StepTarget, action: str) -> ActionInfo:
        """Describe an action of a target.

        Raises LookupError(sentence) when there is no such service, or none of that type now, and
        ActionNotFoundError(sentence) when there is one and it has no such action.
        """


class ActionCall(NamedTuple):
    """A call that a definition makes; `step` is the id of the step whose output it gives."""

    path: str
    target: StepTarget
    action: str
    input: Template | None
    unknown_fields: str | None
    step: str | None


def look_up_actions(
    reading: DocumentReading, directory: Directory, findings: Findings, report: Report
) -> dict[str, ActionInfo]:
    """Check targets and inputs; gives what is known of each step's action."""
    actions: dict[str, ActionInfo] = {}
    assert reading.definition is not None
    for call in _calls(reading.definition, reading.paths):
        info = _find(call, directory, findings, report)
        if info is None:
            continue
        if call.step is not None:
            actions[call.step] = info
        policy = call.unknown_fields or info.unknown_fields
        cut = policy in (UnknownFields.STRIP, UnknownFields.PASS)
        for inner_path, sentence in input_problems(call.input, info.input_schema, cut=cut):
            report(extend_path(f"{call.path}.input", inner_path), sentence)
    return actions


def _calls(definition: Definition, paths: Mapping[str, str]) -> Iterator[ActionCall]:
    for step in definition.steps.values():
        yield from _call_of(step, paths[step.id], step.id)
        if step.compensate is not None:
            yield from _call_of(step.compensate, f"{paths[step.id]}.compensate", None)


def _call_of(caller: Step | Compensation, path: str, step: str | None) -> Iterator[ActionCall]:
    target, action = caller.target, caller.action
    if target is not None and (action is not None or target.kind in ("connection", "integration")):
        yield ActionCall(path, target, action or "", caller.input, caller.unknown_fields, step)


def _find(
    call: ActionCall, directory: Directory, findings: Findings, report: Report
) -> ActionInfo | None:
    try:
        return directory.find_action(call.target, call.action)
    except ActionNotFoundError as error:
        report(f"{call.path}.action", _sentence(error))
    except UnknownTypeError as error:
        findings.refuse(f"{call.path}.service_type", _sentence(error))
    except LookupError as error:
        # Discovery picks among what is up when the step runs: services of a type come and go.
        missing = findings.doubt if call.target.kind == "service_type" else report
        missing(f"{call.path}.{call.target.kind}", _sentence(error))
    return None


def look_up_workflows(
    reading: DocumentReading, directory: Directory, report: Report, *, own_name: str | None
) -> None:
    """Check that the workflows that steps run exist; a workflow may run itself."""
    find = getattr(directory, "find_workflow", None)
    if find is None or reading.definition is None:
        return
    for step in reading.definition.steps.values():
        if step.workflow is None or _is_same_name(step.workflow, own_name):
            continue
        try:
            find(step.workflow)
        except LookupError as error:
            report(f"{reading.paths[step.id]}.workflow", _sentence(error))


def look_up_people(reading: DocumentReading, directory: Directory, findings: Findings) -> None:
    """Doubt names of people and groups that nobody has; they may come later."""
    find = getattr(directory, "find_person", None)
    if find is None or reading.definition is None:
        return
    for step in reading.definition.steps.values():
        for key in ("assignees", "escalate_to"):
            for index, name in enumerate(getattr(step, key)):
                try:
                    find(name)
                except LookupError as error:
                    findings.doubt(f"{reading.paths[step.id]}.{key}[{index}]", _sentence(error))


def _is_same_name(name: str, other: str | None) -> bool:
    return other is not None and name.lower() == other.lower()


def _sentence(error: LookupError) -> str:
    return str(error.args[0]) if error.args else "It does not exist."
