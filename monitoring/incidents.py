"""Incidents open when something is seen to be wrong, and end with it or by a person's word."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import structlog
from django.db import IntegrityError, transaction
from django.utils import timezone

from core import audit
from core.exceptions import Conflict, NotFound
from core.identifiers import read_id
from core.mediator import mediator
from core.models import AuditVerb
from monitoring.models import Incident, IncidentStatus, Severity, Subject
from registry.models import DiscoveryState
from registry.services import (
    Suspicion,
    expire_suspects,
    keep_suspects,
    read_suspicion,
    read_unreachable,
)

logger = structlog.get_logger(__name__)


class Verdict(StrEnum):
    """The decisions of a person on instances that are suspected to be gone."""

    EXPIRE = "expire"
    KEEP = "keep"


def get_incident(reference: str) -> Incident:
    """Raises: NotFound."""
    key = read_id(reference)
    incident = Incident.objects.filter(pk=key).first() if key else None
    if incident is None:
        raise NotFound(f"No incident with the id '{str(reference)[:100]}'.")
    return incident


def watch_fleet(*, now: datetime | None = None) -> None:
    """Open, or end, the incidents on what the sweep found out."""
    moment = now or timezone.now()
    suspicion, unreachable = read_suspicion(), read_unreachable()
    _see_to(
        Subject.MASS_EXPIRY,
        _on_suspicion(suspicion) if suspicion else "",
        ended="Nobody is suspected any more: all beat again, or are gone.",
        now=moment,
    )
    _see_to(
        Subject.DISCOVERY_BACKEND,
        _on_unreachable(unreachable) if unreachable else "",
        ended="It answers again.",
        now=moment,
    )


def _on_suspicion(suspicion: Suspicion) -> str:
    return (
        f"{suspicion.suspected} of {suspicion.live} live instances fell silent together. They are"
        " only suspected: used where there is no other, and not taken offline."
    )


def _on_unreachable(state: DiscoveryState) -> str:
    return (
        f"{state.error.rstrip('.')}. Discovery answers what was known before, heartbeats go to the"
        " database, and nobody is taken offline."
    )


def _see_to(subject: Subject, cause: str, *, ended: str, now: datetime) -> None:
    if cause:
        open_incident(subject, cause, now=now)
        return
    for incident in Incident.objects.unresolved().filter(subject=subject):
        resolve_incident(incident, ended, now=now)


def open_incident(
    subject: Subject, cause: str, *, now: datetime, severity: Severity = Severity.CRITICAL
) -> Incident:
    """Open an incident, or bring the cause of the one that is unresolved up to date."""
    cause = cause[:1000]
    unresolved = Incident.objects.unresolved().filter(subject=subject).first()
    if unresolved is not None:
        if unresolved.cause != cause:
            Incident.objects.filter(pk=unresolved.pk).update(cause=cause, updated_at=now)
        return unresolved
    try:
        with transaction.atomic():
            incident = Incident.objects.create(
                subject=subject, severity=severity, cause=cause, opened_at=now
            )
    except IntegrityError:  # another sweep saw it too
        return Incident.objects.unresolved().get(subject=subject)
    logger.warning("incident_opened", subject=str(subject), cause=cause)
    mediator.publish("incident_opened", incident_id=incident.pk, subject=str(subject))
    return incident


def acknowledge_incident(incident: Incident, *, actor: str) -> Incident:
    """Record that somebody sees to it.

    Raises:
        Conflict: it is acknowledged or resolved already.
    """
    with transaction.atomic():
        changed = Incident.objects.filter(pk=incident.pk, status=IncidentStatus.OPEN).update(
            status=IncidentStatus.ACKNOWLEDGED,
            acknowledged_at=timezone.now(),
            acknowledged_by=actor[:100],
            updated_at=timezone.now(),
        )
        if not changed:
            raise Conflict("This incident is not open any more.")
        audit.record(AuditVerb.ACKNOWLEDGED, incident)
    logger.info("incident_acknowledged", incident=str(incident.pk), actor=actor)
    mediator.publish("incident_acknowledged", incident_id=incident.pk, actor=actor)
    return get_incident(str(incident.pk))


def resolve_incident(
    incident: Incident, resolution: str, *, now: datetime, actor: str = ""
) -> bool:
    """End an incident; False when it had ended already."""
    with transaction.atomic():
        changed = (
            Incident.objects.unresolved()
            .filter(pk=incident.pk)
            .update(
                status=IncidentStatus.RESOLVED,
                resolved_at=now,
                resolved_by=actor[:100],
                resolution=resolution[:500],
                updated_at=now,
            )
        )
        if changed:
            audit.record(AuditVerb.RESOLVED, incident, changes={"resolution": resolution})
    if changed:
        logger.info("incident_resolved", incident=str(incident.pk), actor=actor, how=resolution)
        mediator.publish("incident_resolved", incident_id=incident.pk, actor=actor)
    return changed == 1


def decide_suspects(incident: Incident, verdict: Verdict, *, actor: str) -> Incident:
    """Take all suspects offline, or to be alive for another hour, and end the incident.

    Raises:
        Conflict: the incident is resolved, or not about suspects.
    """
    if not incident.asks_about_suspects:
        raise Conflict("This incident is resolved, or not about instances that fell silent.")
    if verdict is Verdict.EXPIRE:
        count = expire_suspects(actor=actor)
        resolution = f"{count} taken offline."
    else:
        count = keep_suspects(actor=actor)
        resolution = f"{count} taken to be alive for another hour."
    verb = AuditVerb.EXPIRED if verdict is Verdict.EXPIRE else AuditVerb.KEPT
    audit.record(verb, incident, changes={"instances": count})
    resolve_incident(incident, resolution, now=timezone.now(), actor=actor)
    return get_incident(str(incident.pk))
