"""Patterns of names, in which `*` stands for any characters (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

MOST_PATTERNS = 50
_PATTERN = re.compile(r"[A-Za-z0-9 ._*-]{1,100}")
SHAPE = "letters, digits, blanks, dots, dashes and underscores, and * for any of them"


def is_pattern(text: str) -> bool:
    """Return whether it is a pattern of names."""
    return _PATTERN.fullmatch(text) is not None


def matches(pattern: str, text: str) -> bool:
    """Return whether a text is of a pattern, in any case; in time that grows with both at most.

    A pattern whose text is of another is never wider than that.
    """
    first, *rest = pattern.lower().split("*")
    text = text.lower()
    if not rest:
        return text == first
    *middle, last = rest
    if not text.startswith(first):
        return False
    at = len(first)
    for part in middle:
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return len(text) - len(last) >= at and text.endswith(last)


def matches_any(patterns: Iterable[str], text: str) -> bool:
    """Return whether a text is of one of these patterns."""
    return any(matches(pattern, text) for pattern in patterns)


def beyond(patterns: Sequence[str], limits: Sequence[str]) -> list[str]:
    """Return which of the patterns take in what none of the `limits` does."""
    return [pattern for pattern in patterns if not matches_any(limits, pattern)]
