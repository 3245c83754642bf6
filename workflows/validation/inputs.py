"""Finds what an action's schema surely refuses in an input of which parts are not known yet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema_rs

from core.expressions import Template, join_path
from core.json.schema import compile_schema
from core.unknown_fields import fit

MAX_INPUT_ERRORS = 20

# Errors that hold for an object or list whatever the parts of it that are not known yet.
_SURE_KINDS = frozenset(
    {
        "AdditionalProperties",
        "FalseSchema",
        "MaxItems",
        "MaxProperties",
        "MinItems",
        "MinProperties",
        "PropertyNames",
        "Required",
        "Type",
    }
)
# Below these, whether a keyword applies depends on values.
_CONDITIONAL_KEYWORDS = frozenset({"if", "then", "else", "contains"})


def input_problems(
    template: Template | None, schema: Mapping[str, Any] | None, *, cut: bool = False
) -> Iterator[tuple[str, str]]:
    """Give what the schema surely refuses in an input, with the place in it.

    With `cut`, fields that it does not know are no matter.
    """
    if template is None or not schema or "" in dict(template.expressions):
        return
    try:
        compiled = compile_schema(json.dumps(schema, sort_keys=True))
    except (ValueError, TypeError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError):
        return  # A broken schema is reported where the action is registered.
    unknown: set[tuple[str | int, ...]] = set()
    sample = _sample(template.source, (), unknown)
    if cut and isinstance(sample, dict):
        sample = fit(schema, sample).known
    count = 0
    if not compiled.can_check(sample) or compiled.is_valid(sample):
        return
    for error in compiled.errors_of(sample):
        if _is_sure(error, unknown):
            count += 1
            yield _place(error.instance_path), f"{error.message[:300]}."
        if count >= MAX_INPUT_ERRORS:
            return


def _sample(value: Any, path: tuple[str | int, ...], unknown: set[tuple[str | int, ...]]) -> Any:
    """Return what a template renders to, with null where that depends on the execution."""
    if isinstance(value, dict):
        return {key: _sample(part, (*path, key), unknown) for key, part in value.items()}
    if isinstance(value, list):
        return [_sample(part, (*path, index), unknown) for index, part in enumerate(value)]
    if isinstance(value, str) and value.startswith("$$."):
        return value[1:]
    if isinstance(value, str) and value.startswith("$."):
        unknown.add(path)
        return None
    return value


def _is_sure(error: Any, unknown: set[tuple[str | int, ...]]) -> bool:
    """Return whether an error in the sample stays, whatever the unknown parts turn out to be."""
    path = tuple(error.instance_path)
    if any(path[: len(unknown_path)] == unknown_path for unknown_path in unknown):
        return False
    if unknown and not _CONDITIONAL_KEYWORDS.isdisjoint(error.evaluation_path):
        return False
    holds_unknown = any(unknown_path[: len(path)] == path for unknown_path in unknown)
    return not holds_unknown or type(error.kind).__name__ in _SURE_KINDS


def _place(parts: list[str | int]) -> str:
    path = ""
    for part in parts:
        path = f"{path}[{part}]" if isinstance(part, int) else join_path(path, part)
    return path
