"""Decides by which signs an instance lives, until when, and why it does not (pure)."""

from __future__ import annotations

from datetime import datetime, timedelta

from core.db.vocabulary import Vocabulary
from registry.policies.probing import ProbePlan


class Liveness(Vocabulary):
    """The signs that keep the instances of a service alive."""

    AUTO = "AUTO", "Heartbeats, or the health URL of an instance that never sent one"
    HEARTBEAT = "HEARTBEAT", "Heartbeats only"
    PROBE = "PROBE", "Good answers of the health URL only"
    EITHER = "EITHER", "Heartbeats or good answers of the health URL"


def liveness_of(chosen: str, *, has_beaten: bool, health_url: str) -> Liveness:
    """Return what keeps one instance alive: HEARTBEAT, PROBE or EITHER."""
    if chosen != Liveness.AUTO:
        return Liveness(chosen)
    return Liveness.HEARTBEAT if has_beaten or not health_url else Liveness.EITHER


def expiry_after_sign(
    liveness: Liveness,
    *,
    at: datetime,
    ttl_seconds: int,
    before: datetime | None,
    answered_until: datetime | None,
) -> datetime:
    """Return until when an instance lives after a heartbeat or registration.

    `before` is until when it lived by what was known before, `answered_until` by its health URL.
    """
    beaten_until = at + timedelta(seconds=ttl_seconds)
    if liveness is Liveness.PROBE:
        return before or beaten_until  # the first answer is waited for
    if liveness is Liveness.EITHER and answered_until is not None:
        return max(beaten_until, answered_until)
    return beaten_until


def explain_silence(
    liveness: Liveness,
    *,
    now: datetime,
    beaten_at: datetime | None,
    answered_at: datetime | None,
    has_beaten: bool = True,
    error: str = "",
) -> str:
    """Say which signs an instance does not give, and for how long.

    Without `has_beaten`, `beaten_at` is when it registered, which counts as its first beat.
    """
    beats = f"No heartbeat {_lacking_since(beaten_at, now)}"
    if beaten_at is not None and not has_beaten:
        beats = f"No heartbeat since it registered, {_whole_seconds(beaten_at, now)} s ago"
    cause = f" ({error})" if error else ""
    answers = f"o good answer of its health URL {_lacking_since(answered_at, now)}{cause}"
    if liveness is Liveness.HEARTBEAT:
        return f"{beats}."
    return f"N{answers}." if liveness is Liveness.PROBE else f"{beats}, and n{answers}."


def _lacking_since(at: datetime | None, now: datetime) -> str:
    return "yet" if at is None else f"for {_whole_seconds(at, now)} s"


def _whole_seconds(since: datetime, now: datetime) -> int:
    return max(int((now - since).total_seconds()), 0)


def seconds_of_answer(plan: ProbePlan, *, ttl_seconds: int) -> int:
    """Return for how long a good answer keeps alive: longer than bad ones take to be believed."""
    return max(ttl_seconds, plan.interval_seconds * (plan.failure_threshold + 1))
