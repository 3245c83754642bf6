"""Takes executions with their steps: in batches, each with its place in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from uuid import UUID

from django.db import transaction

from core.failpoints import failpoint
from core.identifiers import id_of_text
from integration_site.adoption.ahead import one_ahead
from integration_site.adoption.bulk_rows import existing_ids, insert_bulk
from integration_site.adoption.conversion.executions import ConvertedRun, convert_run
from integration_site.adoption.conversion.values import Cells, Row, id_for, key_text
from integration_site.adoption.findings import Notes
from integration_site.adoption.plan import Adoption, StepCounter
from integration_site.adoption.progress import StepProgress
from integration_site.adoption.record import BEGUN, DONE
from integration_site.adoption.steps.run_versions import RunVersions
from workflows.models import WorkflowEvent, WorkflowExecution, WorkflowStep

NAME = "executions"
BATCH = 2000

# The key, the execution if there is one, and the steps that name it.
Run = tuple[str, list[Row], list[Row]]


@dataclass(frozen=True)
class ReadRun:
    """An execution with what is made of it; None and its steps alone where there is none."""

    steps: list[Cells]
    cells: Cells | None = None
    own: UUID | None = None
    run: ConvertedRun | None = None
    is_repeated: bool = False


@dataclass(frozen=True)
class ReadBatch:
    """So many keys with their executions, and the last of the keys."""

    runs: list[ReadRun]
    last_key: str


def take_executions(adoption: Adoption) -> None:
    """Take all executions that were not taken yet.

    While the database stores a batch, the next one is read and converted, which needs nothing of
    the hub's.
    """
    counter = StepCounter.resume(adoption.record, NAME)
    total = adoption.total("workflow_execution")
    already = counter.counts.get("read", 0)
    progress = StepProgress(NAME, total, adoption.say, done=already)
    versions = RunVersions()
    for batch in one_ahead(_batches(adoption, after=counter.step.last_key)):
        with transaction.atomic():
            _take_batch(adoption, batch.runs, versions, counter)
            failpoint("M4", NAME)
            counter.store(adoption.record, state=BEGUN, last_key=batch.last_key)
        failpoint("M5", NAME)
        progress.advance(sum(each.cells is not None for each in batch.runs))
    counter.store(adoption.record, state=DONE)
    progress.finish()


def _batches(adoption: Adoption, *, after: str | None) -> Iterator[ReadBatch]:
    runs = _runs(adoption, after=after)
    while batch := list(islice(runs, BATCH)):
        read = [each for run in batch for each in _read(adoption, *run)]
        yield ReadBatch(read, batch[-1][0])


def _read(
    adoption: Adoption, key: str, executions: list[Row], steps: list[Row]
) -> Iterator[ReadRun]:
    """Yield the executions with one key; the first of them has the steps."""
    parts = [
        Cells(row, Notes("workflow_step", row.get("id") or key), adoption.zone) for row in steps
    ]
    if not executions:
        yield ReadRun(parts)
    ids = _ids_of(key, executions)
    for row, own in zip(executions, ids, strict=True):
        cells = Cells(row, Notes("workflow_execution", key), adoption.zone)
        run = convert_run(cells, parts, key=own, source=adoption.record.source)
        yield ReadRun(parts, cells, own, run, is_repeated=own != ids[0])
        parts = []


def _runs(adoption: Adoption, *, after: str | None) -> Iterator[Run]:
    """Yield executions with their steps: both tables are read in the order of the same key."""
    executions = _sorted_rows(adoption, "workflow_execution", ("workflow_id", "id"), after)
    steps = _sorted_rows(adoption, "workflow_step", ("workflow_id", "start_time", "id"), after)
    return merge(executions, steps)


def _sorted_rows(
    adoption: Adoption, kind: str, order: tuple[str, ...], after: str | None
) -> Iterator[tuple[str, Row]]:
    """Yield key and row, of the tables of a kind in the order of their keys."""
    streams = [
        ((key_text(row, order[0]), row) for row in
         adoption.source.rows(each.table, order=order, after=after))
        for each in adoption.of(kind)
    ]  # fmt: skip
    return merge_sorted(streams)


def merge_sorted(streams: Sequence[Iterator[tuple[str, Row]]]) -> Iterator[tuple[str, Row]]:
    """Yield what several sorted streams yield, sorted; the first of equals comes first."""
    heads = [(stream, next(stream, None)) for stream in streams]
    while waiting := [(head[0], place) for place, (_, head) in enumerate(heads) if head]:
        place = min(waiting)[1]
        stream, head = heads[place]
        assert head is not None
        yield head
        heads[place] = (stream, next(stream, None))


def merge(executions: Iterator[tuple[str, Row]], steps: Iterator[tuple[str, Row]]) -> Iterator[Run]:
    """Yield each key with the executions and the steps that have it."""
    execution, step = next(executions, None), next(steps, None)
    while execution or step:
        key = min(head[0] for head in (execution, step) if head)
        run: Run = (key, [], [])
        while execution and execution[0] == key:
            run[1].append(execution[1])
            execution = next(executions, None)
        while step and step[0] == key:
            run[2].append(step[1])
            step = next(steps, None)
        yield run


def _take_batch(
    adoption: Adoption, batch: Sequence[ReadRun], versions: RunVersions, counter: StepCounter
) -> None:
    present = existing_ids(WorkflowExecution, [each.own for each in batch if each.own])
    runs: list[ConvertedRun] = []
    for each in batch:
        counter.add("steps_read", len(each.steps))
        if each.cells is None or each.run is None or each.own is None:
            _leave(each.steps, "there is no execution with its workflow_id", counter)
            continue
        counter.add("read")
        if each.own in present:
            _forget_notes(each)
            each.cells.notes.left("the hub has an execution with this id already")
            counter.add("left")
            _leave(each.steps, "its execution was left", counter)
        else:
            present.add(each.own)
            runs.append(_fitted(adoption, each, versions))
            _count(each.cells, each.steps, each.is_repeated, counter)
        counter.findings += each.cells.notes
    versions.store()
    insert_bulk(WorkflowExecution, [run.execution for run in runs])
    insert_bulk(WorkflowStep, [row for run in runs for row in run.steps])
    insert_bulk(WorkflowEvent, [row for run in runs for row in run.events])


def _ids_of(key: str, executions: list[Row]) -> list[UUID]:
    """Return the ids of the executions with one key: that of the key, and others of it."""
    others = [
        id_for(f"{key}/{place}/{row.get('id')}", of="workflow_execution")
        for place, row in enumerate(executions[1:], 1)
    ]
    return [id_of_text(key), *others][: len(executions)]


def _fitted(adoption: Adoption, each: ReadRun, versions: RunVersions) -> ConvertedRun:
    """Return what is made of an execution, with the shape of all where there are too many."""
    assert each.cells is not None
    assert each.run is not None
    assert each.own is not None
    run = each.run
    if not versions.has_room_for(run.shape):  # so many shapes are no shapes
        _forget_notes(each)
        run = convert_run(
            each.cells, each.steps, key=each.own, source=adoption.record.source, most_steps=0
        )
    versions.add(run.shape, run.names)
    return run


def _forget_notes(each: ReadRun) -> None:
    for cells in (each.cells, *each.steps):
        if cells is not None:
            cells.notes.findings.clear()


def _count(cells: Cells, parts: list[Cells], is_repeated: bool, counter: StepCounter) -> None:
    if is_repeated:
        cells.notes.mended("workflow_id", "another row has it; taken under an id of its own")
    counter.add("taken")
    counter.add("steps_taken", len(parts))
    counter.add("mended", bool(cells.notes.findings))
    counter.add("steps_mended", sum(bool(each.notes.findings) for each in parts))
    for each in parts:
        counter.findings += each.notes


def _leave(parts: list[Cells], why: str, counter: StepCounter) -> None:
    for each in parts:
        each.notes.left(why)
        counter.findings += each.notes
    counter.add("steps_left", len(parts))
