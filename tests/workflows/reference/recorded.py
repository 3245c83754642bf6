"""What is to be recorded of an execution, and what one place in it can see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from core.expressions import StepOutcomes
from tests.workflows.reference.cases import Document


@dataclass
class Record:
    """What is recorded of one attempt. `loose`: it may also be missing, or cancelled."""

    step: str
    path: str
    attempt: int
    status: str
    code: str | None = None
    handled: str | None = None
    output: Any = None
    called_with: Document | None = None
    loose: bool = False


@dataclass
class Outcome:
    """What an execution comes to."""

    status: str
    output: Any = None
    errors: list[tuple[str | None, str | None, str]] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    children: dict[str, Outcome] = field(default_factory=dict)
    input: Any = None
    loose: bool = False


@dataclass(frozen=True)
class End:
    """How a list of steps ended. `status` is COMPLETED, FAILED or HANGS."""

    status: str
    output: Any = None
    last: str = ""
    error: tuple[str, str, str] | None = None


@dataclass
class View:
    """What can be seen from one place: the running document, earlier steps, the element."""

    document: Document
    steps: StepOutcomes = field(default_factory=StepOutcomes)
    item: Any = None
    index: int | None = None
    last_output: Any = None

    def inside(self, *, item: Any = None, index: int | None = None) -> View:
        """The view from inside of a branch, or of an element where an index is given."""
        if index is None:
            return View(self.document, StepOutcomes(self.steps), self.item, self.index)
        fields = item if isinstance(item, dict) else {}
        return View({**self.document, **fields}, StepOutcomes(self.steps), item, index)

    def learn(self, step: str, status: str, output: Any = None, error: Any = None) -> None:
        """Let those who come later see what became of a step."""
        self.steps[step] = {"status": status, "output": output, "error": error}
        if status == "COMPLETED" and output is not None:
            self.last_output = output
            if isinstance(output, dict):
                self.document = {**self.document, **output}
