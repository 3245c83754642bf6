"""Short notations for the JSON Schemas of actions, and the check of a value against one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jsonschema_rs

JsonObject = dict[str, Any]

TEXT: JsonObject = {"type": "string"}
NAME: JsonObject = {"type": "string", "minLength": 1, "maxLength": 200}
IDENTIFIER: JsonObject = {"type": "string", "minLength": 1, "maxLength": 100}
INTEGER: JsonObject = {"type": "integer"}
OBJECT: JsonObject = {"type": "object"}
DATE: JsonObject = {"type": "string", "format": "date"}
TEXTS: JsonObject = {"type": "array", "items": TEXT}


def described(schema: JsonObject, description: str) -> JsonObject:
    return {**schema, "description": description}


def nullable(schema: JsonObject) -> JsonObject:
    """Allow null too: a skipped optional step of a workflow leaves it behind."""
    return {"anyOf": [schema, {"type": "null"}]}


def list_of(schema: JsonObject, **limits: int) -> JsonObject:
    return {"type": "array", "items": schema, **limits}


def record(
    properties: Mapping[str, JsonObject], *, required: str = "", closed: bool = False
) -> JsonObject:
    """Return an object schema; `required` names properties, parted by blanks."""
    schema: JsonObject = {"type": "object", "properties": dict(properties)}
    if required:
        schema["required"] = required.split()
    if closed:
        schema["additionalProperties"] = False
    return schema


def input_check(schema: JsonObject) -> Callable[[JsonObject], dict[str, list[str]]]:
    """Return a check that gives a value's errors: field path -> sentences; empty when valid."""
    validator = jsonschema_rs.validator_for(schema, validate_formats=True)

    def check(value: JsonObject) -> dict[str, list[str]]:
        errors: dict[str, list[str]] = {}
        for error in validator.iter_errors(value):
            field, sentence = _explain(error)
            errors.setdefault(field, []).append(sentence)
        return errors

    return check


def _explain(error: jsonschema_rs.ValidationError) -> tuple[str, str]:
    kind = error.kind
    path = _path(error.instance_path)
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.Required):
        missing = f"{path}.{kind.property}" if path else str(kind.property)
        return missing, f"{missing} is required."
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.AdditionalProperties):
        names = ", ".join(sorted(kind.unexpected))
        return path or kind.unexpected[0], f"This action does not know the field {names}."
    return path or "body", f"{path or 'The body'}: {_shortened(error.message)}."


def _path(parts: list[str | int]) -> str:
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def _shortened(message: str, limit: int = 300) -> str:
    """Return a sentence that does not repeat a whole document back to its sender."""
    if len(message) <= limit:
        return message
    return message[: limit // 2] + " … " + message[-limit // 2 :]
