"""The report of an inspection and of an adoption, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from integration_site.adoption.columns import not_taken
from integration_site.adoption.findings import RowFinding
from integration_site.adoption.inspection import Inspection, fate_of
from integration_site.adoption.record import AdoptionRecord

MOST_KEYS = 5
# The step that keeps which tables and columns are not taken.
LEFT_WHERE_IT_IS = "left-where-it-is"
# How a step counts the rows of a table: its step, and what its counters begin with.
_COUNTED = (
    ("registered_service", "services", "registered_service."),
    ("circuit_breaker_state", "services", "circuit_breaker_state."),
    ("credential", "credentials", ""),
    ("connection", "connections", ""),
    ("integration", "integrations", ""),
    ("model", "models", "model."),
    ("ai_model", "models", "ai_model."),
    ("provider_quota", "models", "provider_quota."),
    ("model_budget", "models", "model_budget."),
    ("request", "requests", ""),
    ("model_performance", "model_performance", ""),
    ("model_performance_history", "model_performance_history", ""),
    ("model_feedback", "model_feedback", ""),
    ("workflow_execution", "executions", ""),
    ("workflow_step", "executions", "steps_"),
)


def inspection_data(found: Inspection) -> dict[str, Any]:
    """Return an inspection as JSON."""
    moved = {table.name for table in found.to_move}
    return {
        "source": found.catalogue.label,
        "database": found.catalogue.dialect,
        "has_hub": found.catalogue.has_hub,
        "tables": [
            {
                "table": each.table.name, "schema": each.table.schema, "rows": each.table.rows,
                "is": each.kind.name, "becomes": fate_of(each),
                "moved_aside": each.table.name in moved,
                "columns": {column.name: column.type for column in each.table.columns},
            }
            for each in found.tables
        ],
        "in_the_way": [
            {"table": table.name, "schema": table.schema} for table in found.in_the_way
        ],
        **not_taken(found.tables),
    }  # fmt: skip


def inspection_text(found: Inspection) -> Iterator[str]:
    """Yield the lines of an inspection."""
    yield f"{found.catalogue.label} ({found.catalogue.dialect})"
    if not found.tables and not found.in_the_way:
        yield "  no table of the earlier system"
    moved = {table.name for table in found.to_move}
    for each in found.tables:
        aside = "; set aside" if each.table.name in moved else ""
        yield f"  {each.table.name:<28} {each.table.rows:>10,} rows  {fate_of(each)}{aside}"
    for table in found.in_the_way:
        yield f"  {table.name:<28} not of the earlier system, and where a table of the hub's goes"
        yield f"  {'':<28} set aside, and kept as it is"
    yield from _columns(not_taken(found.tables))


def table_counts(record: AdoptionRecord) -> list[dict[str, Any]]:
    """Return for each table how many rows were read, taken, mended and left."""
    steps = record.steps()
    counted = []
    for table, step, prefix in _COUNTED:
        counts = steps[step].counts if step in steps else {}
        if counts.get(f"{prefix}read"):
            numbers = {
                what: counts.get(f"{prefix}{what}", 0)
                for what in ("read", "taken", "mended", "left")
            }
            counted.append({"table": table, **numbers})
    return counted


def adoption_text(record: AdoptionRecord) -> Iterator[str]:
    """Yield the lines of a report: numbers by table, then what was mended and left, and why."""
    yield f"  {'table':<24} {'read':>10} {'taken':>10} {'mended':>10} {'left':>10}"
    for row in table_counts(record):
        numbers = " ".join(f"{row[what]:>10,}" for what in ("read", "taken", "mended", "left"))
        yield f"  {row['table']:<24} {numbers}"
    yield from _reasons(record.findings())
    step = record.step(LEFT_WHERE_IT_IS)
    if step is not None:
        for each in step.detail["tables_not_taken"]:
            yield f"  not taken  {each['table']} ({each['rows']:,} rows): {each['reason']}"
        yield from _columns(step.detail)


def _columns(left: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each reason why nothing is made of columns, with those."""
    by_reason: dict[str, list[str]] = {}
    for each in left["columns_not_taken"]:
        by_reason.setdefault(each["reason"], []).append(f"{each['table']}.{each['column']}")
    for reason, names in by_reason.items():
        yield f"  not taken  {', '.join(names)}: {reason}"


def _reasons(findings: Iterable[RowFinding]) -> Iterator[str]:
    """Yield a line for each reason with some of its keys; they come sorted by it."""

    def by(finding: RowFinding) -> tuple[str, ...]:
        return finding.table, finding.verdict, finding.column, finding.reason

    for (table, verdict, column, reason), same in groupby(findings, by):
        keys, count = [], 0
        for finding in same:
            count += 1
            if count <= MOST_KEYS:
                keys.append(finding.key)
        more = f" and {count - MOST_KEYS:,} more" if count > MOST_KEYS else ""
        place = f"{table}.{column}" if column else table
        yield f"  {verdict.lower()}  {place}: {reason} ({', '.join(keys)}{more})"


def adoption_json(record: AdoptionRecord) -> Iterator[str]:
    """Yield the pieces of a JSON document; there may be as many findings as rows."""
    step = record.step(LEFT_WHERE_IT_IS)
    left = dict(step.detail) if step else {}
    head = {"source": record.source, "tables": table_counts(record), **left}
    yield json.dumps(head)[:-1] + ', "findings": ['
    separator = ""
    for finding in record.findings():
        yield separator + json.dumps(
            {
                "table": finding.table, "key": finding.key, "column": finding.column,
                "verdict": finding.verdict, "reason": finding.reason,
            }
        )  # fmt: skip
        separator = ", "
    yield "]}"
