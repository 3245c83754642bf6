"""Documents of YAML: read within bounds, as JSON would be, and written (pure).

What JSON does not have is refused, not guessed at: anchors, by which a small text stands for a
large one, tags, keys that are no texts, and the words and dates that YAML 1.1 makes of plain text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from core.exceptions import ValidationFailed
from core.json.strict import MAX_DEPTH, JSONRefused, check_text, parse_number

MOST_VALUES = 100_000
# As deep as a request may be, within the document.
DEEPEST = MAX_DEPTH + 1
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")
_WORDS: Mapping[str, Any] = {"": None, "~": None, "null": None, "true": True, "false": False}
_MEMBERS = ("kind", "name", "spec")
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PlainDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@dataclass(frozen=True, slots=True)
class Manifest:
    """One document: what a row of a kind is to be, and where that is written."""

    file: str
    number: int
    kind: str
    name: str
    spec: Mapping[str, Any]

    @property
    def title(self) -> str:
        """Say where it is written, and of what."""
        words = f"{self.kind} {self.name}".strip()
        return f"{self.file}, document {self.number}, {words}"


class _Dumper(_PlainDumper):
    """Puts quotes around what would be read as something else, and keeps lines apart."""


def _write_text(dumper: Any, text: str) -> Any:
    if "\n" in text:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|")
    quotes = "'" if _NUMBER.fullmatch(text) or text.lower() in _WORDS else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=quotes)


_Dumper.add_representer(str, _write_text)


class _Refused(Exception):
    """A text says what is not read; with its line, counted from one."""

    def __init__(self, sentence: str, line: int) -> None:
        super().__init__(f"Line {line}: {sentence}")


def read_manifests(file: str, text: str) -> list[Manifest]:
    """Return the documents of a file; those that are empty are left out.

    Raises:
        ValidationFailed: it is no YAML, or says more than is read; by the file and the document.
    """
    number = 0
    found = []
    try:
        for number, document in enumerate(_read_documents(text), 1):
            check_text(document)
            if document is not None:
                found.append(_manifest_of(file, number, document))
    except yaml.YAMLError as error:
        raise ValidationFailed.at(file, _sentence_of(error)) from None
    except _Refused as refusal:
        raise ValidationFailed.at(f"{file}, document {number + 1}", str(refusal)) from None
    except JSONRefused as refusal:
        raise ValidationFailed.at(f"{file}, document {number}", str(refusal)) from None
    return found


def write_manifests(documents: Sequence[Mapping[str, Any]]) -> str:
    """Return the text of documents."""
    return yaml.dump_all(
        documents,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        explicit_start=True,
        width=100,
    )


def _manifest_of(file: str, number: int, document: Any) -> Manifest:
    at = f"{file}, document {number}"
    if not isinstance(document, dict):
        raise ValidationFailed.at(at, "Must be an object with kind, name and spec.")
    if unknown := [name for name in document if name not in _MEMBERS]:
        sentence = f"There is no such member. Known: {', '.join(_MEMBERS)}."
        raise ValidationFailed.at(f"{at}, {unknown[0][:100]}", sentence)
    kind, name, spec = (document.get(each) for each in _MEMBERS)
    if not isinstance(kind, str):
        raise ValidationFailed.at(f"{at}, kind", "Say what it is, such as Check.")
    if not isinstance(name, str | None):
        raise ValidationFailed.at(f"{at}, name", "Must be a text: put quotes around it.")
    if not isinstance(spec, dict):
        raise ValidationFailed.at(f"{at}, spec", "Must be an object with the fields.")
    return Manifest(file, number, kind, name or "", spec)


def _read_documents(text: str) -> Iterator[Any]:
    """Yield the value of each document, by its events: nothing is built that is too large."""
    events = yaml.parse(text, Loader=_Loader)
    values = 0
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            value, values = _read_value(next(events), events, 0, values)
            yield value


def _read_value(event: Any, events: Iterator[Any], depth: int, values: int) -> tuple[Any, int]:
    """Return the value that begins with an event, and how many there were until its end."""
    line = event.start_mark.line + 1
    values += 1
    if values > MOST_VALUES:
        raise _Refused(f"More than {MOST_VALUES:,} values in one file.", line)
    if depth > DEEPEST:
        raise _Refused(f"Nested deeper than {DEEPEST}.", line)
    if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
        raise _Refused("Anchors and aliases are not read: write it out.", line)
    if event.tag is not None:
        raise _Refused(f"The tag {event.tag[:50]} is not read: leave it out.", line)
    if isinstance(event, yaml.ScalarEvent):
        return _scalar_of(event, line), values
    if isinstance(event, yaml.SequenceStartEvent):
        return _read_list(events, depth, values)
    return _read_object(events, depth, values)


def _read_list(events: Iterator[Any], depth: int, values: int) -> tuple[list[Any], int]:
    items = []
    while not isinstance(event := next(events), yaml.SequenceEndEvent):
        item, values = _read_value(event, events, depth + 1, values)
        items.append(item)
    return items, values


def _read_object(events: Iterator[Any], depth: int, values: int) -> tuple[dict[str, Any], int]:
    members: dict[str, Any] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        line = event.start_mark.line + 1
        if not isinstance(event, yaml.ScalarEvent) or event.anchor or event.tag:
            raise _Refused("A key must be a plain text.", line)
        key = event.value
        if key in members:
            raise _Refused(f"'{key[:100]}' is there twice.", line)
        members[key], values = _read_value(next(events), events, depth + 1, values)
    return members, values


def _scalar_of(event: Any, line: int) -> Any:
    """Return what a plain text stands for in JSON; what is quoted is text."""
    text = event.value
    if not event.implicit[0]:
        return text
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if not (match := _NUMBER.fullmatch(text)):
        return text
    if match[2] is None and match[3] is None:
        return int(text)
    try:
        return parse_number(text)
    except JSONRefused as refusal:
        raise _Refused(str(refusal), line) from None


def _sentence_of(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "no YAML")
    if mark is None:
        return f"This is no YAML: {problem[:200]}."
    return f"This is no YAML: line {mark.line + 1}, column {mark.column + 1}: {problem[:200]}."
