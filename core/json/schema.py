"""JSON Schema: checking schemas and values against them, with compiled schemas kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jsonschema_rs

MAX_PROBLEMS = 20


def check_schema(schema: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a JSON Schema, or None; references to others are refused."""
    try:
        compile_schema(json.dumps(schema, sort_keys=True))
    except (ValueError, TypeError, jsonschema_rs.ValidationError) as error:
        return str(error).splitlines()[0][:300]
    return None


@lru_cache(maxsize=1024)
def compile_schema(text: str) -> Any:
    """Compile a schema given as JSON text. Nothing is fetched: only local references resolve."""
    return jsonschema_rs.validator_for(json.loads(text), retriever=_refuse_reference)


def _refuse_reference(uri: str) -> Any:
    raise ValueError(f"$ref to another document is not allowed: {uri[:100]}")


class Schema:
    """A JSON Schema ready for use; an empty one accepts everything."""

    __slots__ = ("_validator", "document", "properties")

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = dict(document)
        self._validator = compile_schema(json.dumps(document, sort_keys=True)) if document else None
        closed = document.get("additionalProperties") is False
        self.properties = frozenset(document.get("properties", ())) if closed else None

    def problems(self, value: Any) -> dict[str, list[str]]:
        """Map the path of each part that breaks the schema to sentences."""
        if self._validator is None or self._validator.is_valid(value):
            return {}
        by_path: dict[str, list[str]] = {}
        for count, error in enumerate(self._validator.iter_errors(value)):
            if count >= MAX_PROBLEMS:
                break
            by_path.setdefault(render_path(error.instance_path), []).append(error.message[:500])
        return by_path


def first_of(problems: Mapping[str, list[str]]) -> str:
    """Return the first problem as a sentence, after the path of the part that has it."""
    path, sentences = next(iter(problems.items()))
    sentence = f"{sentences[0].rstrip('.')}."
    return sentence if path == "$" else f"{path}: {sentence}"


def render_path(parts: Any) -> str:
    """Write a path as `steps[2].next`; the whole document is `$`."""
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "$"
