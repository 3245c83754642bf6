"""Says of which incidents nobody is told now, and since when others are told of again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from monitoring.models import Incident, MaintenanceOccurrence
from monitoring.uptime.maintenance import covers, occurrences_between

# A window that ended longer ago delays nothing: no group wait is longer.
LOOKED_BACK = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Held:
    """The incidents that are held back `now`, and `until` when others were."""

    now: set[UUID] = field(default_factory=set)
    until: dict[UUID, datetime] = field(default_factory=dict)


def read_held(incidents: Collection[Incident], *, now: datetime) -> Held:
    """Return what is held back: parts of what is open, and what is under maintenance.

    It is asked at the moment of telling, by the times of the windows and no timer.
    """
    held = Held()
    if not incidents:
        return held
    occurrences = [
        each
        for each in occurrences_between(now - LOOKED_BACK, now + timedelta(microseconds=1))
        if each.window.suppress_alerts
    ]
    for incident in incidents:
        whole = incident.merged_into
        own = incident.service is not None and incident.service.in_maintenance
        if own or (whole is not None and not whole.is_resolved):
            held.now.add(incident.pk)
        for each in occurrences:
            if not _is_of(each, incident):
                continue
            if each.ends_at > now:
                held.now.add(incident.pk)
            else:
                before = held.until.get(incident.pk, each.ends_at)
                held.until[incident.pk] = max(before, each.ends_at)
    return held


def _is_of(occurrence: MaintenanceOccurrence, incident: Incident) -> bool:
    if incident.service is None:
        return occurrence.window.everything
    return covers(occurrence.window, incident.service)
