"""The runs of a job, put together of what it said: it began, it ended, or it did not call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitoring.models import (
    CheckErrorKind,
    CheckOutcome,
    CheckSignal,
    HealthCheck,
    HealthCheckResult,
)

RUN_DAYS = 7
MOST_CALLS = 2_000
_ENDS = (CheckSignal.SUCCESS, CheckSignal.FAIL)


@dataclass(frozen=True, slots=True)
class JobRun:
    """A run of a job; `ended_at` is empty while it lasts, and `started_at` if it only said its end.

    One that was `missed` did neither.
    """

    started_at: datetime | None
    ended_at: datetime | None
    outcome: str
    error: str = ""
    message: str = ""
    missed: bool = False

    @property
    def at(self) -> datetime:
        at = self.started_at or self.ended_at
        assert at is not None
        return at

    @property
    def seconds(self) -> float | None:
        """How long it took; None where that is not known."""
        if self.started_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.started_at).total_seconds()


def read_runs(check: HealthCheck, *, since: datetime, now: datetime) -> list[JobRun]:
    """Return the runs of a job since a time, the latest first."""
    calls = check.results.filter(instance=None, checked_at__gte=since, checked_at__lte=now)
    latest = calls.order_by("-checked_at", "-id").exclude(signal=CheckSignal.LOG)
    return put_together(list(latest[:MOST_CALLS])[::-1])[::-1]


def put_together(calls: Iterable[HealthCheckResult]) -> list[JobRun]:
    """Return the runs that calls tell of, which come in their order (pure)."""
    runs: list[JobRun] = []
    began: HealthCheckResult | None = None
    for call in calls:
        if call.signal == CheckSignal.START:
            if began is not None:  # it began again: of the run before, nobody knows the end
                runs.append(JobRun(began.checked_at, None, CheckOutcome.INCONCLUSIVE))
            began = call
        elif call.signal in _ENDS:
            started = began.checked_at if began else _started(call)
            runs.append(JobRun(started, call.checked_at, call.outcome, call.error, call.message))
            began = None
        elif call.error_kind == CheckErrorKind.MISSED:
            # Its beginning is kept: it may end after all.
            runs.append(JobRun(None, call.checked_at, call.outcome, call.error, missed=True))
    if began is not None:
        runs.append(JobRun(began.checked_at, None, CheckOutcome.INCONCLUSIVE))
    return runs


def _started(call: HealthCheckResult) -> datetime | None:
    if call.latency_ms is None:
        return None
    return call.checked_at - timedelta(milliseconds=call.latency_ms)
