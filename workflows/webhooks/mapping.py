"""Checks what a webhook's mapping reads when it is saved (pure)."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError

from registry.policies.integration_mapping import mapping_problems

MESSAGE_NAMES = ("input", "context")


def validate_mapping(value: Any) -> None:
    """Refuse what is no mapping of a message."""
    problems = mapping_problems(value, MESSAGE_NAMES)
    if problems:
        raise ValidationError([f"{p}: {s}" if p else s for p, s in problems.items()])


def validate_expression(value: str) -> None:
    """Refuse what is no expression over a message."""
    if not value.startswith("$."):
        raise ValidationError("Must be an expression that begins with $., such as $.input.id.")
    validate_mapping(value)


def validate_signal(value: str) -> None:
    """Refuse an expression that is none; any other text is a name."""
    if value.startswith("$."):
        validate_mapping(value)
