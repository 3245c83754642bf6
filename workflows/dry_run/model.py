"""The bounds of a dry run, and its result."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from registry.policies.credential_grants import GrantLine
from workflows.decide import Row


@dataclass(frozen=True, slots=True)
class DryRunLimits:
    """The bounds of a dry run: attempts at steps, virtual time, seconds of work, bytes to show."""

    steps: int = 2_000
    virtual: timedelta = timedelta(days=366)
    seconds: float = 2.0
    size: int = 8 << 20


@dataclass(frozen=True, slots=True)
class DryRunStep:
    """One attempt. `next` is the path of the row entered after it in its branch, if any.

    `mocked` says that its outcome was given, `sampled` that it was made up from a schema.
    """

    row: Row
    kind: str
    next: str | None
    mocked: bool
    sampled: bool


@dataclass(frozen=True, slots=True)
class DryRunResult:
    """The result of a dry run. The times are virtual; one that was stopped is not `complete`."""

    status: str
    output: Any
    errors: tuple[dict[str, Any], ...]
    steps: tuple[DryRunStep, ...]
    warnings: tuple[str, ...]
    complete: bool
    started_at: datetime
    ended_at: datetime
    grants: tuple[GrantLine, ...] = ()
    """The credentials that its calls would use, and whether they may."""

    @property
    def execution_time(self) -> float:
        """Virtual seconds."""
        return round((self.ended_at - self.started_at).total_seconds(), 6)
