"""JSON as the hub takes it, from callers and services: nothing that it could not store or echo."""

from __future__ import annotations

import json
import math
import re
from typing import Any

MAX_DEPTH = 32
# Possessive and with an optional end, so that no text makes it look at a byte twice.
_STRUCTURE = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_BAD_TEXT = re.compile("[\x00\ud800-\udfff]")


class JSONRefused(ValueError):
    """The text is not JSON, or is JSON that is not taken; the message says what and where."""


def parse(body: bytes | str, *, max_depth: int = MAX_DEPTH) -> Any:
    """Return the value of a JSON text, which is UTF-8 where it is bytes.

    Raises:
        JSONRefused: not UTF-8, not JSON, nested beyond `max_depth`, a key twice in one object, NaN
            or an infinite number, or text with NUL or half of a surrogate pair.
    """
    if isinstance(body, str):
        body = body.encode("utf-8", "surrogatepass")
    _check_depth(body, max_depth)
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique_keys,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_bounded,
        )
    except JSONRefused:
        raise
    except UnicodeDecodeError as error:
        raise JSONRefused(f"The text is not UTF-8 (byte {error.start}).") from None
    except json.JSONDecodeError as error:
        raise JSONRefused(f"{error.msg} at line {error.lineno}, column {error.colno}.") from None
    # Escapes are the only way in: raw NUL is no JSON, raw surrogates are no UTF-8.
    if b"\\u" in body:
        check_text(value)
    return value


def parse_number(text: str) -> float:
    """Return the number that a text writes as JSON does.

    Raises:
        JSONRefused: it is no number, as are `NaN`, `1_000` and `1e999`.
    """
    number = parse(text)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise JSONRefused("This is not a number.")
    return float(number)


def check_text(value: Any) -> None:
    """Refuse NUL and lone surrogates, which PostgreSQL cannot store.

    Raises:
        JSONRefused: a string or a key has one.
    """
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, dict):
            todo.extend(item)
            todo.extend(item.values())
        elif isinstance(item, list):
            todo.extend(item)
        elif isinstance(item, str) and _BAD_TEXT.search(item):
            raise JSONRefused("A string holds NUL or half of a surrogate pair.")


def _check_depth(body: bytes, max_depth: int) -> None:
    if body.count(b"[") + body.count(b"{") <= max_depth:
        return
    depth = 0
    for match in _STRUCTURE.finditer(body):
        mark = match.group()
        if mark in (b"[", b"{"):
            depth += 1
            if depth > max_depth:
                raise JSONRefused(f"Nested deeper than {max_depth} levels.")
        elif mark in (b"]", b"}"):
            depth -= 1


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise JSONRefused(f"The key '{twice[:100]}' occurs twice in one object.")
    return members


def _refuse_constant(word: str) -> Any:
    raise JSONRefused(f"{word} is not a JSON number.")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise JSONRefused(f"The number {text[:40]} is too large.")
    return number


def _bounded(text: str) -> int:
    if len(text) > 300:
        raise JSONRefused(f"The number {text[:40]}… has more than 300 digits.")
    return int(text)
