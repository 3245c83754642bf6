"""Turns Django's validation errors into the project's own."""

from __future__ import annotations

from collections.abc import Collection

from django.core.exceptions import ValidationError
from django.db import models

from core.exceptions import ValidationFailed


def check_columns(row: models.Model, *, exclude: Collection[str] = ()) -> None:
    """Hold the columns of a row, but for some, against their own rules.

    Raises:
        ValidationFailed: with the sentences by column.
    """
    try:
        row.clean_fields(exclude=exclude)
    except ValidationError as error:
        raise as_validation_failed(error) from None


def as_validation_failed(error: ValidationError, *, prefix: str = "") -> ValidationFailed:
    """Turn Django's error into ours, with every path prefixed."""
    errors = {f"{prefix}{name}": messages for name, messages in error.message_dict.items()}
    count = sum(len(messages) for messages in errors.values())
    first = next(iter(errors.items()))
    sentence = f"{first[0]}: {first[1][0]}"
    return ValidationFailed(
        sentence if count == 1 else f"{sentence} ({count} errors in all.)", errors=errors
    )
