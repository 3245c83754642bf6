"""Takes how well models did, and what was said of their answers: in batches, by key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.db import transaction

from core.failpoints import failpoint
from integration_site.adoption.bulk_rows import NewRow, existing_ids, insert_bulk
from integration_site.adoption.conversion.performance import (
    convert_feedback,
    convert_history,
    convert_performance,
)
from integration_site.adoption.conversion.values import Cells, key_text
from integration_site.adoption.findings import Notes
from integration_site.adoption.plan import Adoption, StepCounter
from integration_site.adoption.record import BEGUN, DONE
from model_orchestration.models import ModelFeedback, ModelPerformance, ModelPerformanceHistory

BATCH = 2000


@dataclass(frozen=True)
class _TakenTable:
    """A table, the model that its rows become, and the columns of which no two rows agree."""

    kind: str
    model: Any
    convert: Callable[[Cells], NewRow | None]
    key: tuple[str, ...] = ()


TABLES = (
    _TakenTable(
        "model_performance", ModelPerformance, convert_performance, ("model_id", "task_type")
    ),
    _TakenTable(
        "model_performance_history",
        ModelPerformanceHistory,
        convert_history,
        ("model_id", "task_type", "period_start", "period_type"),
    ),
    _TakenTable("model_feedback", ModelFeedback, convert_feedback),
)


def take_performance(adoption: Adoption) -> None:
    """Take the three tables, each in a step of its own."""
    for taken in TABLES:
        _take(adoption, taken)


def _take(adoption: Adoption, taken: _TakenTable) -> None:
    counter = StepCounter.resume(adoption.record, taken.kind)
    if counter.step.is_done:
        return
    rows = _rows(adoption, taken.kind, after=counter.step.last_key)
    while batch := list(islice(rows, BATCH)):
        with transaction.atomic():
            _take_batch(adoption, taken, batch, counter)
            failpoint("M4", taken.kind)
            counter.store(adoption.record, state=BEGUN, last_key=key_text(batch[-1].row, "id"))
    counter.store(adoption.record, state=DONE)
    if counter.counts.get("read"):
        adoption.say(f"{taken.kind:<14} {counter.counts['read']:,} rows")


def _rows(adoption: Adoption, kind: str, *, after: str | None) -> Iterator[Cells]:
    for each in adoption.of(kind):
        for row in adoption.source.rows(each.table, order=("id",), after=after):
            yield Cells(row, Notes(kind, key_text(row, "id")), adoption.zone)


def _take_batch(
    adoption: Adoption, taken: _TakenTable, batch: list[Cells], counter: StepCounter
) -> None:
    new: list[NewRow] = []
    pairs = [(cells, taken.convert(cells)) for cells in batch]
    present = existing_ids(taken.model, [row["id"] for _, row in pairs if row is not None])
    held = set(taken.model.objects.values_list(*taken.key)) if taken.key else set()
    for cells, row in pairs:
        counter.add("read")
        key = tuple(row[name] for name in taken.key) if row is not None else ()
        if row is not None and (row["id"] in present or (taken.key and key in held)):
            cells.notes.left("the hub has a row of this key already")
            row = None
        if row is None:
            counter.add("left")
        else:
            present.add(row["id"])
            held.add(key)
            new.append(row)
            counter.add("taken")
            counter.add("mended", bool(cells.notes.findings))
        counter.findings += cells.notes
    insert_bulk(taken.model, new)
    adoption.record.add_rows(taken.kind, [row["id"] for row in new])
