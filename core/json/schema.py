"""JSON Schema: checking schemas and values against them, with compiled schemas kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import jsonschema_rs

from core.json.schema_cost import DEEPEST, SchemaCost, measure

MAX_PROBLEMS = 20
# Applications of a schema, of which each takes some 50 ns: half a second of one core is too much.
MOST_APPLICATIONS = 2_000_000
# To say what is wrong takes some 40 microseconds each, and all of it is made out before it is said.
MOST_EXPLAINED = 2_000
# Each repeats the value, and what the schema asks for: of large ones only the first is made out.
MOST_EXPLAINED_BYTES = 10_000_000
# How often a pattern may go back: with a limit, none takes longer than its text.
_PATTERNS = jsonschema_rs.FancyRegexOptions(backtrack_limit=20_000)
_TOO_OFTEN = "applies parts of itself so often that nothing can be held against it"


class CompiledSchema:
    """A schema that values are held against, at a cost that is known before."""

    __slots__ = ("_cost", "_plain", "_size", "_validator", "has_choices")

    def __init__(self, text: str) -> None:
        document = json.loads(text)
        self._size = len(text)
        self._validator = jsonschema_rs.validator_for(
            document, retriever=_refuse_reference, pattern_options=_PATTERNS
        )
        self._cost = SchemaCost(document)
        # Of most schemas it does not matter how deep a value is.
        most = self._cost.applications(DEEPEST)
        self._plain = most if most <= MOST_EXPLAINED else None
        self.has_choices = '"anyOf"' in text or '"oneOf"' in text

    def cost_of(self, value: Any) -> int:
        """Return how many applications a value takes at most."""
        size, depth = measure(value)
        return size * (self._plain or self._cost.applications(depth))

    def can_check(self, value: Any) -> bool:
        """Return whether a value can be checked in reasonable time."""
        return self._plain is not None or self.cost_of(value) <= MOST_APPLICATIONS

    def is_valid(self, value: Any) -> bool:
        return bool(self._validator.is_valid(value))

    def _size_with(self, value: Any) -> int:
        """Return how long one sentence may be, which repeats the value and what it should be."""
        return self._size + len(json.dumps(value, default=str))

    def errors_of(self, value: Any) -> Iterable[jsonschema_rs.ValidationError]:
        """Return what is wrong with a value that does not fit; the first only of a large one."""
        cost = self.cost_of(value)
        if cost <= MOST_EXPLAINED and cost * self._size_with(value) <= MOST_EXPLAINED_BYTES:
            return self._validator.iter_errors(value)
        if self.has_choices:  # each branch of a choice says all that is wrong
            return ()
        try:
            self._validator.validate(value)
        except jsonschema_rs.ValidationError as error:
            return (error,)
        return ()


def check_schema(schema: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a JSON Schema, or None; references to others are refused."""
    try:
        compiled = compile_schema(json.dumps(schema, sort_keys=True))
    except (ValueError, TypeError, jsonschema_rs.ValidationError) as error:
        return str(error).splitlines()[0][:300]
    return None if compiled.can_check(None) else f"It {_TOO_OFTEN}."


@lru_cache(maxsize=1024)
def compile_schema(text: str) -> CompiledSchema:
    """Compile a schema given as JSON text. Nothing is fetched: only local references resolve."""
    return CompiledSchema(text)


def _refuse_reference(uri: str) -> Any:
    raise ValueError(f"$ref to another document is not allowed: {uri[:100]}")


class Schema:
    """A JSON Schema ready for use; an empty one accepts everything."""

    __slots__ = ("_compiled", "document", "properties")

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = dict(document)
        self._compiled = compile_schema(json.dumps(document, sort_keys=True)) if document else None
        closed = document.get("additionalProperties") is False
        self.properties = frozenset(document.get("properties", ())) if closed else None

    def problems(self, value: Any) -> dict[str, list[str]]:
        """Map the path of each part that breaks the schema to sentences.

        A value that would take too long to check breaks it. Of a large one only the first problem
        is told, or that there is one.
        """
        if self._compiled is None:
            return {}
        if not self._compiled.can_check(value):
            return {"$": [f"The schema {_TOO_OFTEN} that is so large or so deep."]}
        if self._compiled.is_valid(value):
            return {}
        by_path: dict[str, list[str]] = {}
        for count, error in enumerate(self._compiled.errors_of(value)):
            if count >= MAX_PROBLEMS:
                break
            by_path.setdefault(render_path(error.instance_path), []).append(error.message[:500])
        return by_path or {"$": ["It does not fit the schema, and is too large to say where."]}


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
