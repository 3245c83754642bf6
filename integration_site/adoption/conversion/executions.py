"""Makes an execution of the hub's, with steps and history, of one of the earlier system (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from core.identifiers import read_id
from integration_site.adoption.bulk_rows import NewRow
from integration_site.adoption.conversion.run_steps import (
    ERROR_CODE,
    EarlierStatus,
    RecordedStep,
    read_steps,
    settle,
    whole_run,
)
from integration_site.adoption.conversion.shapes_of_runs import (
    MOST_STEPS,
    WHOLE_RUN,
    RunShape,
)
from integration_site.adoption.conversion.values import Cells, dump
from workflows.models import WorkflowType

ACTOR = "earlier-system"
NOT_ENDED = "It had not ended when it was taken over from the earlier system."
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOW_62 = (1 << 62) - 1
_SPREAD = 0x9E3779B97F4A7C15  # so that rows of one execution differ in all bits


# So that what is derived of a shape is so once.
_known_shape = lru_cache(maxsize=1000)(RunShape)


@dataclass(frozen=True)
class ConvertedRun:
    """The rows of one execution, and the shape of its steps with their names."""

    execution: NewRow
    steps: list[NewRow]
    events: list[NewRow]
    shape: RunShape
    names: dict[str, str]


def ordered_id(moment: datetime, of: UUID, place: int) -> UUID:
    """Return a UUID of version 7 of a moment: the same for the same execution and place."""
    return UUID(_ordered_hex(moment, of.int, place))


def _ordered_hex(moment: datetime, of: int, place: int) -> str:
    milliseconds = max(int((moment - _EPOCH).total_seconds() * 1000), 0) & 0xFFFF_FFFF_FFFF
    high = milliseconds << 16 | 0x7000 | (place & 0xFFF)
    return f"{high:016x}{0b10 << 62 | ((of ^ place * _SPREAD) & _LOW_62):016x}"


def convert_run(
    cells: Cells, rows: Sequence[Cells], *, key: UUID, source: str, most_steps: int = MOST_STEPS
) -> ConvertedRun:
    """Return what becomes of an execution and its steps.

    Of more different steps than `most_steps` the graph shows one for all of them.
    """
    start = _start_of(cells)
    recorded, status = read_steps(rows, began=start), _status_of(cells)
    errors, output = cells.texts("errors"), cells.json_text("result")
    if status in (EarlierStatus.PENDING, EarlierStatus.RUNNING):
        cells.notes.mended("status", f"was {status}; taken as FAILED, as nobody goes on with it")
        status = EarlierStatus.FAILED.value
        errors = [*errors, NOT_ENDED]
    start = min([start, *(step.started_at for step in recorded)])
    end = _end_of(cells, start, recorded)
    stop = settle(recorded, status)
    if not recorded or (stop is None and status != EarlierStatus.COMPLETED):
        cells.notes.mended("steps", _why_whole(recorded))
        recorded.append(whole_run(status, _last_end(recorded, start), end, output, errors))
    type_ = cells.enum("workflow_type", WorkflowType, WorkflowType.CUSTOM)
    shape = _shape_of(type_, recorded, cells, most_steps)
    execution = {
        "id": key.hex,
        "workflow_id": shape.workflow_id.hex,
        "version_id": shape.version_id.hex,
        "workflow_name": shape.workflow_name,
        "type": type_,
        "status": status,
        "input": cells.object_text("data"),
        "context": dump(_context_of(cells, source)),
        "output": output,
        "errors": dump([_error(text) for text in errors]) if errors else "[]",
        "correlation_id": _own_id(cells),
        "started_by": ACTOR,
        "last_sequence": 2,
        "started_at": start,
        "completed_at": end,
        "created_at": start,
        "updated_at": end,
    }
    names = {step.id: step.name for step in recorded}
    return ConvertedRun(
        execution, _step_rows(recorded, key), _event_rows(status, start, end, key), shape, names
    )


def _start_of(cells: Cells) -> datetime:
    for column in ("start_time", "created_at", "end_time"):
        if moment := cells.time(column):
            if column != "start_time":
                cells.notes.mended("start_time", f"was no time; taken from {column}")
            return moment
    cells.notes.mended("start_time", "no time is known of it; taken as the beginning of 1970")
    return _EPOCH


def _end_of(cells: Cells, start: datetime, steps: Sequence[RecordedStep]) -> datetime:
    end = cells.time("end_time")
    seconds = cells.number("execution_time") if end is None else None
    if seconds is not None and 0 <= seconds < 10**9:
        end = start + timedelta(seconds=seconds)
    last = _last_end(steps, start)
    if end is None:
        cells.notes.mended("end_time", "was NULL; taken from its last step, or its start")
        return last
    if end < last:
        cells.notes.mended("end_time", "was before its start or a step; taken from its last step")
    return max(end, last)


def _last_end(steps: Sequence[RecordedStep], start: datetime) -> datetime:
    return max([start, *(step.completed_at for step in steps)])


def _status_of(cells: Cells) -> str:
    """Return its status; of one that is unknown, what its result says."""
    ended_well = cells.row.get("result") not in (None, "null") and not cells.texts("errors")
    default = EarlierStatus.COMPLETED if ended_well else EarlierStatus.FAILED
    return str(cells.enum("status", EarlierStatus, default))


def _why_whole(recorded: Sequence[RecordedStep]) -> str:
    if not recorded:
        return "it recorded none; one stands for the whole run"
    return "none of its steps says where it stopped; one was added for the whole run"


def _shape_of(
    type_: str, recorded: Sequence[RecordedStep], cells: Cells, most_steps: int
) -> RunShape:
    ids = tuple(dict.fromkeys(step.id for step in recorded))
    if len(ids) <= most_steps or ids == (WHOLE_RUN,):
        return _known_shape(type_, ids)
    cells.notes.mended("steps", f"{len(ids)} different steps; its graph shows one for all of them")
    for step in recorded:
        step.id = WHOLE_RUN
    for place, step in enumerate(recorded, 1):
        step.path = WHOLE_RUN if place == 1 else f"{WHOLE_RUN}#{place}"
    return RunShape(type_, (WHOLE_RUN,))


def _context_of(cells: Cells, source: str) -> dict[str, Any]:
    """Return what the hub has no column for."""
    kept = {
        "source": source,
        "workflow_id": cells.text("workflow_id"),
        "service_id": cells.text("service_id"),
        "options": cells.json("options"),
        "execution_time": cells.number("execution_time"),
    }
    return {"earlier": {name: value for name, value in kept.items() if value not in (None, "", {})}}


def _own_id(cells: Cells) -> str:
    """Return the identifier that it had, if its id does not say it, as old calls are answered."""
    text = cells.text("workflow_id")
    return "" if read_id(text) is not None else text[:100]


def _error(text: str) -> dict[str, Any]:
    code = "not_ended" if text is NOT_ENDED else ERROR_CODE
    return {"step": None, "code": code, "message": text[:1000], "permanent": True}


def _step_rows(steps: Sequence[RecordedStep], key: UUID) -> list[NewRow]:
    number, own = key.int, key.hex
    return [
        {
            "id": _ordered_hex(step.started_at, number, place),
            "execution_id": own,
            "step_id": step.id,
            "path": step.path,
            "name": step.name,
            "status": step.status,
            "output": step.output,
            "error": None if (error := step.error) is None else dump(error),
            "started_at": step.started_at,
            "completed_at": step.completed_at,
            "created_at": step.started_at,
            "updated_at": step.completed_at,
        }
        for place, step in enumerate(steps)
    ]


def _event_rows(status: str, start: datetime, end: datetime, key: UUID) -> list[NewRow]:
    number, own = key.int, key.hex
    return [
        {
            "id": _ordered_hex(moment, number, place),
            "execution_id": own,
            "sequence": place,
            "kind": kind,
            "actor": ACTOR,
            "created_at": moment,
            "updated_at": moment,
        }
        for place, (kind, moment) in enumerate((("STARTED", start), (status, end)), 1)
    ]
