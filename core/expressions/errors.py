"""What is said of a bad expression."""

from __future__ import annotations

from core.exceptions import IntegrationError


class ExpressionError(IntegrationError):
    """An expression that cannot be read, or that failed on the values it was given."""

    code = "expression_error"
    status_code = 400
    permanent = True


def shorten(text: str) -> str:
    return f"'{text}'" if len(text) <= 80 else f"'{text[:77]}...'"
