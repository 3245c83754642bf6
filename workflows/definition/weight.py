"""How much it can take to decide what happens next in an execution (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from itertools import islice
from typing import Any

from core.expressions import Expression, Template
from workflows.definition.model import Step

# Naming a value takes some microseconds; a larger definition may name many in one go.
MOST_PLAIN = 200


def is_light(steps: Iterable[Step], output: Template | None) -> bool:
    """Return whether deciding takes next to nothing: expressions only name values, and are few."""
    found = list(islice(_expressions([*steps, output]), MOST_PLAIN + 1))
    return len(found) <= MOST_PLAIN and all(expression.is_plain for expression in found)


def _expressions(values: Iterable[Any]) -> Iterator[Expression]:
    for value in values:
        if isinstance(value, Expression):
            yield value
        elif isinstance(value, Template):
            yield from (expression for _, expression in value.expressions)
        elif isinstance(value, tuple):
            yield from _expressions(value)
        elif is_dataclass(value):
            yield from _expressions(getattr(value, field.name) for field in fields(value))
