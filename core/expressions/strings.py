"""Texts that functions build: joined, filled in, written as JSON."""

from __future__ import annotations

import json
import re
from typing import Any

from core.expressions.errors import ExpressionError
from core.expressions.values import MAX_RESULT_BYTES, bounded, too_large

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([A-Za-z0-9_]*)\}|[{}]")


def as_text(value: Any, *, sort_keys: bool = False) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(
        bounded(value), ensure_ascii=False, separators=(",", ":"), sort_keys=sort_keys
    )


def join(parts: list[str], separator: str = "") -> str:
    total = sum(map(len, parts)) + len(separator) * max(len(parts) - 1, 0)
    if total > MAX_RESULT_BYTES:
        raise too_large()
    return separator.join(parts)


def fill(pattern: str, arguments: tuple[Any, ...]) -> str:
    names = arguments[0] if len(arguments) == 1 and isinstance(arguments[0], dict) else None
    parts: list[str] = []
    position = end = size = 0
    for match in _PLACEHOLDER.finditer(pattern):
        parts.append(pattern[end : match.start()])
        end = match.end()
        name = match.group(1)
        if name is None:
            parts.append(_brace(match.group()))
        else:
            value = _pick(name or str(position), arguments, names)
            position += not name
            parts.append("" if value is None else as_text(value))
        size += len(parts[-1])
        if size > MAX_RESULT_BYTES:
            raise too_large()
    return join([*parts, pattern[end:]])


def _brace(text: str) -> str:
    if len(text) == 1:
        raise ExpressionError(f"format() met a single '{text}'; write '{text}{text}' for a brace.")
    return text[0]


def _pick(name: str, arguments: tuple[Any, ...], names: Any) -> Any:
    if not name.isdecimal():
        if names is None:
            raise ExpressionError(f"format() needs one object as argument 2 to fill '{{{name}}}'.")
        return names.get(name)
    if len(name) > 3 or int(name) >= len(arguments):
        raise ExpressionError(f"format() was given {len(arguments)} values; {{{name}}} has none.")
    return arguments[int(name)]
