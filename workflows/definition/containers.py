"""Reads what PARALLEL and MAP say of themselves, without the steps inside of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core.expressions import Template
from workflows.definition.fields import FieldReader, is_expression, show
from workflows.definition.model import Step

MAX_CONCURRENCY = 1_000
MAX_TOLERATED = 1_000_000
JOINS = ("ALL", "ANY")


def complete_parallel(reader: FieldReader, step: Step, document: dict[str, Any], path: str) -> Step:
    """Add how many branches have to complete."""
    branches = document.get("branches")
    most = len(branches) if isinstance(branches, list) and branches else 1
    return replace(step, join=_join(reader, document.get("join"), f"{path}.join", most))


def _join(reader: FieldReader, value: Any, path: str, most: int) -> str | int:
    if value is None:
        return "ALL"
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most:
        return value
    if isinstance(value, str) and value.strip().upper() in JOINS:
        return value.strip().upper()
    reader.refuse(
        path,
        f"'join' must be ALL, ANY or a whole number from 1 to {most}, the number of branches, not "
        f"{show(value)}.",
    )
    return "ALL"


def complete_map(reader: FieldReader, step: Step, document: dict[str, Any], path: str) -> Step:
    """Add over what a MAP goes, how many at once, and how many may fail."""
    concurrency, tolerated = document.get("max_concurrency"), document.get("tolerate_failures")
    return replace(
        step,
        over=_over(reader, document, path),
        max_concurrency=None
        if concurrency is None
        else reader.whole_number(
            concurrency, f"{path}.max_concurrency", least=1, most=MAX_CONCURRENCY
        ),
        tolerate_failures=0
        if tolerated is None
        else reader.whole_number(
            tolerated, f"{path}.tolerate_failures", least=0, most=MAX_TOLERATED
        )
        or 0,
    )


def _over(reader: FieldReader, document: dict[str, Any], path: str) -> Template | None:
    value = document.get("over")
    if value is None:
        return None
    if isinstance(value, list) or is_expression(value):
        return reader.template(document, "over", path)
    reader.refuse(
        f"{path}.over",
        f"'over' must be a list, or an expression that gives one such as $.input.items, not "
        f"{show(value)}.",
    )
    return None
