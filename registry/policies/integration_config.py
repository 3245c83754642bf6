"""Checks of an integration's `config` (pure)."""

from __future__ import annotations

from typing import Any

from registry.policies.number_ranges import NumberRange, range_problems, refuse

# Failures in a row after which an ACTIVE integration is shown as ERROR.
ERROR_AFTER = 5
_RANGES = {
    "timeout_seconds": NumberRange(0.1, 3600),
    "error_after": NumberRange(1, 1000, whole=True),
}


def validate_config(value: Any) -> None:
    """Refuse what the config of an integration does not know, or a number out of its range."""
    refuse(range_problems(value, _RANGES, unknown="There is no '{name}'{close} Known: {names}."))
