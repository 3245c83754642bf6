"""What is said of a bad expression."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from registry.exceptions import IntegrationError


class ExpressionError(IntegrationError):
    """An expression that cannot be read, or that failed on the values it was given."""

    code = "expression_error"
    status_code = 400
    permanent = True


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """End a sentence: with close matches, or with a full stop."""
    matches = get_close_matches(str(name)[:100], [*known], n=3, cutoff=0.6)
    return f"; did you mean {either(matches)}?" if matches else "."


def either(names: Iterable[str]) -> str:
    return " or ".join(names)


def shorten(text: str) -> str:
    return f"'{text}'" if len(text) <= 80 else f"'{text[:77]}...'"
