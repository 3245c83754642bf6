"""Where in a JSON text each value stands, by the paths that errors name (pure)."""

from __future__ import annotations

import re
from bisect import bisect_right
from json.decoder import scanstring  # type: ignore[attr-defined]

_BLANK = re.compile(r"[ \t\r\n]*")
_LINE = re.compile("\n")
_PLAIN = re.compile(r"[^\s,\]}]+")


def positions_in(text: str) -> dict[str, tuple[int, int]]:
    """Return the line and column, from 1 on, of each value of a JSON text.

    A path is written as in errors: `steps[2].input.name`; a member stands where its key does. The
    text has been parsed before: it is JSON, and nested no deeper than that allows.
    """
    found: dict[str, int] = {}
    _read(text, _skip(text, 0), "", found)
    # Where each line begins, found once: counting anew for each value takes the square of them.
    begins = [0, *(match.end() for match in _LINE.finditer(text))]
    return {path: _line_and_column(begins, position) for path, position in found.items()}


def position_of(path: str, positions: dict[str, tuple[int, int]]) -> tuple[int, int] | None:
    """Return the position of a path, or of what encloses it, as what is missing has none."""
    while path and path not in positions:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return positions.get(path)


def _read(text: str, position: int, path: str, found: dict[str, int]) -> int:
    """Note where the value at a position and all that is inside stand; where it ends."""
    found.setdefault(path, position)
    if text[position] == "{":
        return _read_members(text, position, path, found)
    if text[position] == "[":
        return _read_items(text, position, path, found)
    if text[position] == '"':
        return int(scanstring(text, position + 1)[1])
    plain = _PLAIN.match(text, position)
    return plain.end() if plain else position + 1


def _read_members(text: str, position: int, path: str, found: dict[str, int]) -> int:
    position = _skip(text, position + 1)
    while text[position] != "}":
        key, end = scanstring(text, position + 1)
        inner = f"{path}.{key}" if path else key
        found[inner] = position
        colon = _skip(text, end)
        position = _next(text, _read(text, _skip(text, colon + 1), inner, found))
    return position + 1


def _read_items(text: str, position: int, path: str, found: dict[str, int]) -> int:
    position, index = _skip(text, position + 1), 0
    while text[position] != "]":
        position = _next(text, _read(text, position, f"{path}[{index}]", found))
        index += 1
    return position + 1


def _next(text: str, position: int) -> int:
    position = _skip(text, position)
    return _skip(text, position + 1) if text[position] == "," else position


def _skip(text: str, position: int) -> int:
    blank = _BLANK.match(text, position)
    return blank.end() if blank else position


def _line_and_column(begins: list[int], position: int) -> tuple[int, int]:
    line = bisect_right(begins, position)
    return line, position - begins[line - 1] + 1
