"""What is sent, as JSON; what JSON cannot say is refused by its place, before anything is sent."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from service_integration_client.documents import is_too_deep
from service_integration_client.exceptions import ValidationError

DEEPEST = 100


def encoded(body: Any) -> bytes:
    """The body in UTF-8. Raises: ValidationError naming each place that is not JSON."""
    try:
        return _dumped(body)
    except (TypeError, ValueError, RecursionError) as error:
        found: dict[str, list[str]] = {}
        for path, sentence in _problems(body, "", 0):
            found.setdefault(path or "body", []).append(sentence)
        found = found or {"body": [f"It cannot be written as JSON: {error}."]}
        place, sentences = next(iter(found.items()))
        raise ValidationError(f"{place}: {sentences[0]}", validation_errors=found) from None


def _dumped(body: Any) -> bytes:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # Newer Pythons write what they could not recurse into.
    if text.count("[") + text.count("{") > DEEPEST and is_too_deep(body, DEEPEST):
        raise ValueError(f"it is nested beyond {DEEPEST} levels")
    return text.encode()


def _problems(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > DEEPEST:
        yield path, f"It is nested beyond {DEEPEST} levels."
    elif isinstance(value, dict):
        yield from _problems_of_object(value, path, depth)
    elif isinstance(value, (list, tuple)):
        for index, each in enumerate(value):
            yield from _problems(each, f"{path}[{index}]", depth + 1)
    elif sentence := _problem(value):
        yield path, sentence


def _problems_of_object(value: dict[Any, Any], path: str, depth: int) -> Iterator[tuple[str, str]]:
    for key, each in value.items():
        place = f"{path}.{key}" if path else str(key)
        if not isinstance(key, str):
            yield place, "A name in an object is a text."
        yield from _problems(each, place, depth + 1)


def _problem(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "A number is finite."
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return "The text has half of a surrogate pair."
    elif value is not None and not isinstance(value, (bool, int, float)):
        kind = type(value).__name__
        return f"A value of the type {kind} is not JSON; use a text, number, list or object."
    return ""
