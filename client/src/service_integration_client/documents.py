"""JSON from elsewhere: parsed strictly, bounded in depth, and compared as JSON compares."""

from __future__ import annotations

import json
import math
from typing import Any, Callable

# Far above what a hub takes, far below what Python code may recurse.
DEEPEST = 200


def parse_json(text: bytes | str, *, unique_keys: bool = False) -> Any:
    """Return the value of a JSON text.

    Raises: ValueError with a sentence: it is not JSON, holds NaN or an infinite number, nests
    beyond `DEEPEST` levels, or, with `unique_keys`, has a key twice in one object.
    """
    try:
        value = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_unique if unique_keys else None,
        )
    except RecursionError:
        raise _too_deep() from None
    if _may_be_deep(text) and is_too_deep(value, DEEPEST):
        raise _too_deep()
    return value


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is not a JSON number.")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"The number {text[:40]} is too large.")
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"The key '{key[:100]}' occurs twice in one object.")
        found[key] = value
    return found


def _too_deep() -> ValueError:
    return ValueError(f"It is nested beyond {DEEPEST} levels.")


def _may_be_deep(text: bytes | str) -> bool:
    count: Callable[[Any], int] = text.count
    marks = (b"[", b"{") if isinstance(text, bytes) else ("[", "{")
    return sum(map(count, marks)) > DEEPEST


def is_too_deep(value: Any, limit: int) -> bool:
    """Return whether lists and objects nest in more than `limit` levels; without recursion."""
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
    todo = [(left, right)]
    while todo:
        one, other = todo.pop()
        if isinstance(one, dict):
            if not isinstance(other, dict) or one.keys() != other.keys():
                return False
            todo.extend((value, other[key]) for key, value in one.items())
        elif isinstance(one, list):
            if not isinstance(other, list) or len(one) != len(other):
                return False
            todo.extend(zip(one, other))
        elif isinstance(one, bool) or isinstance(other, bool):
            if one is not other:
                return False
        elif one != other:
            return False
    return True
