"""Equality of JSON values (RFC 8259), which Python's is not: true is no 1, and 1 and 1.0 are equal.

Comparing does not recurse, so values may be nested as deeply as they like.
"""

from __future__ import annotations

import json
from typing import Any


def json_equal(left: Any, right: Any) -> bool:
    """Return whether two JSON values are equal; objects regardless of the order of their keys."""
    todo = [(left, right)]
    while todo:
        one, other = todo.pop()
        if isinstance(one, dict):
            if not isinstance(other, dict) or one.keys() != other.keys():
                return False
            todo.extend((value, other[key]) for key, value in one.items())
        elif isinstance(one, (list, tuple)):
            if not isinstance(other, (list, tuple)) or len(one) != len(other):
                return False
            todo.extend(zip(one, other, strict=True))
        elif isinstance(one, bool) or isinstance(other, bool):
            if one is not other:
                return False
        elif one != other:
            return False
    return True


def canonical_json(value: Any) -> str:
    """Return a text that two JSON values share exactly when they are equal: for digests, as a key.

    What JSON does not know, such as a time or a UUID, is written as its text.
    """
    return json.dumps(with_one_form_of_numbers(value), sort_keys=True, default=str)


def with_one_form_of_numbers(value: Any) -> Any:
    """Return a copy in which numbers that are equal are written alike: 1.0 as 1."""
    root = [value]
    todo: list[tuple[Any, Any]] = [(root, 0)]
    while todo:
        holder, key = todo.pop()
        part = holder[key]
        if isinstance(part, float) and part.is_integer():
            holder[key] = int(part)
        elif isinstance(part, dict):
            holder[key] = copy = dict(part)
            todo.extend((copy, inner) for inner in copy)
        elif isinstance(part, (list, tuple)):
            holder[key] = items = list(part)
            todo.extend((items, inner) for inner in range(len(items)))
    return root[0]
