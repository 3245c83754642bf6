"""Makes the form of an APPROVAL step, and reads what a person filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AnonymousUser, User

from core.admin.labels import label_of
from core.exceptions import ValidationFailed
from core.identifiers import read_id
from core.json import strict
from workflows.definition import Step
from workflows.models import WorkflowStep

# Kinds of properties that have a field of their own; anything else is one field of JSON.
INPUTS = {"string": "text", "integer": "number", "number": "number", "boolean": "checkbox"}
# Fields of a document that ask in words, the first that is there.
ASKING = ("question", "title", "subject", "purpose", "message", "text")
MOST_FACTS, LONGEST_FACT = 8, 200
PREFIX = "form."
WHOLE = "form"
# Ids of the hub's own affairs tell a person nothing; that of an order may be what is asked about.
_OWN_IDS = re.compile(
    r"^(id|uuid|(interaction|correlation|request|execution|task)[ _-]?id)$", re.IGNORECASE
)


@dataclass(frozen=True)
class Field:
    """One thing to fill in. `input` is text, number, checkbox, select or json."""

    name: str
    label: str
    input: str
    required: bool = False
    help: str = ""
    step: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """What is asked; `key` changes when somebody decided.

    `asked` is the question in words, `facts` what it is about in a few plain values, and `rest`
    all that the document says, without what is empty.
    """

    key: str
    path: str
    name: str
    asked: str
    facts: tuple[tuple[str, Any], ...]
    rest: Any
    decisions: list[Mapping[str, Any]]
    fields: tuple[Field, ...]


def ask(
    row: WorkflowStep, step: Step, *, person: User | AnonymousUser, may_control: bool
) -> Question | None:
    """Return the question of a waiting step; None for somebody who may not decide it, or has."""
    if has_decided(row, person) or not may_decide(step, person=person, may_control=may_control):
        return None
    return question_of(row, step)


def has_decided(row: WorkflowStep, person: User | AnonymousUser) -> bool:
    """Return whether this person has decided it already."""
    return any(d.get("by") == person.get_username() for d in _decisions_of(row))


def question_of(row: WorkflowStep, step: Step) -> Question:
    """Return what a waiting step asks."""
    waiting_input = row.input if isinstance(row.input, Mapping) else {}
    document, decisions = waiting_input.get("document"), _decisions_of(row)
    return Question(
        key=f"{row.pk}-{len(decisions)}",
        path=row.path,
        name=row.name or row.step_id,
        asked=asked_in(document) or row.name or row.step_id,
        facts=facts_in(document),
        rest=without_empty(document),
        decisions=decisions,
        fields=fields_of(step.form),
    )


def asked_in(document: Any) -> str:
    """Return the question that a document asks in words; empty where it has none."""
    fields = document if isinstance(document, Mapping) else {}
    texts = (fields.get(name) for name in ASKING)
    return next((text.strip() for text in texts if isinstance(text, str) and text.strip()), "")


def facts_in(document: Any) -> tuple[tuple[str, Any], ...]:
    """Return the first plain values of a document by names in words, without question and ids."""
    fields = document if isinstance(document, Mapping) else {}
    question = asked_in(document)
    plain = [
        (
            label_of(str(name).replace("-", "_")),
            "yes" if value is True else "no" if value is False else value,
        )
        for name, value in fields.items()
        if isinstance(value, str | int | float)
        and str(value).strip() not in ("", question)
        and len(str(value)) <= LONGEST_FACT
        and not _is_id(str(name), value)
    ]
    return tuple(plain[:MOST_FACTS])


def _is_id(name: str, value: Any) -> bool:
    return bool(_OWN_IDS.search(name)) or (isinstance(value, str) and read_id(value) is not None)


def without_empty(value: Any) -> Any:
    """Return a value without what is null or empty in it."""
    if isinstance(value, Mapping):
        kept = {name: without_empty(inner) for name, inner in value.items()}
        return {name: inner for name, inner in kept.items() if inner not in (None, "", [], {})}
    if isinstance(value, list):
        return [without_empty(inner) for inner in value]
    return value


def _decisions_of(row: WorkflowStep) -> list[Mapping[str, Any]]:
    waiting_input = row.input if isinstance(row.input, Mapping) else {}
    return list(waiting_input.get("decisions") or ())


def may_decide(step: Step, *, person: User | AnonymousUser, may_control: bool) -> bool:
    """Return whether a person may decide: who is named; else, who controls executions."""
    named = {*step.assignees, *step.escalate_to}
    if not named or person.is_superuser:
        return may_control
    return person.get_username() in named or person.groups.filter(name__in=sorted(named)).exists()


def fields_of(schema: Mapping[str, Any] | None) -> tuple[Field, ...]:
    """Return a field for each property of a plain schema, one for JSON where it is not plain."""
    if schema is None:
        return ()
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or not all(map(_is_plain, properties.values())):
        return (Field(WHOLE, "The form, as JSON", "json", required=True),)
    required = schema.get("required") or ()
    return tuple(
        _field(name, about, required=name in required) for name, about in properties.items()
    )


def read_answers(schema: Mapping[str, Any] | None, posted: Mapping[str, str]) -> Any:
    """Return what was filled in, in the types that the schema says. Empty fields are left out.

    Raises:
        ValidationFailed: a field holds what cannot be read.
    """
    answers: dict[str, Any] = {}
    for field in fields_of(schema):
        text = posted.get(field.name, "").strip()
        if field.input == "json":
            return _read_json(text, field.label)
        name = field.name.removeprefix(PREFIX)
        if field.input == "checkbox":
            answers[name] = bool(text)
        elif text:
            answers[name] = _read_json(text, field.label) if field.input == "number" else text
    return answers if schema is not None else None


def _is_plain(about: Any) -> bool:
    if not isinstance(about, Mapping):
        return False
    choices = about.get("enum")
    if choices is not None:
        return isinstance(choices, list) and all(isinstance(c, str) for c in choices)
    return isinstance(about.get("type"), str) and about["type"] in INPUTS


def _field(name: str, about: Mapping[str, Any], *, required: bool) -> Field:
    choices = tuple(about.get("enum") or ())
    return Field(
        name=f"{PREFIX}{name}",
        label=str(about.get("title") or name),
        input="select" if choices else INPUTS[about["type"]],
        required=required,
        help=str(about.get("description") or ""),
        step="1" if about.get("type") == "integer" else "any",
        choices=choices,
    )


def _read_json(text: str, label: str) -> Any:
    try:
        return strict.parse(text)
    except strict.JSONRefused:
        raise ValidationFailed(f"{label}: '{text[:100]}' cannot be read.") from None
