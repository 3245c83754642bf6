"""Reading a whole definition: its form, its steps, and that every step it names exists."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from registry.exceptions import ValidationFailed
from workflows.definition.fields import FieldReader
from workflows.definition.kinds import ENDING_KINDS
from workflows.definition.retry import read_retry, read_timeout
from workflows.definition.steps import read_step
from workflows.definition.values import NO_RETRY, Definition, RetryPolicy, Step
from workflows.expressions import MAX_TEMPLATE_DEPTH, did_you_mean, json_size

MAX_STEPS = 500
MAX_BYTES = 256 * 1024
MAX_NESTING = MAX_TEMPLATE_DEPTH + 16

DOCUMENT_KEYS = ("steps", "output", "retry", "timeout")


class DefinitionError(ValidationFailed):
    """A definition that cannot be used; `errors` maps each path to its sentences."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What could be read of a document, and what is wrong with it.

    `definition` holds every step that has a usable id, also where something else in it is wrong;
    `positions` maps such an id to its place in the list.
    """

    definition: Definition | None
    errors: dict[str, list[str]]
    warnings: list[str]
    positions: dict[str, int]


def parse(document: Any) -> Definition:
    """Read a list of steps, or an object with `steps`, `output`, `retry` and `timeout`.

    `retry` and `timeout` there are the defaults of the steps that say nothing.
    Raises DefinitionError with everything that is wrong.
    """
    reading = read(document)
    if reading.errors or reading.definition is None:
        path, sentences = next(iter(reading.errors.items()))
        more = f" (and {len(reading.errors) - 1} more)" if len(reading.errors) > 1 else ""
        raise DefinitionError(
            f"The definition is not valid: {path}: {sentences[0]}{more}", errors=reading.errors
        )
    return reading.definition


def read(document: Any) -> Reading:
    """Read as much of a document as makes sense. Never raises, whatever JSON it is given."""
    reader = FieldReader()
    definition, positions = _definition(reader, document)
    return Reading(definition, reader.errors, reader.warnings, positions)


def is_too_deep(value: Any, limit: int) -> bool:
    """Whether lists and objects nest in more than `limit` levels; without recursion."""
    level = [value]
    for _ in range(limit + 1):
        level = [
            child
            for part in level
            if isinstance(part, (dict, list))
            for child in (part.values() if isinstance(part, dict) else part)
        ]
        if not level:
            return False
    return True


def _definition(reader: FieldReader, document: Any) -> tuple[Definition | None, dict[str, int]]:
    """Read the document; gives the definition and the positions of its steps."""
    document = {"steps": document} if isinstance(document, list) else document
    if not _has_usable_form(reader, document):
        return None, {}
    reader.keys(document, "", DOCUMENT_KEYS, "A definition")
    steps, positions = _steps(reader, document)
    output = reader.output(document, "") if document.get("output") is not None else None
    _check_followers(reader, document["steps"], steps, positions)
    if not steps:
        return None, {}
    return Definition(steps, next(iter(steps)), output, document), positions


def _has_usable_form(reader: FieldReader, document: Any) -> bool:
    if not isinstance(document, dict):
        reader.refuse("steps", "A definition is a list of steps, or an object with 'steps'.")
    elif not isinstance(document.get("steps"), list):
        reader.refuse("steps", "'steps' must be a list of steps.")
    elif not document["steps"]:
        reader.refuse("steps", "A definition needs at least one step.")
    elif len(document["steps"]) > MAX_STEPS:
        reader.refuse(
            "steps", f"There are {len(document['steps'])} steps; {MAX_STEPS} is the most."
        )
    elif is_too_deep(document, MAX_NESTING):
        reader.refuse("steps", f"The definition nests deeper than {MAX_NESTING} levels.")
    elif json_size(document, MAX_BYTES) > MAX_BYTES:
        reader.refuse("steps", f"The definition is larger than {MAX_BYTES // 1024} KiB.")
    else:
        return True
    return False


def _steps(reader: FieldReader, document: dict[str, Any]) -> tuple[dict[str, Step], dict[str, int]]:
    retry, timeout = _defaults(reader, document)
    documents = document["steps"]
    steps: dict[str, Step] = {}
    positions: dict[str, int] = {}
    # Expressions may write dashes as underscores, so ids must differ in more than that.
    spelled: dict[str, str] = {}
    for position, part in enumerate(documents):
        path = f"steps[{position}]"
        step = read_step(reader, part, path, retry=retry, timeout=timeout)
        if step is None:
            continue
        known = spelled.setdefault(step.id.replace("-", "_"), step.id)
        if step.id in steps:
            first = positions[step.id]
            reader.refuse(f"{path}.id", f"The id '{step.id}' is already that of steps[{first}].")
            continue
        if known != step.id:
            reader.refuse(
                f"{path}.id",
                f"The ids '{step.id}' and '{known}' differ only in dashes and underscores.",
            )
        steps[step.id] = step
        positions[step.id] = position
        if position < len(documents) - 1:
            _warn_of_silent_end(reader, part, step, path)
    return steps, positions


def _defaults(reader: FieldReader, document: dict[str, Any]) -> tuple[RetryPolicy, float | None]:
    """Read what holds for steps that say nothing of retry and timeout."""
    retry, timeout = NO_RETRY, None
    if document.get("retry") is not None:
        retry = read_retry(reader, document["retry"], "retry", RetryPolicy())
    if document.get("timeout") is not None:
        timeout = read_timeout(reader, document["timeout"], "timeout")
    return retry, timeout


def _warn_of_silent_end(
    reader: FieldReader, document: dict[str, Any], step: Step, path: str
) -> None:
    if "next" not in document and step.kind not in ENDING_KINDS:
        reader.warnings.append(
            f"{path}: '{step.id}' has no 'next', so the workflow ends after it; "
            'write "next": null if that is meant.'
        )


def _check_followers(
    reader: FieldReader,
    documents: list[Any],
    steps: Mapping[str, Step],
    positions: Mapping[str, int],
) -> None:
    for step in steps.values():
        path = f"steps[{positions[step.id]}]"
        written = documents[positions[step.id]].get("next")
        for index, route in enumerate(step.next):
            place = f".next[{index}].step" if isinstance(written, list) else ".next"
            _check_follower(reader, route.step, f"{path}{place}", steps)
        if step.fallback is not None:
            _check_follower(reader, step.fallback.step, f"{path}.fallback.step", steps)


def _check_follower(
    reader: FieldReader, name: str | None, path: str, steps: Collection[str]
) -> None:
    if name is not None and name not in steps:
        reader.refuse(path, f"There is no step '{name[:100]}'{did_you_mean(name, steps)}")
