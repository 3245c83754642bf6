"""Turns Django's validation errors into the project's own."""

from __future__ import annotations

from django.core.exceptions import ValidationError

from core.exceptions import ValidationFailed


def as_validation_failed(error: ValidationError, *, prefix: str = "") -> ValidationFailed:
    """Turn Django's error into ours, with every path prefixed."""
    errors = {f"{prefix}{name}": messages for name, messages in error.message_dict.items()}
    count = sum(len(messages) for messages in errors.values())
    first = next(iter(errors.items()))
    sentence = f"{first[0]}: {first[1][0]}"
    return ValidationFailed(
        sentence if count == 1 else f"{sentence} ({count} errors in all.)", errors=errors
    )
