"""The values that a transaction of the engine takes, and those that it returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from workflows.decide import ExecutionState, Finish, Row, Transition
from workflows.definition import DefinitionError

# Columns of a PARALLEL or MAP: see Row.
COUNTERS = ("total", "begun", "done", "failed", "needed", "tolerated")


@dataclass(slots=True)
class Claim:
    """A step that this worker holds: nobody else may record it while the lease lasts."""

    execution: ExecutionState
    row: Row
    fence: int
    claimed_at: datetime
    correlation_id: str = ""
    version_id: Any = None

    def followed_by(self, row: Row, at: datetime) -> Claim:
        """Return the claim of a row that is inserted as this worker's."""
        return Claim(self.execution, row, 1, at, self.correlation_id, self.version_id)


@dataclass(frozen=True, slots=True)
class Settled:
    """A claim and the transition that it led to."""

    claim: Claim
    transition: Transition


@dataclass(frozen=True, slots=True)
class Broken:
    """A claimed row whose definition cannot be read; `error` says why."""

    claim: Claim
    error: DefinitionError


@dataclass(slots=True)
class Batch:
    """The work of one transaction."""

    settled: list[Settled] = field(default_factory=list)
    wanted: list[str] = field(default_factory=list)
    """Rows to claim if they are due."""
    look: bool = False
    """Whether to claim whatever is due."""
    renew: list[Claim] = field(default_factory=list)
    room: int = 0
    """The most rows to claim."""
    take: bool = True
    """Whether followers are this worker's; else they are left for another one."""
    careful: bool = False
    """Whether no outcome may take the fast path."""


@dataclass(slots=True)
class Committed:
    """The effects of one transaction."""

    claims: list[Claim] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    lost: list[Claim] = field(default_factory=list)
    """Claims whose fence was stale: others have their rows."""
    ended: list[tuple[str, Finish]] = field(default_factory=list)
    freed: list[str] = field(default_factory=list)
    """The ended executions whose workflow has a limit: others may wait for their slots."""
    orphans: list[str] = field(default_factory=list)
    """Child executions that no step waits for any more, and that are to be cancelled."""
    full: list[str] = field(default_factory=list)
    """Executions with as many events as they may have, that are to be ended."""
    ready: list[str] = field(default_factory=list)
    """Rows that may be claimed and were not."""
    filled: bool = False
    """Whether there may be more to claim than there was room for."""
    left: list[Settled] = field(default_factory=list)
    """Outcomes that the fast path was not for."""

    def add_end(self, execution: ExecutionState, finish: Finish) -> None:
        """Note that an execution ended, and that its slot is free if it had one."""
        self.ended.append((execution.id, finish))
        if execution.definition.concurrency:
            self.freed.append(execution.id)
