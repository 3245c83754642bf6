"""Reads the reason and the wait that a refusing answer gives (pure)."""

from __future__ import annotations

import re
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

from core.json import strict

LONGEST_SENTENCE = 500
LONGEST_READ = 65536
LONGEST_WAIT = 24 * 3600.0


def describe_error_response(body: bytes, mask: Callable[[str], str] = str) -> str:
    """Return the sentence in a refusing answer, as `: sentence`, or a full stop when it has none.

    `mask` takes out what must not be repeated; it sees the sentence before that is cut.
    """
    text = _clean(mask(_sentence(document_of(body))))
    return f": {text}" if text else "."


def document_of(body: bytes) -> Any:
    """Return the document of a refusing answer, or its text where it is no JSON."""
    try:
        return strict.parse(body[:LONGEST_READ])
    except strict.JSONRefused:
        return body[:LONGEST_READ].decode("utf-8", "replace")


def _sentence(document: object) -> str:
    if isinstance(document, str):
        return "" if document.lstrip().startswith("<") else document
    if isinstance(document, dict):
        for key in ("detail", "message", "error", "title"):
            if document.get(key):
                return (
                    _sentence(document[key])
                    if not isinstance(document[key], list)
                    else str(document[key])
                )
    return ""


def _clean(text: str) -> str:
    printable = re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]+", " ", text).strip()
    return printable[:LONGEST_SENTENCE]


def retry_after_seconds(value: str | None, *, now: float) -> float | None:
    """Read a Retry-After header (RFC 9110, 10.2.3): seconds or a date; None when it is neither."""
    if not value:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_WAIT)
    try:
        return min(max(parsedate_to_datetime(text).timestamp() - now, 0.0), LONGEST_WAIT)
    except (TypeError, ValueError, OverflowError):
        return None
