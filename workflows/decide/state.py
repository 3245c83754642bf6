"""Values that decisions read and return: rows, the state of an execution, transitions."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from core.db.uuid7 import uuid7
from core.exceptions import IntegrationError
from core.expressions import StepOutcomes, build_scope
from workflows.definition import Definition, Step
from workflows.models import ExecutionStatus, StepStatus

# Those of a row that came to something which later steps can see.
SETTLED_STATUSES = (StepStatus.COMPLETED, StepStatus.SKIPPED, StepStatus.FAILED)
# Of the processor, for all steps that are run in one go; the rest waits for another turn.
MAX_INLINE_SECONDS = 0.05


@dataclass(slots=True)
class Row:
    """One row of `workflow_step`, as far as deciding and recording need it.

    `scope` is the branch or element that the row belongs to, empty at the top. The counters are
    those of a PARALLEL or MAP: how many branches there are, have begun, are done, have failed, must
    be done, and may fail. One that follows `unclaimed` is begun by whoever claims it.
    """

    id: str
    step_id: str
    path: str
    scope: str = ""
    attempt: int = 1
    name: str = ""
    status: str = StepStatus.PENDING
    service: str = ""
    instance: str = ""
    action: str = ""
    input: Any = None
    output: Any = None
    error: Any = None
    warnings: list[Mapping[str, Any]] | None = None
    wake_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    retry_base: int = 0
    retry_since: datetime | None = None
    fence: int = 0
    total: int = 0
    begun: int = 0
    done: int = 0
    failed: int = 0
    needed: int = 0
    tolerated: int = 0
    unclaimed: bool = False


def new_row(step: Step, place: str, *, scope: str, now: datetime) -> Row:
    """Return the row of a step that is due now, at this place of a branch or, without, the top."""
    return Row(
        id=str(uuid7()),
        step_id=step.id,
        path=f"{scope}/{place}" if scope else place,
        scope=scope,
        name=step.name,
        action=step.action or "",
        service=step.target.name if step.target else "",
        wake_at=now,
    )


@dataclass(frozen=True, slots=True)
class BranchResult:
    """The end of one branch or element."""

    index: int
    last_step: str
    output: Any
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """An event that arrived: its place in the history, its name and what it carries."""

    sequence: int
    name: str
    payload: Any


@dataclass(frozen=True, slots=True)
class Unmatchable:
    """A signal on which the `match` of an EVENT step failed: the step waits on without it."""

    sequence: int
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class ChildExecution:
    """The state of a child execution."""

    id: str
    status: str
    output: Any
    errors: list[Any]


@dataclass(slots=True)
class Facts:
    """Facts that only some kinds of steps need: ended branches, signals not yet taken, a child."""

    results: list[BranchResult] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    child: ChildExecution | None = None


@dataclass(slots=True)
class ExecutionState:
    """The state of an execution as seen from one step.

    Deciding moves it on; nobody else holds the same one. Inside a branch or an element, `scope`
    says which, and `steps` holds what can be seen from there. Rows that follow
    have its `priority`. From its `deadline` on nothing more begins. `registry` is the newest
    change of the registry when it was claimed.
    """

    id: str
    workflow: str
    started_at: datetime
    input: dict[str, Any]
    context: dict[str, Any]
    definition: Definition
    steps: StepOutcomes = field(default_factory=StepOutcomes)
    document: dict[str, Any] = field(default_factory=dict)
    visits: dict[str, int] = field(default_factory=dict)
    last_output: Any = None
    scope: str = ""
    item: Any = None
    index: int | None = None
    sequence: int = 0
    priority: int = 0
    deadline: datetime | None = None
    registry: int = 0
    started_by: str = ""
    facts: Facts = field(default_factory=Facts)

    def __post_init__(self) -> None:
        self.document = dict(self.input)

    def learn(
        self, step_id: str, *, status: str, output: Any, error: Any, outside: bool = False
    ) -> None:
        """Take up what became of a step; one `outside` this branch does not count as its output."""
        self.steps[step_id] = {"output": output, "status": status, "error": error}
        if status != StepStatus.COMPLETED or output is None:
            return
        if not outside:
            self.last_output = output
        if isinstance(output, dict):
            self.document = {**self.document, **output}

    def enter_element(self, *, item: Any, index: int) -> None:
        """Go into an element of a MAP: its fields overlay the running document."""
        self.item, self.index = item, index
        if isinstance(item, dict):
            self.document = {**self.document, **item}

    def visible(self, **more: Any) -> dict[str, Any]:
        """Return the scope that an expression may read."""
        about = {
            "id": self.id,
            "workflow": self.workflow,
            "started_at": self.started_at.isoformat(),
            "started_by": self.started_by,
        }
        return build_scope(
            input=self.input,
            context=self.context,
            steps=self.steps,
            execution=about,
            item=self.item,
            index=self.index,
            **more,
        )


@dataclass(frozen=True, slots=True)
class CallSuccess:
    """An answer. `sent` is the input as it went out, `warnings` say what was left out of it."""

    output: Any
    sent: Any
    service: str = ""
    instance: str = ""
    warnings: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class CallFailure:
    """An error that ended an attempt."""

    error: IntegrationError


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of an execution, or of a branch of it."""

    status: ExecutionStatus
    output: Any = None
    errors: tuple[dict[str, Any], ...] = ()


@dataclass(slots=True)
class Transition:
    """The changes to record in one commit.

    The settled row, the rows that follow, perhaps the end of the execution or (`leaves`) of the
    branch that the row belongs to. `abandons` is a container whose branches are of no use any more.
    `parked` says that the settled row waits for signals, and that it must look again if one came in
    meanwhile. `takes` is the sequence of the signal that the settled row took, and that nobody else
    may have taken. `set_aside` are signals that it could not judge. `child` starts the child
    execution of the settled row; `orphan` is one that is waited for no longer. `compensated` says
    that the settled row compensated its step; `review` is the error for which it could not, and
    which a person has to look at.
    """

    settled: Row | None = None
    followers: list[Row] = field(default_factory=list)
    finish: Finish | None = None
    leaves: Finish | None = None
    abandons: str = ""
    parked: bool = False
    takes: int | None = None
    set_aside: tuple[Unmatchable, ...] = ()
    child: ChildStart | None = None
    orphan: str = ""
    compensated: bool = False
    review: dict[str, Any] | None = None
    began: float = field(default_factory=time.thread_time, compare=False, repr=False)

    @property
    def is_long(self) -> bool:
        """Whether deciding took so long that the rest is left to another turn."""
        return time.thread_time() - self.began > MAX_INLINE_SECONDS

    @property
    def changes_more(self) -> bool:
        """Return whether it does more than settle a row, add followers or end the execution."""
        return (
            self.leaves is not None
            or self.takes is not None
            or self.child is not None
            or self.review is not None
            or bool(self.abandons or self.orphan)
            or self.parked
            or self.compensated
        )


@dataclass(frozen=True, slots=True)
class ChildStart:
    """A child execution to start."""

    workflow: str
    version: int | None
    input: dict[str, Any]
    workflow_id: str = ""
