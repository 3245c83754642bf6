"""Decides what the calls of a job mean, and its silence (pure).

    UNKNOWN, UP or DOWN -success-> UP     any -failure-> DOWN
    UP -no call within period and grace-> DOWN, since then
    any -began, and did not end within grace-> DOWN, since then

A job that never called is UNKNOWN, and nothing is due. Whether it is UP or DOWN, to begin changes
nothing but when it has to end.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from core.timetables import Timetable
from monitoring.checks.decide import CheckPlan, StateTurn, SubjectFacts, after_look
from monitoring.models import CheckOutcome, CheckSignal, CheckStatus

# One call is believed, and silence is no lack of looks.
_AT_ONCE = CheckPlan(interval_seconds=10**9, failure_threshold=1, success_threshold=1)
# Where the hub itself was away for so long when a call was due, nobody could call.
HUB_AWAY = timedelta(minutes=5)
OUTCOMES = {
    CheckSignal.SUCCESS: CheckOutcome.OK,
    CheckSignal.FAIL: CheckOutcome.FAIL,
}


@dataclass(frozen=True, slots=True)
class JobPlan:
    """When a job is to call: so long after the last call, or at the times of a cron expression."""

    grace: timedelta
    period: timedelta | None = None
    timetable: Timetable | None = None

    def next_call(self, last: datetime) -> datetime | None:
        """Return when the call after the last one is to come; None if there is none."""
        if self.timetable is not None:
            return self.timetable.next(last)
        return last + self.period if self.period is not None else None


@dataclass(frozen=True, slots=True)
class JobStep:
    """What is known of a job after a call, or after silence."""

    facts: SubjectFacts
    started_at: datetime | None
    turns: list[StateTurn]


def outcome_of_signal(signal: str) -> str:
    """Return what a call came to: that a job began says nothing of how it is."""
    return str(OUTCOMES.get(CheckSignal(signal), CheckOutcome.INCONCLUSIVE))


def after_signal(
    facts: SubjectFacts, started_at: datetime | None, signal: str, *, at: datetime
) -> JobStep:
    """Return what is known after a job called."""
    if facts.state == CheckStatus.PAUSED or signal == CheckSignal.LOG:
        return JobStep(facts, started_at, [])
    if signal == CheckSignal.START:
        return JobStep(facts, at, [])
    after, turns = after_look(facts, outcome_of_signal(signal), at=at, plan=_AT_ONCE)
    return JobStep(after, None, turns)


def after_silence(facts: SubjectFacts, started_at: datetime | None, *, due: datetime) -> JobStep:
    """Return what is known after a job did not call until it was due: it is down since then.

    When it began is kept, so that how long it took is known if it ends after all.
    """
    after, turns = after_look(facts, CheckOutcome.FAIL, at=due, plan=_AT_ONCE)
    return JobStep(after, started_at, turns)


def due_of(facts: SubjectFacts, started_at: datetime | None, plan: JobPlan) -> datetime | None:
    """Return from when on a job that does not call is down; None if nothing is due.

    One that began has its grace to end. One that begins again and again without an end gains one
    grace by it, not more.
    """
    if facts.down_since is not None or facts.state == CheckStatus.PAUSED:
        return None
    ends = started_at + plan.grace if started_at is not None else None
    if facts.state != CheckStatus.UP or facts.last_result_at is None:
        return ends
    call = plan.next_call(facts.last_result_at)
    if call is None:
        return ends
    late = call + plan.grace
    return late if ends is None else min(ends, late + plan.grace)


def duration_of(started_at: datetime | None, signal: str, *, at: datetime) -> float | None:
    """Return how many milliseconds a job took that ends with this call; None if it is not known."""
    if started_at is None or signal not in OUTCOMES:
        return None
    return round(max((at - started_at).total_seconds(), 0.0) * 1000, 1)
