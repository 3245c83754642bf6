"""Decides what a schedule does when ticks are due (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from core.timetables.cron import MOST_TICKS, Timetable

# A tick that nobody took for so long was missed: the catch-up policy decides about it.
MISSED_AFTER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class DueTicks:
    """The ticks that are due: `on_time` at once, `missed` as catch-up.

    `left_out` is the latest tick that is not made up for, with the reason.
    """

    on_time: Sequence[datetime] = ()
    missed: Sequence[datetime] = ()
    left_out: tuple[datetime, str] | None = None
    next: datetime | None = None


def sort_due(
    timetable: Timetable, due_since: datetime, *, now: datetime, policy: str, limit: int
) -> DueTicks:
    """Sort the ticks from `due_since` until now into those on time and those missed."""
    horizon = now - timedelta(seconds=MISSED_AFTER_SECONDS)
    on_time = timetable.between(max(due_since, horizon), now, most=100)
    following = timetable.next(now)
    if due_since >= horizon:
        return DueTicks(on_time=on_time, next=following)
    most = {"LAST": 1, "ALL": limit}.get(policy, 0)
    last = horizon - timedelta(microseconds=1)
    past, count = timetable.latest(due_since, last, most=max(most, 1))
    if not past:
        return DueTicks(on_time=on_time, next=following)
    if policy == "LAST" and on_time:
        most = 0  # a later tick runs now
    missed = past[-most:] if most else []
    left = count - len(missed)
    out = None
    if left:
        earlier = past
        if missed:
            before = missed[0] - timedelta(microseconds=1)
            earlier, _ = timetable.latest(due_since, before, most=1)
        out = (earlier[-1], _missed_words(left, since=due_since, policy=policy))
    return DueTicks(on_time=on_time, missed=missed, left_out=out, next=following)


def _missed_words(count: int, *, since: datetime, policy: str) -> str:
    number = f"{count:,}" if count <= MOST_TICKS else f"more than {MOST_TICKS:,}"
    ticks = "tick was" if count == 1 else "ticks were"
    rule = {"NONE": "leaves missed ones out", "LAST": "makes up for the last only"}
    words = rule.get(policy, "has a limit")
    return f"{number} {ticks} missed since {since:%Y-%m-%d %H:%M} UTC; the catch-up policy {words}."


class Doing(Enum):
    """What becomes of a tick."""

    START = "START"
    CANCEL_AND_START = "CANCEL_AND_START"
    QUEUE = "QUEUE"
    SKIP = "SKIP"


@dataclass(frozen=True, slots=True)
class ScheduleActivity:
    """What a schedule has going: executions of ticks, of its backlog, and ticks that wait."""

    ticks: Sequence[str] = field(default_factory=tuple)
    backlog: Sequence[str] = field(default_factory=tuple)
    queued: int = 0

    @property
    def is_idle(self) -> bool:
        return not self.ticks and not self.backlog


def on_tick(policy: str, standing: ScheduleActivity) -> tuple[Doing, str]:
    """Return what a tick does now, and why it is not just started.

    A tick never runs beside the backlog unless overlap is allowed: it waits for the run that goes
    on, one tick at most, and then comes before the rest of the backlog.
    """
    if policy == "ALLOW" or (standing.is_idle and not standing.queued):
        return Doing.START, ""
    if policy == "SKIP" and standing.ticks:
        return Doing.SKIP, "The execution before it still runs."
    if policy == "CANCEL_RUNNING" and standing.ticks and not standing.backlog:
        return Doing.CANCEL_AND_START, ""
    if standing.queued:
        return Doing.SKIP, "An earlier tick still waits."
    return Doing.QUEUE, "An execution of this schedule still runs."


# With overlap allowed, so many of the backlog run at once.
BACKLOG_AT_ONCE = 10


def may_work_off(policy: str, standing: ScheduleActivity) -> int:
    """Return how many runs of the backlog may be started now."""
    if policy == "ALLOW":
        return max(0, BACKLOG_AT_ONCE - len(standing.backlog))
    return 1 if standing.is_idle and not standing.queued else 0
