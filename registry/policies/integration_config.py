"""Checks of an integration's `config` (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError

from core.suggestions import did_you_mean

# Failures in a row after which an ACTIVE integration is shown as ERROR.
ERROR_AFTER = 5
_NUMBERS: Mapping[str, tuple[float, float, bool]] = {
    "timeout_seconds": (0.1, 3600, False),
    "error_after": (1, 1000, True),
}


def validate_config(value: Any) -> None:
    """Refuse what the config of an integration does not know, or a number out of its range."""
    if not isinstance(value, dict):
        raise ValidationError(f"Must be a JSON object, not {type(value).__name__}.")
    problems = [
        sentence for name, given in value.items() if (sentence := _problem(str(name), given))
    ]
    if problems:
        raise ValidationError(problems)


def _problem(name: str, value: Any) -> str:
    if name not in _NUMBERS:
        close = did_you_mean(name, _NUMBERS)
        return f"There is no '{name[:100]}'{close} Known: {', '.join(_NUMBERS)}."
    least, most, whole = _NUMBERS[name]
    is_number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if is_number and least <= value <= most:
        return ""
    kind = "whole number" if whole else "number"
    return f"'{name}' must be a {kind} from {least:g} to {most:g}."
