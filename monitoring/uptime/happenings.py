"""What happened to a service in a time, beside how it answered: for the axis of its charts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from core.db.vocabulary import Vocabulary
from monitoring.checks.upkeep import covers, occurrences_between
from monitoring.models import Incident, Subject
from monitoring.uptime.spans import spans_between
from registry.models import Service, ServiceStatus

MOST_HAPPENINGS = 100


class HappeningKind(Vocabulary):
    """What can happen to a service that its speed may be explained by."""

    DEPLOYMENT = "DEPLOYMENT", "Deployment"
    MAINTENANCE = "MAINTENANCE", "Maintenance"
    INCIDENT = "INCIDENT", "Incident"
    BREAKER = "BREAKER", "Circuit opened"


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened; `ended_at` is empty where it lasts, or took no time.

    `incident` is the one that tells of it, where there is one.
    """

    kind: str
    at: datetime
    ended_at: datetime | None
    title: str
    incident: Incident | None = None

    @property
    def word(self) -> str:
        return str(HappeningKind(self.kind).label)


def read_happenings(service: Service, since: datetime, until: datetime) -> list[Happening]:
    """Return what happened to a service in a time, the oldest first."""
    found = [
        *_by_spans(service, since, until),
        *_by_windows(service, since, until),
        *_by_incidents(service, since, until),
    ]
    return sorted(found, key=lambda each: each.at)[-MOST_HAPPENINGS:]


def _by_spans(service: Service, since: datetime, until: datetime) -> Iterator[Happening]:
    """Find versions that came, and maintenance that somebody switched on."""
    spans = spans_between([service.pk], since, until)
    version = spans[0].version if spans else ""
    for span in spans:
        if span.version != version:
            version = span.version
            yield Happening(
                HappeningKind.DEPLOYMENT, span.started_at, None, f"Version {version or 'unknown'}"
            )
        if span.status == ServiceStatus.MAINTENANCE:
            yield Happening(
                HappeningKind.MAINTENANCE, span.started_at, span.ended_at, "Under maintenance"
            )


def _by_windows(service: Service, since: datetime, until: datetime) -> Iterable[Happening]:
    return (
        Happening(HappeningKind.MAINTENANCE, each.starts_at, each.ends_at, each.window.name)
        for each in occurrences_between(since, until)
        if covers(each.window, service)
    )


def _by_incidents(service: Service, since: datetime, until: datetime) -> Iterator[Happening]:
    rows = Incident.objects.filter(service=service, opened_at__lt=until)
    rows = rows.filter(Q(resolved_at=None) | Q(resolved_at__gt=since)).order_by("-opened_at")
    for row in rows[:MOST_HAPPENINGS]:
        is_trip = row.subject == Subject.CIRCUIT_OPEN
        kind = HappeningKind.BREAKER if is_trip else HappeningKind.INCIDENT
        yield Happening(kind, row.opened_at, row.resolved_at, str(row), row)
