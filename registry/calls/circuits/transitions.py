"""Decides what an outcome means for a circuit (pure).

A circuit is the value of one row. Each change of its state raises `generation`, and an outcome
counts only for the generation under which its call was let through: what comes in later, from
before a change, is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from registry.models import CircuitState
from registry.policies.circuit_profile import Profile

BUCKETS = 10
MAX_CAUSE = 300

# Calls, failures and slow calls of a tenth of the window, by the second since 1970 it began at.
Bucket = tuple[float, int, int, int]


class OutcomeKind(Enum):
    """How a call went. COUNTED are earlier successes that only the window still has to learn of."""

    SUCCESS = auto()
    FAILURE = auto()
    SLOW = auto()
    COUNTED = auto()


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """Calls that went the same way, `age_seconds` ago."""

    kind: OutcomeKind
    generation: int
    count: int = 1
    age_seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Circuit:
    """The state of a circuit, its counters and its window."""

    state: str = CircuitState.CLOSED
    generation: int = 0
    failure_count: int = 0
    success_count: int = 0
    open_count: int = 0
    opened_at: datetime | None = None
    retry_at: datetime | None = None
    last_failure_at: datetime | None = None
    probe_owner: str = ""
    probe_until: datetime | None = None
    until: datetime | None = None
    forced_by: str = ""
    reason: str = ""
    cause: str = ""
    window: tuple[Bucket, ...] = ()

    @property
    def needs_successes(self) -> bool:
        """Whether successes have to be recorded: something failed lately."""
        return self.failure_count > 0 or bool(self.window)


def record(
    circuit: Circuit, outcomes: Iterable[CallOutcome], profile: Profile, *, now: datetime
) -> Circuit:
    """Return the circuit after these outcomes, in their order."""
    circuit = after_lapse(circuit, now=now)
    for outcome in outcomes:
        if outcome.generation != circuit.generation:
            continue
        if circuit.state == CircuitState.CLOSED:
            circuit = _while_closed(circuit, outcome, profile, now=now)
        elif circuit.state == CircuitState.HALF_OPEN and outcome.kind is not OutcomeKind.COUNTED:
            circuit = _after_probe(circuit, outcome, profile, now=now)
    # A window in which all went well costs nothing to keep.
    troubled = any(failures or slow for _, _, failures, slow in circuit.window)
    return circuit if troubled else replace(circuit, window=())


def after_lapse(circuit: Circuit, *, now: datetime) -> Circuit:
    """Return the circuit without an operator's control whose time is over."""
    return closed(circuit) if has_lapsed(circuit, now=now) else circuit


def has_lapsed(circuit: Circuit, *, now: datetime) -> bool:
    controlled = circuit.state in (CircuitState.FORCED_OPEN, CircuitState.DISABLED)
    return controlled and circuit.until is not None and circuit.until <= now


def _while_closed(
    circuit: Circuit, outcome: CallOutcome, profile: Profile, *, now: datetime
) -> Circuit:
    circuit = replace(circuit, window=_counted(circuit.window, outcome, profile, now=now))
    if outcome.kind is OutcomeKind.FAILURE:
        failures = circuit.failure_count + outcome.count
        circuit = replace(circuit, failure_count=failures, last_failure_at=now)
    elif outcome.kind is OutcomeKind.SUCCESS:
        circuit = replace(circuit, failure_count=0)
    cause = _reason_to_open(circuit, profile)
    if not cause:
        return circuit
    last = f" The last: {outcome.reason}" if outcome.reason else ""
    return opened(circuit, f"{cause}{last}"[:MAX_CAUSE], profile, now=now)


def _after_probe(
    circuit: Circuit, outcome: CallOutcome, profile: Profile, *, now: datetime
) -> Circuit:
    if outcome.kind is OutcomeKind.SUCCESS:
        probes = circuit.success_count + 1
        if probes >= profile.success_threshold:
            return closed(circuit)
        return replace(_without_probe(circuit), success_count=probes, retry_at=now)
    slow = f"it took over {profile.timeout_seconds:g} s."
    reason = slow if outcome.kind is OutcomeKind.SLOW else outcome.reason or "it failed."
    circuit = replace(circuit, failure_count=circuit.failure_count + 1, last_failure_at=now)
    return opened(circuit, f"The probe failed: {reason}"[:MAX_CAUSE], profile, now=now)


def opened(circuit: Circuit, cause: str, profile: Profile, *, now: datetime) -> Circuit:
    openings = circuit.open_count + 1
    return replace(
        _without_probe(circuit),
        state=CircuitState.OPEN,
        generation=circuit.generation + 1,
        open_count=openings,
        success_count=0,
        opened_at=now,
        retry_at=now + timedelta(seconds=profile.open_seconds(openings)),
        cause=cause,
        window=(),
    )


def closed(circuit: Circuit) -> Circuit:
    """Return it closed with nothing counted; `opened_at` and `last_failure_at` stay, as history."""
    return Circuit(
        state=CircuitState.CLOSED,
        generation=circuit.generation + 1,
        opened_at=circuit.opened_at,
        last_failure_at=circuit.last_failure_at,
    )


def _without_probe(circuit: Circuit) -> Circuit:
    return replace(circuit, probe_owner="", probe_until=None)


# --- The window ---


def _counted(
    window: tuple[Bucket, ...], outcome: CallOutcome, profile: Profile, *, now: datetime
) -> tuple[Bucket, ...]:
    """Return the window with this outcome and without what is too old."""
    moment, size = now.timestamp(), profile.window_seconds / BUCKETS
    start = (moment - outcome.age_seconds) // size * size
    kept = {b[0]: b for b in window if b[0] > moment - profile.window_seconds}
    if outcome.age_seconds < profile.window_seconds:
        _, calls, failures, slow = kept.get(start, (start, 0, 0, 0))
        failures += outcome.count * (outcome.kind is OutcomeKind.FAILURE)
        slow += outcome.count * (outcome.kind is OutcomeKind.SLOW)
        kept[start] = (start, calls + outcome.count, failures, slow)
    return tuple(sorted(kept.values()))


def _reason_to_open(circuit: Circuit, profile: Profile) -> str:
    if circuit.failure_count >= profile.failure_threshold:
        return f"{circuit.failure_count} failures in a row."
    calls, failures, slow = (sum(b[i] for b in circuit.window) for i in (1, 2, 3))
    if calls < profile.minimum_calls:
        return ""
    span = f"of {calls} calls within {profile.window_seconds:g} s"
    if failures >= profile.failure_rate * calls:
        return f"{failures} {span} failed."
    if slow >= profile.slow_rate * calls:
        return f"{slow} {span} took over {profile.timeout_seconds:g} s."
    return ""
