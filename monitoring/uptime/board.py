"""The figures and bars of many services at once, for pages of the admin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce

from django.db.models import Case, Value, When
from django.utils.safestring import SafeString

from core.durations import in_words
from monitoring.models import StatusSpan
from monitoring.uptime.bars import bars_of, draw_days, first_day
from monitoring.uptime.reading import read_troubles, read_windows
from monitoring.uptime.rollups import days_of, measure_each
from registry.models import Service, ServiceStatus
from registry.policies.uptime import Parts

MOST_SERVICES = 100
MOST_TROUBLES = 50
# Who needs somebody comes first.
_BY_NEED = ("OFFLINE", "DEGRADED", "UNKNOWN", "MAINTENANCE", "PENDING", "ONLINE")
FIGURES = ("24h", "7d", "30d", "90d")


@dataclass(frozen=True, slots=True)
class BoardLine:
    """A service on the board: its last 90 days."""

    service: Service
    parts: Parts
    strip: SafeString

    @property
    def percent(self) -> float | None:
        return self.parts.percent()


@dataclass(frozen=True, slots=True)
class Trouble:
    """A span in which a service was not simply up, and what it means for its uptime."""

    span: StatusSpan
    seconds: float
    meaning: str


def read_board(*, now: datetime) -> list[BoardLine]:
    """Return the lines of the board, who is down first."""
    ranks = [When(status=word, then=Value(rank)) for rank, word in enumerate(_BY_NEED)]
    rows = Service.objects.only("name", "status", "version").order_by(Case(*ranks), "name")
    services = list(rows[:MOST_SERVICES])
    found = days_of([each.pk for each in services], first=first_day(now), now=now)
    return [
        BoardLine(
            service,
            reduce(Parts.__add__, found[service.pk].values(), Parts()),
            draw_days(bars_of(found[service.pk], now=now), what=service.name),
        )
        for service in services
    ]


def read_strip(service: Service, *, now: datetime) -> SafeString:
    """Draw the last 90 days of a service."""
    found = days_of([service.pk], first=first_day(now), now=now)[service.pk]
    return draw_days(bars_of(found, now=now), what=service.name)


def explain(service: Service, *, now: datetime) -> dict[str, object]:
    """Return the figures of a service over several windows, and the spans that made them so."""
    figures = read_windows(service, FIGURES, now=now)
    widest = figures[-1]
    troubles = read_troubles(service, widest.since, widest.until)
    return {
        "figures": figures,
        "strip": read_strip(service, now=now),
        "troubles": _explained(service, troubles[:MOST_TROUBLES], widest.since, widest.until),
        "more_troubles": max(len(troubles) - MOST_TROUBLES, 0),
    }


def _explained(
    service: Service, spans: Sequence[StatusSpan], since: datetime, until: datetime
) -> list[Trouble]:
    """Return what each span means for the uptime: what nobody observed of it does not count."""
    times = [(max(span.started_at, since), span.ended_at or until) for span in spans]
    if not times:
        return []
    parts = measure_each([service.pk], times)
    return [
        Trouble(
            span,
            max((end - start).total_seconds(), 0.0),
            meaning_of(span.status, parts[start, end][service.pk]),
        )
        for span, (start, end) in zip(spans, times, strict=True)
    ]


def meaning_of(status: str, parts: Parts) -> str:
    """Return what a span of one status counts as, and how much of it."""
    if status == ServiceStatus.DEGRADED:
        counted, word = parts.up, "up"
    elif status == ServiceStatus.OFFLINE:
        counted, word = parts.down, "down"
    else:
        counted, word = 0.0, ""
    # A second more or less is the minute's end at which windows are cut.
    if counted and counted + 1 >= parts.seconds:
        return f"counts as {word}"
    left_out = [
        *(["maintenance"] if parts.maintenance >= 1 else []),
        *(["nobody observed it"] if parts.unknown >= 1 or not parts.maintenance else []),
    ]
    why = f"left out: {' and '.join(left_out)}"
    return f"{in_words(counted)} count as {word}, the rest is {why}" if counted else why
