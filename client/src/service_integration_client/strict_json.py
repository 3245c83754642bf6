"""Parses JSON strictly and in bounded depth, compares as JSON compares, and writes it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

from service_integration_client.exceptions import ValidationError

MOST_LEVELS_SENT = 100
# Far above what a hub takes, far below what Python code may recurse.
MOST_LEVELS_READ = 200


def parse_json(text: bytes | str, *, unique_keys: bool = False) -> Any:
    """Return the value of a JSON text.

    Raises: ValueError with a sentence: it is not JSON, holds NaN or an infinite number, nests
    beyond `MOST_LEVELS_READ`, or, with `unique_keys`, has a key twice in one object.
    """
    too_deep = f"It is nested beyond {MOST_LEVELS_READ} levels."
    try:
        value = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_unique if unique_keys else None,
        )
    except RecursionError:
        raise ValueError(too_deep) from None
    if nests_beyond(value, text, MOST_LEVELS_READ):
        raise ValueError(too_deep)
    return value


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is not a JSON number.")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"The number {text[:40]} is too large.")
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in pairs:
        if key in fields:
            raise ValueError(f"The key '{key[:100]}' occurs twice in one object.")
        fields[key] = value
    return fields


def nests_beyond(value: Any, text: bytes | str, limit: int) -> bool:
    """Return whether lists and objects of a JSON text nest in more than `limit` levels.

    Without recursion; a text with fewer brackets than that is not looked into.
    """
    count: Callable[[Any], int] = text.count
    brackets = (b"[", b"{") if isinstance(text, bytes) else ("[", "{")
    if sum(map(count, brackets)) <= limit:
        return False
    level = [value]
    for _ in range(limit + 1):
        level = [
            child
            for part in level
            if isinstance(part, (dict, list, tuple))
            for child in (part.values() if isinstance(part, dict) else part)
        ]
        if not level:
            return False
    return True


def json_equal(left: Any, right: Any) -> bool:
    """Return whether two JSON values are equal: true is no 1, and 1.0 is 1."""
    pairs = [(left, right)]
    while pairs:
        one, other = pairs.pop()
        if isinstance(one, dict):
            if not isinstance(other, dict) or one.keys() != other.keys():
                return False
            pairs.extend((value, other[key]) for key, value in one.items())
        elif isinstance(one, list):
            if not isinstance(other, list) or len(one) != len(other):
                return False
            pairs.extend(zip(one, other))
        elif isinstance(one, bool) or isinstance(other, bool):
            if one is not other:
                return False
        elif one != other:
            return False
    return True


def encode_json(body: Any) -> bytes:
    """Return the body in UTF-8. Raises: ValidationError naming each part that is not JSON."""
    try:
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        # Newer Pythons write what they could not recurse into.
        if nests_beyond(body, text, MOST_LEVELS_SENT):
            raise ValueError(f"it is nested beyond {MOST_LEVELS_SENT} levels")
        return text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        faults: dict[str, list[str]] = {}
        for path, sentence in _faults(body, "", 0):
            faults.setdefault(path or "body", []).append(sentence)
        faults = faults or {"body": [f"It cannot be written as JSON: {error}."]}
        path, sentences = next(iter(faults.items()))
        raise ValidationError(f"{path}: {sentences[0]}", validation_errors=faults) from None


def _faults(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > MOST_LEVELS_SENT:
        yield path, f"It is nested beyond {MOST_LEVELS_SENT} levels."
    elif isinstance(value, dict):
        for key, child in value.items():
            child_path = f"{path}.{key}" if path else str(key)
            if not isinstance(key, str):
                yield child_path, "A name in an object is a text."
            yield from _faults(child, child_path, depth + 1)
    elif isinstance(value, (list, tuple)):
        for index, child in enumerate(value):
            yield from _faults(child, f"{path}[{index}]", depth + 1)
    elif sentence := _fault_of_scalar(value):
        yield path, sentence


def _fault_of_scalar(value: Any) -> str:
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
