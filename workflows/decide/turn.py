"""One turn of deciding: a row that is begun, gone on with or ended, and where that leads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from core.expressions import ExpressionError, Recorded
from workflows.decide.state import ExecutionState, Row, Transition
from workflows.definition import Step
from workflows.models import StepStatus


class Halt(Enum):
    """Why no other step is entered in this decision."""

    CALL = "the row's call is to be made"
    STOP = "the row waits, or the end is reached"


# What a step leads to: the id of the next one, None where there is none, or a halt.
Next = str | Halt | None


@dataclass(slots=True)
class Turn:
    """A row at hand, with its step and execution; deciding changes them and fills `transition`.

    `fraction` in [0, 1) is the draw for the jitter of a retry.
    """

    execution: ExecutionState
    step: Step
    row: Row
    transition: Transition
    now: datetime
    fraction: float = 0.0

    def recorded(self, suffix: str = "") -> Recorded:
        """Return what `now()` and `uuid()` give at this row; `suffix` names another expression."""
        return Recorded(self.now, f"{self.execution.id}:{self.row.path}{suffix}")

    def input_document(self) -> dict[str, Any]:
        """Return the running document, or what the step's `input` renders to."""
        if self.step.input is None:
            return self.execution.document
        document = self.step.input.render(self.execution.visible(), self.recorded())
        if not isinstance(document, dict):
            raise ExpressionError(f"The input of '{self.step.id}' is not an object.")
        return document

    def park(self, *, until: datetime | None) -> Next:
        """Let the row wait, holding nothing: until a time, or until something happens."""
        self.row.status, self.row.wake_at = StepStatus.WAITING, until
        self.row.started_at = self.row.started_at or self.now
        return Halt.STOP
