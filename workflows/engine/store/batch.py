"""What goes into a transaction of the engine, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

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


@dataclass(frozen=True, slots=True)
class Settled:
    """A claim and what became of it."""

    claim: Claim
    transition: Transition


@dataclass(frozen=True, slots=True)
class Broken:
    """A claimed row whose definition cannot be read; `error` says why."""

    claim: Claim
    error: DefinitionError


@dataclass(slots=True)
class Batch:
    """What one transaction is to do.

    `look` claims whatever is due, `wanted` names rows, `room` bounds both. Without `take`,
    followers are left for another worker. With `careful`, no outcome takes the short way.
    """

    settled: list[Settled] = field(default_factory=list)
    wanted: list[str] = field(default_factory=list)
    look: bool = False
    renew: list[Claim] = field(default_factory=list)
    room: int = 0
    take: bool = True
    careful: bool = False


@dataclass(slots=True)
class Committed:
    """What it did: new claims, claims that were lost, executions that ended.

    `freed` are those of the ended whose workflow has a limit: others may wait for their places.
    `orphans` are child executions that no step waits for any more, and that are to be cancelled.
    `ready` are rows that may be claimed and were not; `filled` says that there may be more to claim
    than there was room for. `left` are outcomes that the short way was not for.
    """

    claims: list[Claim] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    lost: list[Claim] = field(default_factory=list)
    ended: list[tuple[str, Finish]] = field(default_factory=list)
    freed: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    ready: list[str] = field(default_factory=list)
    filled: bool = False
    left: list[Settled] = field(default_factory=list)
