"""What people do about incidents: open, see to, hand over, describe, join and end them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import transaction
from django.utils import timezone

from core import audit
from core.exceptions import Conflict, ValidationFailed
from core.mediator import mediator
from core.models import AuditVerb
from core.models.audit import MAX_ACTOR
from monitoring.incidents import get_incident, nobodys, resolve_incident
from monitoring.models import (
    Impact,
    Incident,
    IncidentStatus,
    IncidentUpdate,
    PageStatus,
    Severity,
    Subject,
    UpdateKind,
)
from monitoring.timeline import add_entry
from registry.models import Service

logger = structlog.get_logger(__name__)

DESCRIBED = ("severity", "impact", "title", "public")
LONGEST_ACKNOWLEDGED = timedelta(days=30)


def open_by_hand(fields: Mapping[str, Any], *, actor: str) -> Incident:
    """Open an incident that a person knows of; it stays open until a person ends it.

    Raises:
        NotFound: there is no such service.
    """
    now = timezone.now()
    name = fields.get("service")
    service = Service.objects.get_named(name) if name else None
    public = bool(fields.get("public"))
    incident = Incident(
        subject=Subject.MANUAL,
        title=fields["title"],
        cause=fields.get("text") or fields["title"],
        about=service.name if service else "",
        service=service,
        severity=fields.get("severity") or Severity.WARNING,
        impact=fields.get("impact") or Impact.NONE,
        public=public,
        page_status=fields.get("page_status") or PageStatus.INVESTIGATING,
        opened_at=now,
        opened_by=actor[:MAX_ACTOR],
    )
    incident.dedup_key = f"{Subject.MANUAL}:{incident.pk}"
    with transaction.atomic():
        incident.save(force_insert=True)
        add_entry(
            incident, incident.cause, at=now, actor=actor, page_status=incident.page_status,
            public=public,
        )  # fmt: skip
        audit.record(AuditVerb.CREATED, incident)
    logger.info("incident_opened_by_hand", incident=str(incident.pk), actor=actor)
    mediator.publish("incident_opened", subject=str(incident.subject), count=1)
    return get_incident(str(incident.pk))


def acknowledge_incident(
    incident: Incident, *, actor: str, until: datetime | None = None
) -> Incident:
    """Record that somebody sees to it, for good or until then.

    Raises:
        Conflict: it is acknowledged or resolved already.
        ValidationFailed: `until` is past, or too far away.
    """
    now = timezone.now()
    if until is not None and not now < until <= now + LONGEST_ACKNOWLEDGED:
        raise ValidationFailed.at("until", "Must be in the future, and within 30 days.")
    with transaction.atomic():
        changed = Incident.objects.filter(pk=incident.pk, status=IncidentStatus.OPEN).update(
            status=IncidentStatus.ACKNOWLEDGED,
            acknowledged_at=now,
            acknowledged_by=actor[:100],
            acknowledged_until=until,
            updated_at=now,
        )
        if not changed:
            raise Conflict("This incident is not open any more.")
        words = f" until {until:%Y-%m-%d %H:%M} UTC" if until else ""
        add_entry(incident, f"Seen to{words}.", at=now, kind=UpdateKind.ACK, actor=actor)
        audit.record(AuditVerb.ACKNOWLEDGED, incident)
    logger.info("incident_acknowledged", incident=str(incident.pk), actor=actor)
    mediator.publish("incident_acknowledged", incident_id=incident.pk, actor=actor)
    return get_incident(str(incident.pk))


def unacknowledge_incident(incident: Incident, *, actor: str) -> Incident:
    """Take back that somebody sees to it: others are called again.

    Raises:
        Conflict: nobody does.
    """
    with transaction.atomic():
        if not _give_back(incident, "Nobody sees to it any more.", actor=actor):
            raise Conflict("Only an incident that somebody sees to is given back.")
        audit.record(AuditVerb.CHANGED, incident, changes={"status": ["ACKNOWLEDGED", "OPEN"]})
    _tell_of(incident, actor)
    return get_incident(str(incident.pk))


def end_due_acknowledgements(*, now: datetime) -> int:
    """Open again what somebody saw to until a time that is past; return how many."""
    due = Incident.objects.filter(status=IncidentStatus.ACKNOWLEDGED, acknowledged_until__lte=now)
    ended = 0
    for incident in due:
        with transaction.atomic():
            ended += _give_back(incident, "The time of who saw to it is over.", actor="")
        _tell_of(incident, "")
    return ended


def _give_back(incident: Incident, words: str, *, actor: str) -> bool:
    now = timezone.now()
    changed = Incident.objects.filter(pk=incident.pk, status=IncidentStatus.ACKNOWLEDGED).update(
        **nobodys(now), updated_at=now
    )
    if changed:
        add_entry(incident, words, at=now, kind=UpdateKind.ACK, actor=actor)
    return changed == 1


def assign_incident(incident: Incident, to: str, *, actor: str) -> Incident:
    """Say whose it is; an empty name takes that back.

    Raises:
        Conflict: it is resolved.
    """
    words = f"Assigned to {to}." if to else "Assigned to nobody."
    return _change(incident, {"assigned_to": to}, words, kind=UpdateKind.ACK, actor=actor)


def describe_incident(incident: Incident, fields: Mapping[str, Any], *, actor: str) -> Incident:
    """Change its severity, its impact, or what status pages say of it.

    Raises:
        ValidationFailed: nothing is given.
        Conflict: its severity changes though it is resolved.
    """
    given = {name: fields[name] for name in DESCRIBED if name in fields}
    if not given:
        raise ValidationFailed.at("", f"Give some of: {', '.join(DESCRIBED)}.")
    if "severity" in given and incident.subject != Subject.MANUAL:
        raise ValidationFailed.at(
            "severity", "What was found by itself has the severity of what is wrong."
        )
    changed = {name: each for name, each in given.items() if each != getattr(incident, name)}
    words = "; ".join(f"{name} is now {_word(value)}" for name, value in changed.items())
    if not changed:
        return incident
    return _change(incident, changed, f"{words[:1].upper()}{words[1:]}.", actor=actor)


def _word(value: object) -> str:
    return {True: "yes", False: "no"}.get(value, str(value)) if value != "" else "empty"  # type: ignore[call-overload]


def _change(
    incident: Incident,
    changed: dict[str, Any],
    words: str,
    *,
    actor: str,
    kind: UpdateKind = UpdateKind.STATUS,
) -> Incident:
    now = timezone.now()
    with transaction.atomic():
        locked = Incident.objects.select_for_update(of=("self",)).get(pk=incident.pk)
        if locked.is_resolved and {"severity", "assigned_to"} & changed.keys():
            raise Conflict("This incident is resolved.")
        kept = audit.snapshot(locked)
        if _is_rise(locked.severity, changed.get("severity")):
            changed = {**changed, **nobodys(now)}
        for name, value in changed.items():
            setattr(locked, name, value)
        locked.save(update_fields=[*changed, "updated_at"])
        add_entry(locked, words, at=now, kind=kind, actor=actor)
        audit.record_changes(locked, kept)
    _tell_of(incident, actor)
    return get_incident(str(incident.pk))


def add_update(incident: Incident, fields: Mapping[str, Any], *, actor: str) -> IncidentUpdate:
    """Add what a person says: a note, or how far it is in the words of status pages.

    RESOLVED ends the incident as well.

    Raises:
        ValidationFailed: a post-mortem of what is not over, or another status of what is.
    """
    page_status = fields.get("page_status") or ""
    _check_page_status(incident, page_status)
    now = timezone.now()
    with transaction.atomic():
        entry = add_entry(
            incident, fields["text"], at=now, actor=actor, page_status=page_status,
            kind=UpdateKind.STATUS if page_status else UpdateKind.NOTE,
            public=bool(fields.get("public")),
        )  # fmt: skip
        if page_status:
            Incident.objects.filter(pk=incident.pk).update(page_status=page_status, updated_at=now)
        audit.record(AuditVerb.CHANGED, incident, changes={"updates": [None, entry.text]})
        if page_status == PageStatus.RESOLVED:
            resolve_incident(incident, entry.text, now=now, actor=actor)
    _tell_of(incident, actor)
    return entry


def _check_page_status(incident: Incident, page_status: str) -> None:
    if page_status == PageStatus.POSTMORTEM and not incident.is_resolved:
        raise ValidationFailed.at("page_status", "A post-mortem is of what is resolved.")
    if incident.is_resolved and page_status not in ("", PageStatus.POSTMORTEM):
        raise ValidationFailed.at(
            "page_status", "It is resolved: add a POSTMORTEM, or a note without a status."
        )


def merge_incident(incident: Incident, into: str, *, actor: str) -> Incident:
    """Make it a part of another: nobody is told of it alone while that is open.

    One that was opened by hand ends with that; what was found by itself ends when it is over.

    Raises:
        NotFound: there is no such incident.
        Conflict: either is resolved, or both are one.
    """
    other = get_incident(into)
    if other.pk == incident.pk or other.merged_into_id is not None:
        raise ValidationFailed.at("into", "Give another incident, which is part of none.")
    if other.is_resolved or incident.is_resolved:
        raise Conflict("Only incidents that are open are merged.")
    now = timezone.now()
    with transaction.atomic():
        Incident.objects.filter(pk=incident.pk).update(merged_into=other, updated_at=now)
        add_entry(incident, f"Part of: {other}.", at=now, kind=UpdateKind.LINK, actor=actor)
        add_entry(other, f"Merged: {incident}.", at=now, kind=UpdateKind.LINK, actor=actor)
        audit.record(AuditVerb.CHANGED, incident, changes={"merged_into": [None, str(other.pk)]})
        if incident.subject == Subject.MANUAL:
            resolve_incident(incident, f"Part of: {other}.", now=now, actor=actor)
    _tell_of(incident, actor)
    return get_incident(str(incident.pk))


def end_incident(incident: Incident, resolution: str, *, actor: str) -> Incident:
    """End an incident by a person's word; what is still wrong opens another.

    Raises:
        Conflict: it is resolved already.
    """
    if not resolve_incident(incident, resolution, now=timezone.now(), actor=actor):
        raise Conflict("This incident is resolved already.")
    return get_incident(str(incident.pk))


def _is_rise(before: str, after: str | None) -> bool:
    return after == Severity.CRITICAL and before != Severity.CRITICAL


def _tell_of(incident: Incident, actor: str) -> None:
    mediator.publish("incident_changed", incident_id=incident.pk, actor=actor)
