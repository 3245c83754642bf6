"""Holds objects of numeric settings to their ranges (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError

from core.suggestions import MOST_UNKNOWN, did_you_mean


@dataclass(frozen=True, slots=True)
class NumberRange:
    """The numbers that a setting may have, only whole ones if it says so."""

    least: float
    most: float
    whole: bool = False

    def problem_of(self, name: str, value: Any) -> str:
        """Return what is wrong with a value as a sentence; empty when nothing is."""
        is_number = isinstance(value, int if self.whole else int | float)
        if is_number and not isinstance(value, bool) and self.least <= value <= self.most:
            return ""
        word = "whole number" if self.whole else "number"
        return f"'{name}' must be a {word} from {self.least:g} to {self.most:g}."


def range_problems(
    settings: Any,
    ranges: Mapping[str, NumberRange],
    *,
    unknown: str = "There is no setting '{name}'{close} Use: {names}.",
    other_names: Mapping[str, str] | None = None,
) -> list[str]:
    """Return what is wrong with settings, a sentence for each, in their order.

    Raises:
        ValidationError: they are no JSON object.
    """
    if not isinstance(settings, dict):
        raise ValidationError(f"Must be a JSON object, not {type(settings).__name__}.")
    problems = []
    for name, value in settings.items():
        own_name = (other_names or {}).get(name, name)
        if own_name not in ranges:
            close, names = did_you_mean(name, ranges), ", ".join(ranges)
            problems.append(unknown.format(name=str(name)[:100], close=close, names=names))
        elif own_name != name and own_name in settings:
            problems.append(f"'{name}' is another name of '{own_name}': give one of them.")
        elif problem := ranges[own_name].problem_of(name, value):
            problems.append(problem)
        if len(problems) == MOST_UNKNOWN:
            break
    return problems


def refuse(problems: list[str]) -> None:
    """Raise a ValidationError if there is any problem."""
    if problems:
        raise ValidationError(problems)
