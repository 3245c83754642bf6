"""Incidents as events: they open, somebody sees to them, they are resolved."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from core.api.events import Event, TimedSource
from core.mediator import mediator
from core.news import own_news
from monitoring.models import Incident, IncidentStatus

NEWS = "incidents"
_CHANGES = ("incident_opened", "incident_acknowledged", "incident_changed", "incident_resolved")


class IncidentEvents(TimedSource):
    """Incidents by when they changed."""

    topic = "incidents"
    scope = "registry:read"
    news = NEWS

    def read_since(self, moment: datetime, most: int) -> Sequence[Event]:
        rows = Incident.objects.filter(updated_at__gte=moment).order_by("updated_at")
        return [self._event_of(incident) for incident in rows[:most]]

    def _event_of(self, incident: Incident) -> Event:
        mark = int(incident.updated_at.timestamp() * 1000)
        kind = "OPENED" if incident.status == IncidentStatus.OPEN else incident.status
        return Event(self.topic, str(incident.pk), incident.subject, kind, incident.status, mark)


def tell_incidents() -> None:
    """Have every process told of incidents that change."""
    for event in _CHANGES:
        mediator.subscribe(event, _tell)


def _tell(**_: Any) -> None:
    transaction.on_commit(lambda: own_news().tell(NEWS))
