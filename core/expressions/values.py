"""JSON values as expressions see them: their types, equality, truth and size."""

from __future__ import annotations

from typing import Any

from jmespath.visitor import _Expression

from core.expressions.errors import ExpressionError
from core.json.equality import json_equal

MAX_RESULT_BYTES = 1 << 20
# Repeated over and over, as in a loop, a result may hold the one before; nothing that reads it may
# run out of stack.
MAX_RESULT_DEPTH = 100
# A longer list cannot be part of a result within MAX_RESULT_BYTES.
MAX_ELEMENTS = MAX_RESULT_BYTES // 2

_JSON_TYPES: dict[type, str] = {
    str: "string",
    bool: "boolean",
    int: "number",
    float: "number",
    list: "array",
    dict: "object",
    type(None): "null",
    _Expression: "expref",
}


def json_type(value: Any) -> str:
    return _JSON_TYPES.get(type(value)) or ("object" if isinstance(value, dict) else "unknown")


def equals(left: Any, right: Any) -> bool:
    """Compare as JSON: 1 is not true, and it costs no more than a bounded walk."""
    kind = json_type(left)
    if left is right or kind != json_type(right):
        return left is right
    if kind not in ("array", "object"):
        return bool(left == right)
    if len(left) != len(right):
        return False
    if json_size(left, MAX_RESULT_BYTES) > MAX_RESULT_BYTES:
        raise ExpressionError("A value of more than 1 MiB cannot be compared; select less.")
    return json_equal(left, right)


def is_false(value: Any) -> bool:
    return value is None or value is False or value in ("", [], {})


def json_size(value: Any, limit: int) -> int:
    """Return about how many bytes `value` has as JSON; stops counting once past `limit`.

    Counts shared parts as often as they are written, without recursion.
    """
    size = 0
    stack = [value]
    while stack and size <= limit:
        part = stack.pop()
        if isinstance(part, str):
            size += 2 + (len(part) if part.isascii() else _utf8_length(part))
        elif isinstance(part, dict):
            size += 2 + 4 * len(part) + sum(map(len, part))
            stack.extend(part.values())
        elif isinstance(part, list):
            size += 2 + len(part)
            if size <= limit:
                stack.extend(part)
        elif isinstance(part, int) and part.bit_length() > 64:
            size += part.bit_length() // 3
        else:
            size += 5
    return size


def _utf8_length(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def bounded(value: Any) -> Any:
    """Return `value` if it may be a result; raises ExpressionError when it is too large."""
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, str) and len(value) < MAX_RESULT_BYTES // 4:
        return value
    if json_size(value, MAX_RESULT_BYTES) > MAX_RESULT_BYTES:
        raise too_large()
    if is_too_deep(value, MAX_RESULT_DEPTH):
        raise ExpressionError(
            f"The result is nested more than {MAX_RESULT_DEPTH} levels deep; select less."
        )
    return value


def is_too_deep(value: Any, limit: int) -> bool:
    """Return whether lists and objects nest in more than `limit` levels; without recursion."""
    level = [value]
    for _ in range(limit + 1):
        level = [
            child
            for part in level
            if isinstance(part, (dict, list))
            for child in (part.values() if isinstance(part, dict) else part)
        ]
        if not level:
            return False
    return True


def too_large() -> ExpressionError:
    return ExpressionError("The result is larger than 1 MiB; select less.")
