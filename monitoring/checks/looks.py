"""What is looked at, and what was seen: the values that go from the claim to the write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from monitoring.checks.decide import CheckPlan, SubjectFacts
from monitoring.checks.jobs import JobPlan


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """A check as it is carried out."""

    id: UUID
    name: str
    kind: str
    url: str
    is_automatic: bool
    service_id: UUID | None
    plan: CheckPlan
    request: Mapping[str, Any]
    conditions: Mapping[str, Any]
    # When a job is to call; None for what is looked at.
    job: JobPlan | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """A look that was claimed: of which state, at what, when it is due."""

    spec: CheckSpec
    state_id: UUID
    fence: int
    instance_id: UUID | None
    url: str
    host: str
    due: datetime
    facts: SubjectFacts
    in_maintenance: bool = False
    # Why it is known without asking that it did not call or beat; empty otherwise.
    missed: str = ""
    # Since when a job is at work, as it said.
    started_at: datetime | None = None
    # The columns that say how it ended last, where it calls.
    ended: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look came to. `at` is when it began."""

    look: Look
    at: datetime
    outcome: str
    error_kind: str = ""
    error: str = ""
    latency_ms: float | None = None
    status_code: int | None = None
    certificate_ends_at: datetime | None = None
    late_ms: int = 0
    # What a job said, where it called.
    signal: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class StateChange:
    """A subject of a check changed its state.

    `at` is when the new state began. That may be before changes that were told already: what was
    SUSPECT for a while, and then is DOWN, was down all the while.
    """

    check_id: UUID
    state_id: UUID
    instance_id: UUID | None
    service_id: UUID | None
    was: str
    now: str
    at: datetime
    error: str = ""
