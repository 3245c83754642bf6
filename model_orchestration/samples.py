"""Counts how well models do tasks: adds samples to sums, in the database alone."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from model_orchestration.models import PerformancePeriod

# What somebody says of an answer weighs as much as two answers.
FEEDBACK_WEIGHT = 2
LONGEST_TASK_TYPE = 50
# How sure the end of an answer makes one that it is complete.
_CONFIDENCES = {"stop": 0.9, "tool_calls": 0.9, "function_call": 0.9, "length": 0.7}
_OTHER_CONFIDENCE = 0.5
_COUNTERS = (
    "sample_count", "success_count", "quality_count", "quality_sum", "confidence_count",
    "confidence_sum",
)  # fmt: skip
_TOTAL_KEY = ("model_id", "task_type")
_HISTORY_KEY = ("model_id", "task_type", "period_type", "period_start")


@dataclass(frozen=True, slots=True)
class Sample:
    """An answer of a model to a task, or what somebody said of one."""

    model: str
    task_type: str
    at: datetime
    success: bool
    weight: int = 1
    quality: float | None = None
    confidence: float | None = None

    @property
    def amounts(self) -> tuple[float, ...]:
        """What it adds to each counter."""
        rated, ended = self.quality is not None, self.confidence is not None
        return (
            self.weight,
            self.weight * self.success,
            self.weight * rated,
            self.weight * (self.quality or 0.0),
            self.weight * ended,
            self.weight * (self.confidence or 0.0),
        )


def task_type_of(text: str) -> str:
    """Return a task as it is counted: its name in lower case."""
    return text.strip().lower()[:LONGEST_TASK_TYPE]


def confidence_of(finish_reason: str) -> float:
    """Return how sure the end of an answer makes one that it is complete."""
    return _CONFIDENCES.get(finish_reason, _OTHER_CONFIDENCE)


def period_of(period: str, at: datetime) -> tuple[datetime, datetime]:
    """Return when the day, week or month of a time begins and ends, in UTC; weeks on Monday."""
    day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if period == PerformancePeriod.DAY:
        return day, day + timedelta(days=1)
    if period == PerformancePeriod.WEEK:
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=7)
    first = day.replace(day=1)
    return first, (first + timedelta(days=32)).replace(day=1)


def add_samples(samples: Sequence[Sample]) -> None:
    """Add samples to the sums of their model and task, and of the day, week and month.

    The rows are changed in one order by everybody, so that no two wait for each other.
    """
    if not samples:
        return
    _add("model_performance", _TOTAL_KEY, ((_total(each), each) for each in samples))
    periods = ((_within(each, p), each) for each in samples for p in PerformancePeriod.values)
    _add("model_performance_history", _HISTORY_KEY, periods)


def _total(sample: Sample) -> tuple[Any, ...]:
    return (sample.model, sample.task_type)


def _within(sample: Sample, period: str) -> tuple[Any, ...]:
    return (sample.model, sample.task_type, period, period_of(period, sample.at)[0])


def _add(table: str, key: Sequence[str], keyed: Iterable[tuple[tuple[Any, ...], Sample]]) -> None:
    sums: dict[tuple[Any, ...], list[float]] = {}
    for place, sample in keyed:
        total = sums.setdefault(place, [0.0] * len(_COUNTERS))
        sums[place] = [a + b for a, b in zip(total, sample.amounts, strict=True)]
    has_period = "period_start" in key
    columns = ["id", "created_at", "updated_at", *key, *(["period_end"] if has_period else [])]
    now = _time(timezone.now())
    values: list[Any] = []
    for place in sorted(sums):
        row = [_raw(uuid.uuid4()), now, now, *place]
        if has_period:
            row[-1] = _time(place[-1])
            row.append(_time(period_of(place[-2], place[-1])[1]))
        values += [*row, *sums[place]]
    names = ", ".join([*columns, *_COUNTERS])
    adds = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in _COUNTERS)
    one = f"({', '.join(['%s'] * (len(columns) + len(_COUNTERS)))})"
    sql = f"""
        INSERT INTO {table} ({names}) VALUES {", ".join([one] * len(sums))}
        ON CONFLICT ({", ".join(key)})
        DO UPDATE SET {adds}, updated_at = excluded.updated_at
        """  # noqa: S608 (names of this module)
    with connection.cursor() as cursor:
        cursor.execute(sql, values)


def _raw(key: uuid.UUID) -> Any:
    return key if connection.vendor == "postgresql" else key.hex


def _time(at: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(at)
