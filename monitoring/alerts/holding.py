"""Says of which incidents nobody is told now, and since when others are told of again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from monitoring.alerts.decide import IncidentTraits, ServiceTrouble, find_causes, is_silenced_by
from monitoring.checks.upkeep import covers, occurrences_between
from monitoring.dependencies.ways import reach
from monitoring.models import (
    AlertSilence,
    Incident,
    MaintenanceOccurrence,
    Subject,
)

# A window that ended longer ago delays nothing: no group wait is longer.
LOOKED_BACK = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Held:
    """The incidents that are held back `now`, and `until` when others were.

    `by` are the outages of others that they are a part of; those that are `patient` may become so.
    """

    now: set[UUID] = field(default_factory=set)
    until: dict[UUID, datetime] = field(default_factory=dict)
    by: dict[UUID, UUID] = field(default_factory=dict)
    patient: set[UUID] = field(default_factory=set)

    def delay(self, incident: Incident, until: datetime) -> None:
        self.until[incident.pk] = max(self.until.get(incident.pk, until), until)


def read_quiet_times(*, now: datetime) -> list[MaintenanceOccurrence]:
    """Return the times of windows in which nobody is told, under way and over a while ago."""
    occurrences = occurrences_between(now - LOOKED_BACK, now + timedelta(microseconds=1))
    return [each for each in occurrences if each.window.suppress_alerts]


def read_held(
    incidents: Collection[Incident],
    is_for: Callable[[Incident], bool],
    *,
    occurrences: Sequence[MaintenanceOccurrence],
    silences: Sequence[AlertSilence],
    needs: Mapping[UUID, Sequence[UUID]],
    now: datetime,
) -> Held:
    """Return what is held back: parts of what is open, and what is under maintenance.

    `is_for` says whether an incident is for who is told: an outage holds back what depends on it
    only for those who are told of the outage. `occurrences` are the quiet times, `silences` what
    people said, and `needs` the services that others cannot do without: the same for all who are
    told at the same moment.
    """
    held = Held()
    if not incidents:
        return held
    for incident in incidents:
        whole = incident.merged_into
        own = incident.service is not None and incident.service.in_maintenance
        if own or (whole is not None and not whole.is_resolved):
            held.now.add(incident.pk)
        traits = traits_of(incident)
        ends = [each.ends_at for each in occurrences if _is_of(each, incident)]
        ends += [each.ends_at for each in silences if is_silenced_by(each, traits)]
        for end in ends:
            if end > now:
                held.now.add(incident.pk)
            else:
                held.delay(incident, end)
    if needs:
        _hold_dependants(held, incidents, is_for, needs, now=now)
    return held


def _hold_dependants(
    held: Held,
    incidents: Iterable[Incident],
    is_for: Callable[[Incident], bool],
    needs: Mapping[UUID, Sequence[UUID]],
    *,
    now: datetime,
) -> None:
    troubles = troubles_of(incidents)
    held.by.update(find_causes(troubles, needs))
    held.now.update(held.by)
    may_be = {e.incident_id for e in troubles if e.may_be_of_another and e.service_id in needs}
    held.patient.update(may_be)
    over = Incident.objects.filter(subject=Subject.SERVICE_DOWN, resolved_at__gte=now - LOOKED_BACK)
    ended = {
        each.service_id: each.resolved_at
        for each in over.select_related("service").order_by("resolved_at")
        if is_for(each)
    }
    for incident in incidents:
        if incident.pk in may_be and incident.service_id is not None:
            for key in reach(needs, incident.service_id):
                if at := ended.get(key):
                    held.delay(incident, at)


def traits_of(incident: Incident) -> IncidentTraits:
    """Return an incident as filters see it."""
    service = incident.service
    return IncidentTraits(
        subject=incident.subject,
        severity=incident.severity,
        about=incident.about,
        service=service.name if service else "",
        tags=service.tags if service else (),
    )


def troubles_of(incidents: Iterable[Incident]) -> list[ServiceTrouble]:
    """Return those of services that are not over, as what decides on them takes them."""
    return [
        ServiceTrouble(each.pk, each.service_id, each.subject, each.opened_at)
        for each in incidents
        if each.service_id is not None and not each.is_resolved
    ]


def _is_of(occurrence: MaintenanceOccurrence, incident: Incident) -> bool:
    if incident.service is None:
        return occurrence.window.everything
    return covers(occurrence.window, incident.service)
