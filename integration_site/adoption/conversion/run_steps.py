"""Makes steps of the hub's of those that an execution of the earlier system recorded (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from core.db.vocabulary import Vocabulary
from integration_site.adoption.conversion.shapes_of_runs import WHOLE_RUN, step_ids_of
from integration_site.adoption.conversion.values import Cells


class EarlierStatus(Vocabulary):
    """The statuses that executions and steps had."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @classmethod
    def aliases(cls) -> dict[str, str]:
        return {"CANCELED": "CANCELLED"}


ERROR_CODE = "earlier_error"
# An error with it is one after which the execution went on: a retry does not begin there.
_PASSED = {"handled": "EARLIER"}


@dataclass
class RecordedStep:
    """One step as it was recorded; `status` is the hub's once the whole execution is known."""

    id: str
    path: str
    name: str
    status: str
    started_at: datetime
    completed_at: datetime
    output: str | None = None
    errors: list[str] = field(default_factory=list)
    is_passed: bool = False

    @property
    def error(self) -> dict[str, Any] | None:
        if self.status != "FAILED":
            return None
        message = self.errors[0] if self.errors else "It failed in the earlier system."
        passed = _PASSED if self.is_passed else {}
        return {
            "code": ERROR_CODE, "message": message[:1000], "permanent": True, **passed,
            **({"errors": self.errors} if len(self.errors) > 1 else {}),
        }  # fmt: skip


def read_steps(rows: Sequence[Cells], *, began: datetime) -> list[RecordedStep]:
    """Return the steps of one execution in the order in which they began."""
    timed = sorted(((c.time("start_time") or began, c) for c in rows), key=lambda pair: pair[0])
    names = [(c.text("step_id"), c.text("name", most=200)) for _, c in timed]
    steps: list[RecordedStep] = []
    seen: dict[str, int] = {}
    for (start, cells), (_, name), step_id in zip(timed, names, step_ids_of(names), strict=True):
        seen[step_id] = visit = seen.get(step_id, 0) + 1
        if visit > 1:
            cells.notes.mended("step_id", f"recorded {visit} times; kept as '{step_id}#{visit}'")
        if cells.row.get("start_time") is None:
            cells.notes.mended("start_time", "was NULL; taken as the start of its execution")
        path = step_id if visit == 1 else f"{step_id}#{visit}"
        steps.append(
            RecordedStep(
                step_id, path, name, cells.enum("status", EarlierStatus, EarlierStatus.FAILED),
                start, _end_of(cells, start), cells.json_text("result"), cells.texts("errors"),
            )
        )  # fmt: skip
        _note_open(cells, steps[-1])
    return steps


def _note_open(cells: Cells, step: RecordedStep) -> None:
    if step.status in (EarlierStatus.PENDING, EarlierStatus.RUNNING):
        cells.notes.mended("status", f"was {step.status}, which nobody goes on with any more")


def _end_of(cells: Cells, start: datetime) -> datetime:
    """Return when it ended, as well as that is known."""
    end = cells.time("end_time")
    if end is None:
        seconds = cells.number("execution_time")
        usable = seconds is not None and 0 <= seconds < 10**9
        end = start + timedelta(seconds=seconds) if usable and seconds is not None else start
    if end < start:
        cells.notes.mended("end_time", "was before its start; taken as its start")
        return start
    return end


def settle(steps: list[RecordedStep], status: str) -> RecordedStep | None:
    """Give each step its final status, by that of the execution; return where it stopped.

    An execution that did not complete stops at exactly one step, from which a retry goes on.
    """
    stop = None
    if status != EarlierStatus.COMPLETED:
        unended = [step for step in steps if step.status != EarlierStatus.COMPLETED]
        failed = [step for step in unended if step.status == status]
        running = [step for step in unended if step.status == EarlierStatus.RUNNING]
        stop = next(iter([*failed[-1:], *running, *unended]), None)
    for step in steps:
        if step is stop:
            step.status = status
        elif step.status == EarlierStatus.FAILED:
            step.is_passed = True
        elif step.status != EarlierStatus.COMPLETED:
            step.status = "SKIPPED"
    return stop


def whole_run(
    status: str, start: datetime, end: datetime, output: str | None, errors: list[str]
) -> RecordedStep:
    """Return a step that stands for all that an execution did."""
    kept = None if status != EarlierStatus.COMPLETED else output
    return RecordedStep(WHOLE_RUN, WHOLE_RUN, "The whole run", status, start, end, kept, errors)
