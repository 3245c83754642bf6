"""Reads a whole definition: its form, its steps, and that every step it names exists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from core.exceptions import ValidationFailed
from core.expressions import MAX_TEMPLATE_DEPTH, is_too_deep, json_size
from core.suggestions import few_suggestions
from workflows.definition.blocks import MAX_CONTAINERS, BlockReader, StepList
from workflows.definition.fields import FieldReader
from workflows.definition.model import NO_RETRY, Definition, RetryPolicy
from workflows.definition.retry import MAX_WAIT_SECONDS, Defaults, read_retry, read_timeout
from workflows.definition.weight import is_light

MAX_STEPS = 500
MAX_BYTES = 256 * 1024
# A step in a branch is three levels below the step that holds the branch.
MAX_NESTING = MAX_TEMPLATE_DEPTH + 16 + 3 * MAX_CONTAINERS
MAX_EXECUTIONS = 10_000

DOCUMENT_KEYS = ("steps", "output", "defaults", "retry", "timeout", "concurrency")


class DefinitionError(ValidationFailed):
    """A definition that cannot be used; `errors` maps each path to its sentences."""

    @classmethod
    def of(cls, errors: Mapping[str, list[str]]) -> Self:
        """Return the error of all of these: its message tells the first, and how many more."""
        path, sentences = next(iter(errors.items()))
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        sentence = f"The definition is not valid: {path}: {sentences[0]}{more}"
        return cls(sentence, errors=errors)


@dataclass(frozen=True, slots=True)
class DocumentReading:
    """What could be read of a document, and what is wrong with it.

    `definition` holds every step that has a usable id, also where something else in it is wrong;
    `paths` maps such an id to its place in the document, such as `steps[2].branches[0][1]`.
    """

    definition: Definition | None
    errors: dict[str, list[str]]
    warnings: list[str]
    paths: dict[str, str]


def parse(document: Any) -> Definition:
    """Read a list of steps, or an object with `steps` and what holds for all of them.

    Raises:
        DefinitionError: with everything that is wrong.
    """
    reading = read(document)
    if reading.errors or reading.definition is None:
        raise DefinitionError.of(reading.errors)
    return reading.definition


def read(document: Any) -> DocumentReading:
    """Read as much of a document as makes sense. Never raises, whatever JSON it is given."""
    reader = FieldReader()
    with few_suggestions():
        definition, paths = _definition(reader, document)
    return DocumentReading(definition, reader.errors, reader.warnings, paths)


def _definition(reader: FieldReader, document: Any) -> tuple[Definition | None, dict[str, str]]:
    """Read the document; gives the definition and the paths of its steps."""
    document = {"steps": document} if isinstance(document, list) else document
    if not _has_usable_form(reader, document):
        return None, {}
    reader.keys(document, "", DOCUMENT_KEYS, "A definition")
    blocks = BlockReader(reader, _defaults(reader, document))
    block = blocks.read(document["steps"], "steps", StepList())
    blocks.check_followers()
    output = reader.output(document, "") if document.get("output") is not None else None
    timeout, concurrency = _limits(reader, document)
    if block is None:
        return None, {}
    light = is_light(blocks.steps.values(), output)
    definition = Definition(
        blocks.steps, block.first, output, document, timeout, concurrency, light
    )
    return definition, blocks.paths


def _has_usable_form(reader: FieldReader, document: Any) -> bool:
    if not isinstance(document, dict):
        reader.refuse("steps", "A definition is a list of steps, or an object with 'steps'.")
    elif not isinstance(document.get("steps"), list):
        reader.refuse("steps", "'steps' must be a list of steps.")
    elif not document["steps"]:
        reader.refuse("steps", "A definition needs at least one step.")
    elif is_too_deep(document, MAX_NESTING):
        reader.refuse("steps", f"The definition nests deeper than {MAX_NESTING} levels.")
    elif (count := _count_steps(document["steps"])) > MAX_STEPS:
        reader.refuse("steps", f"There are {count} steps; {MAX_STEPS} is the most.")
    elif json_size(document, MAX_BYTES) > MAX_BYTES:
        reader.refuse("steps", f"The definition is larger than {MAX_BYTES // 1024} KiB.")
    else:
        return True
    return False


def _count_steps(documents: Any) -> int:
    """Count steps, those inside of others included; recursion is bounded by MAX_NESTING."""
    count = 0
    for document in documents if isinstance(documents, list) else ():
        count += 1
        if isinstance(document, dict):
            branches = document.get("branches")
            blocks = branches if isinstance(branches, list) else []
            count += sum(_count_steps(block) for block in (*blocks, document.get("steps")))
    return count


def _defaults(reader: FieldReader, document: dict[str, Any]) -> Defaults:
    """Read what holds for steps that say nothing of retry and timeout."""
    defaults = document.get("defaults")
    if defaults is not None and not isinstance(defaults, dict):
        reader.refuse("defaults", "'defaults' must be an object such as {\"timeout\": 30}.")
        defaults = None
    defaults = defaults or {}
    reader.keys(defaults, "defaults", ("retry", "timeout"), "'defaults'")
    retry, retry_path = defaults.get("retry"), "defaults.retry"
    if retry is not None and document.get("retry") is not None:
        reader.refuse("retry", "'defaults' already says 'retry'; keep one of them.")
    elif retry is None:
        retry, retry_path = document.get("retry"), "retry"
    return Defaults(
        NO_RETRY if retry is None else read_retry(reader, retry, retry_path, RetryPolicy()),
        read_timeout(reader, defaults.get("timeout"), "defaults.timeout"),
    )


def _limits(reader: FieldReader, document: dict[str, Any]) -> tuple[float | None, int | None]:
    """Read how long an execution may take, and how many may run at once."""
    concurrency = document.get("concurrency")
    return (
        read_timeout(reader, document.get("timeout"), "timeout", most=MAX_WAIT_SECONDS),
        None
        if concurrency is None
        else reader.whole_number(concurrency, "concurrency", least=1, most=MAX_EXECUTIONS),
    )
