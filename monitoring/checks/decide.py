"""Decides what a look at a subject means: its state, whether it flaps, when the next is due (pure).

    UNKNOWN -ok-> UP                    UNKNOWN -fail x n-> DOWN
    UP -fail-> SUSPECT                  SUSPECT -ok-> UP (a blip)       SUSPECT -fail x n-> DOWN
    DOWN -ok-> RECOVERING -ok x m-> UP  RECOVERING -fail-> DOWN
    any -nobody looked for three intervals-> STALE

A look that is INCONCLUSIVE is none: the fault was the hub's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from monitoring.models import CheckErrorKind, CheckKind, CheckOutcome, CheckStatus

REMEMBERED = 21
# Naemon's rule: the share of changes among the last outcomes, of which the newest weigh most.
NEWEST_WEIGHT, OLDEST_WEIGHT = 1.25, 0.75
FLAPPING_FROM, FLAPPING_BELOW = 0.30, 0.15
STALE_INTERVALS = 3
CERTIFICATE_DAYS = (30, 14, 7, 3, 1)
MOST_IN_A_ROW = 1_000_000
# Without canaries, so many hosts that fail at once are taken for the hub's own network.
BLIND_HOSTS, BLIND_SHARE = 10, 0.5
_OWN_FAULTS = (CheckErrorKind.POLICY, CheckErrorKind.INTERNAL)
# What a network of the hub's own that is down looks like.
NETWORK_FAULTS = (CheckErrorKind.DNS, CheckErrorKind.CONNECT, CheckErrorKind.TIMEOUT)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPlan:
    """How often something is looked at, and how many looks in a row are believed."""

    interval_seconds: int = 30
    timeout_seconds: int = 5
    retry_seconds: int = 10
    failure_threshold: int = 3
    success_threshold: int = 2

    @property
    def stale_after(self) -> timedelta:
        return timedelta(seconds=STALE_INTERVALS * self.interval_seconds + self.timeout_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectFacts:
    """What is known of a subject: the columns of its row that looks change."""

    state: str
    since: datetime
    failures: int = 0
    successes: int = 0
    first_failure_at: datetime | None = None
    down_since: datetime | None = None
    blips: int = 0
    flap_bits: int = 0
    flapping: bool = False
    last_result_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StateTurn:
    """A change of state. `at` is when it began, which may be before it was believed."""

    was: str
    now: str
    at: datetime


def plan_of(
    own: Mapping[str, int | None],
    *,
    service: Mapping[str, Any],
    default: Mapping[str, int],
    timeout_seconds: int,
) -> CheckPlan:
    """Return the plan of a check: what it says, else what its service says, else the default."""

    def read(name: str) -> int:
        value = own.get(name)
        return int(service.get(name, default[name]) if value is None else value)

    interval = read("interval_seconds")
    retry = own.get("retry_seconds") or min(interval, 10)
    return CheckPlan(
        interval_seconds=interval,
        timeout_seconds=min(timeout_seconds, interval),
        retry_seconds=min(retry, interval),
        failure_threshold=read("failure_threshold"),
        success_threshold=read("success_threshold"),
    )


# --- After a look ---


def after_look(
    facts: SubjectFacts, outcome: str, *, at: datetime, plan: CheckPlan
) -> tuple[SubjectFacts, list[StateTurn]]:
    """Return what is known after one more look, and the changes of state that it means."""
    if facts.state == CheckStatus.PAUSED:
        return facts, []
    facts, turns = if_stale(facts, now=at, plan=plan)
    if outcome == CheckOutcome.INCONCLUSIVE:
        return facts, turns
    failed = outcome == CheckOutcome.FAIL
    counted = _flap(_count(facts, failed=failed, at=at), failed=failed)
    state, began = _next_state(counted, failed=failed, at=at, plan=plan)
    after, more = _turned(counted, state, at=began)
    return replace(after, last_result_at=at), [*turns, *more]


def _count(facts: SubjectFacts, *, failed: bool, at: datetime) -> SubjectFacts:
    if not failed:
        successes = min(facts.successes + 1, MOST_IN_A_ROW)
        return replace(facts, failures=0, successes=successes)
    failures = min(facts.failures + 1, MOST_IN_A_ROW)
    first = facts.first_failure_at if facts.failures else at
    return replace(facts, failures=failures, successes=0, first_failure_at=first)


def _next_state(
    facts: SubjectFacts, *, failed: bool, at: datetime, plan: CheckPlan
) -> tuple[str, datetime]:
    if failed:
        if facts.down_since is not None:
            return CheckStatus.DOWN, at
        if facts.failures >= plan.failure_threshold:
            return CheckStatus.DOWN, facts.first_failure_at or at
        return (CheckStatus.SUSPECT if _is_up(facts) else CheckStatus.UNKNOWN), at
    if facts.down_since is not None and facts.successes < plan.success_threshold:
        return CheckStatus.RECOVERING, at
    return CheckStatus.UP, at


def _is_up(facts: SubjectFacts) -> bool:
    return facts.state in (CheckStatus.UP, CheckStatus.SUSPECT)


def _turned(
    facts: SubjectFacts, state: str, *, at: datetime
) -> tuple[SubjectFacts, list[StateTurn]]:
    was = facts.state
    down_since = facts.down_since
    if state == CheckStatus.DOWN:
        down_since = down_since or at
    elif state == CheckStatus.UP:
        down_since = None
    blips = facts.blips + (was == CheckStatus.SUSPECT and state == CheckStatus.UP)
    if state == was:
        return replace(facts, down_since=down_since), []
    return (
        replace(facts, state=state, since=at, down_since=down_since, blips=blips),
        [StateTurn(was, state, at)],
    )


# --- When nobody looks ---


def if_stale(
    facts: SubjectFacts, *, now: datetime, plan: CheckPlan
) -> tuple[SubjectFacts, list[StateTurn]]:
    """Return what is known where nobody looked for too long: nothing, since the last look."""
    last = facts.last_result_at
    if last is None or facts.state in (CheckStatus.STALE, CheckStatus.PAUSED, CheckStatus.UNKNOWN):
        return facts, []
    if now - last <= plan.stale_after:
        return facts, []
    after, turns = _turned(facts, CheckStatus.STALE, at=last)
    return replace(after, failures=0, successes=0), turns


def pause(facts: SubjectFacts, *, now: datetime) -> tuple[SubjectFacts, list[StateTurn]]:
    """Return what is known of a subject that is not looked at any more: nothing is wrong."""
    return _turned(replace(_forgotten(facts), down_since=None), CheckStatus.PAUSED, at=now)


def resume(facts: SubjectFacts, *, now: datetime) -> tuple[SubjectFacts, list[StateTurn]]:
    """Return what is known of a subject that is looked at again: nothing."""
    return _turned(_forgotten(facts), CheckStatus.UNKNOWN, at=now)


def _forgotten(facts: SubjectFacts) -> SubjectFacts:
    return replace(
        facts,
        failures=0, successes=0, first_failure_at=None, flap_bits=0, flapping=False,
    )  # fmt: skip


# --- Flapping ---


def _flap(facts: SubjectFacts, *, failed: bool) -> SubjectFacts:
    bits = (facts.flap_bits << 1 | failed) & ((1 << REMEMBERED) - 1)
    share = share_of_changes(bits)
    flapping = share >= FLAPPING_BELOW if facts.flapping else share > FLAPPING_FROM
    return replace(facts, flap_bits=bits, flapping=flapping)


def share_of_changes(bits: int) -> float:
    """Return the weighted share of changes among the last 21 outcomes, from 0 to 1.

    `bits` has the latest in its lowest bit. What is not known is taken for well.
    """
    pairs = REMEMBERED - 1
    step = (NEWEST_WEIGHT - OLDEST_WEIGHT) / (pairs - 1)
    changes = bits ^ (bits >> 1)
    weights = (NEWEST_WEIGHT - step * place for place in range(pairs) if changes >> place & 1)
    return sum(weights) / pairs


# --- When the next look is due ---


def offset_of(key: str, interval_ms: int) -> int:
    """Return where in its interval a subject is looked at: spread, and always the same."""
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % interval_ms


def next_slot(key: str, *, after: datetime, interval_seconds: int) -> datetime:
    """Return the first time of a subject's fixed schedule that is later than a moment.

    It depends on no answer and on no earlier look, so that it does not drift.
    """
    interval = interval_seconds * 1000
    offset = offset_of(key, interval)
    passed = (after - _EPOCH) // timedelta(milliseconds=1) - offset
    return _EPOCH + timedelta(milliseconds=offset + (passed // interval + 1) * interval)


def next_look(
    key: str, facts: SubjectFacts, *, due: datetime, at: datetime, plan: CheckPlan
) -> datetime:
    """Return when a subject is looked at after a look that was due at `due` and ended at `at`.

    While a failure is not believed yet, it is sooner.
    """
    slot = next_slot(key, after=max(due, at), interval_seconds=plan.interval_seconds)
    if facts.state in (CheckStatus.SUSPECT, CheckStatus.RECOVERING) or facts.failures == 1:
        return min(slot, max(due, at) + timedelta(seconds=plan.retry_seconds))
    return slot


# --- Certificates ---


def certificate_step(
    ends_at: datetime, *, now: datetime, days: Sequence[int] | None = None
) -> int | None:
    """Return the least of the days before its end that a certificate has come below.

    It is 0 where it ended, and None while it has longer. It changes only when the next is reached,
    so that nobody is told each day.
    """
    left = ends_at - now
    if left <= timedelta(0):
        return 0
    reached = [step for step in days or CERTIFICATE_DAYS if left <= timedelta(days=step)]
    return min(reached, default=None)


# --- Whose fault it is ---


def is_own_fault(error_kind: str) -> bool:
    """Return whether a look failed for a reason of the hub's own."""
    return error_kind in _OWN_FAULTS


def hub_is_blind(
    looks: Sequence[tuple[str, str]], *, canaries: Sequence[bool] | None = None
) -> bool:
    """Return whether failures of the network are taken for the hub's own.

    `looks` are hosts with the kind of error, empty where it answered. `canaries` says which of the
    addresses that an operator chose answer: if none does, the hub sees nothing. Without any, it is
    decided by how many hosts fail.
    """
    if canaries:
        return not any(canaries)
    fails: dict[str, bool] = {}
    for host, error_kind in looks:
        fails[host] = fails.get(host, True) and error_kind in NETWORK_FAULTS
    return len(fails) >= BLIND_HOSTS and sum(fails.values()) > BLIND_SHARE * len(fails)


def is_asked_over_network(kind: str) -> bool:
    """Return whether looks of this kind go over the network."""
    return kind not in (CheckKind.PUSH, CheckKind.HEARTBEAT)
