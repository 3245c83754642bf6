"""Answers how much of a window a service could be used, and why not more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitoring.models import StatusSpan
from monitoring.uptime.rollups import days_of, measure_all, measure_each
from monitoring.uptime.spans import spans_between
from registry.models import Service
from registry.policies.uptime import WHOLE_COVERAGE, MaintenancePolicy, Parts

WINDOWS = {
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
    "365d": timedelta(days=365),
}


@dataclass(frozen=True, slots=True)
class WindowUptime:
    """The uptime of a service over a window, with the parts that it is made of."""

    service: Service
    window: str
    since: datetime
    until: datetime
    maintenance: str
    parts: Parts

    @property
    def percent(self) -> float | None:
        return self.parts.percent(self.maintenance)

    @property
    def coverage(self) -> float:
        return self.parts.coverage

    @property
    def partial(self) -> bool:
        """Whether too little was observed for the figure to speak for the whole window."""
        return self.coverage < WHOLE_COVERAGE

    @property
    def counted(self) -> tuple[float, float]:
        """The seconds that count as up, and those that count as down."""
        return self.parts.counted(self.maintenance)

    @property
    def counted_seconds(self) -> float:
        return sum(self.counted)


def read_window(
    service: Service, window: str, *, maintenance: str = MaintenancePolicy.EXCLUDE, now: datetime
) -> WindowUptime:
    """Return the uptime over a window that ends now, or since the service is known.

    Counted in whole minutes, so that it is the same for those who ask again at once.
    """
    return read_windows(service, [window], maintenance=maintenance, now=now)[0]


def read_windows(
    service: Service,
    windows: Sequence[str],
    *,
    maintenance: str = MaintenancePolicy.EXCLUDE,
    now: datetime,
) -> list[WindowUptime]:
    """Return the uptime over each of several windows, read at once."""
    until = now.replace(second=0, microsecond=0)
    starts = {window: max(until - WINDOWS[window], service.created_at) for window in windows}
    found = measure_each([service.pk], [(since, until) for since in starts.values()])
    return [
        WindowUptime(
            service, window, min(since, until), until, str(maintenance),
            found[since, until][service.pk],
        )
        for window, since in starts.items()
    ]  # fmt: skip


def read_troubles(service: Service, since: datetime, until: datetime) -> Sequence[StatusSpan]:
    """Return the spans of a time in which it was not simply up, the latest first."""
    spans = spans_between([service.pk], since, until)
    return [span for span in reversed(spans) if span.status != "ONLINE"]


def read_days(found: WindowUptime) -> dict[datetime, Parts]:
    """Return the parts of each day of a window of several, in their order; of a day, none."""
    if WINDOWS[found.window] <= timedelta(days=1):
        return {}
    key, since = found.service.pk, found.since
    first = since.replace(hour=0, minute=0, second=0, microsecond=0)
    days = days_of([key], first=first, now=found.until)[key]
    if since > first:
        # Of the first day only what is in the window: before, nobody could have observed it.
        until = min(first + timedelta(days=1), found.until)
        days[first] = measure_all([key], since, until)[key]
    return dict(sorted(days.items()))
