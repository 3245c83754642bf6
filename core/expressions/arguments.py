"""What functions accept as arguments."""

from __future__ import annotations

from typing import Any

from core.expressions.errors import ExpressionError
from core.expressions.values import json_type
from core.suggestions import either

# Sorting compares strings in one uninterruptible call: bound what it may have to read.
MAX_COMPARED_CHARACTERS = 4 << 20


def check_argument(name: str, position: int, value: Any, types: list[str]) -> None:
    kind = json_type(value)
    allowed = {accepted.partition("-")[0] for accepted in types}
    if (kind not in allowed) if types else kind in ("expref", "unknown"):
        expected = either(sorted(allowed)) if types else "a value"
        raise ExpressionError(
            f"{name}() takes {expected} as argument {position + 1}, and was given {kind}."
        )
    elements = [accepted.partition("-")[2] for accepted in types if "-" in accepted]
    if elements and kind == "array":
        kinds = set(map(json_type, value))
        if len(kinds) > 1 or not kinds <= set(elements):
            raise ExpressionError(
                f"{name}() takes a list whose elements are all {either(elements)} as argument "
                f"{position + 1}; this one holds {', '.join(sorted(kinds))}."
            )


def check_compared(characters: int) -> None:
    if characters > MAX_COMPARED_CHARACTERS:
        raise ExpressionError("The texts to compare are longer than 4 MiB together; select less.")


def comparable(array: list[Any]) -> list[Any]:
    if array and isinstance(array[0], str):
        check_compared(sum(map(len, array)))
    return array
