"""Incidents open when something is seen to be wrong, and end with it or by a person's word."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import structlog
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from core import audit
from core.db.models import get_by_id
from core.db.signs import RowSigns
from core.exceptions import Conflict
from core.mediator import mediator
from core.models import AuditVerb
from monitoring.findings import Finding, Source, sources
from monitoring.models import Incident, IncidentStatus, PageStatus, Severity, UpdateKind
from monitoring.timeline import add_entries, add_entry, entry_on
from registry.services import expire_suspects, keep_suspects

logger = structlog.get_logger(__name__)

# What comes back within this time after its end is the same outage.
REOPENED_WITHIN = timedelta(minutes=10)
MOST_LOGGED = 10


class Verdict(StrEnum):
    """The decisions of a person on instances that are suspected to be gone."""

    EXPIRE = "expire"
    KEEP = "keep"


def get_incident(reference: str) -> Incident:
    """Raises: NotFound."""
    return get_by_id(Incident.objects.select_related("service"), reference, "incident")


def nobodys(now: datetime) -> dict[str, Any]:
    """Return what an incident is that nobody sees to any more: others are called from now on."""
    return {
        "status": IncidentStatus.OPEN,
        "acknowledged_at": None,
        "acknowledged_by": "",
        "acknowledged_until": None,
        "unattended_since": now,
    }


def watch_fleet(*, now: datetime | None = None) -> None:
    """Open, or end, incidents by what is wrong now.

    A source that cannot be asked leaves the incidents of its subject as they are.
    """
    moment = now or timezone.now()
    by_subject: dict[str, dict[str, Incident]] = defaultdict(dict)
    for incident in Incident.objects.unresolved():
        by_subject[incident.subject][incident.dedup_key] = incident
    seen = _subjects_seen(sources)
    for source in sources:
        unresolved = by_subject[source.subject]
        if not unresolved and source.subject not in seen:
            continue
        try:
            findings = list(source.find(moment, unresolved.keys()))
        except DatabaseError as error:
            logger.warning("not_watched", subject=str(source.subject), error=str(error)[:300])
            continue
        reconcile(unresolved, findings, ended=source.ended, now=moment)


def _subjects_seen(watched: Sequence[Source]) -> set[str]:
    """Return the subjects of which there are signs, and those of which there can be none."""
    signs = {str(each.subject): each.sign for each in watched if each.sign}
    always = {str(each.subject) for each in watched if not each.sign}
    try:
        return always | RowSigns(**signs).seen()
    except DatabaseError as error:
        logger.warning("no_signs_read", error=str(error)[:300])
        return always | signs.keys()


def reconcile(
    unresolved: Mapping[str, Incident], findings: Iterable[Finding], *, ended: str, now: datetime
) -> None:
    """Open what was found and is not open, keep open what was found, and end the rest."""
    by_key = {finding.dedup_key: finding for finding in findings}
    for key, incident in unresolved.items():
        if key in by_key:
            _keep_open(incident, by_key[key], now=now)
        else:
            resolve_incident(incident, ended, now=now)
    new = [finding for key, finding in by_key.items() if key not in unresolved]
    if new:
        open_incidents(new, now=now)


def _keep_open(incident: Incident, finding: Finding, *, now: datetime) -> None:
    """Bring what is said of an incident up to date; one that becomes worse is nobody's again."""
    said = {"cause": finding.cause[:1000], "severity": finding.severity, "about": finding.about}
    changed: dict[str, Any] = {
        name: value for name, value in said.items() if getattr(incident, name) != value
    }
    if not changed:
        return
    if "severity" in changed and finding.severity == Severity.CRITICAL:
        changed |= nobodys(now)
    with transaction.atomic():
        rows = Incident.objects.unresolved().filter(pk=incident.pk)
        if rows.update(**changed, updated_at=now) and "severity" in changed:
            add_entry(incident, f"It is {finding.severity.label.lower()} now.", at=now)


def open_incidents(findings: Sequence[Finding], *, now: datetime) -> None:
    """Open incidents; one that ended by itself a moment ago is opened again: it is the same outage.

    Another sweep may open the same: the database lets one of them.
    """
    reopened = _reopen(findings, now=now)
    opened = [
        Incident(
            subject=each.subject,
            severity=each.severity,
            cause=each.cause[:1000],
            about=each.about[:200],
            dedup_key=each.dedup_key,
            service_id=each.service_id,
            opened_at=now,
        )
        for each in findings
        if each.dedup_key not in reopened
    ]
    with transaction.atomic():
        Incident.objects.bulk_create(opened, ignore_conflicts=True, batch_size=500)
        # Of those that another sweep opened first there is no row of this id.
        stored = set(
            Incident.objects.filter(pk__in=[each.pk for each in opened]).values_list(
                "pk", flat=True
            )
        )
        add_entries(entry_on(each, each.cause, at=now) for each in opened if each.pk in stored)
    for finding in findings[:MOST_LOGGED]:
        about, cause = finding.about, finding.cause
        logger.warning("incident_opened", subject=str(finding.subject), about=about, cause=cause)
    mediator.publish("incident_opened", subject=str(findings[0].subject), count=len(findings))


def _reopen(findings: Sequence[Finding], *, now: datetime) -> set[str]:
    """Open again what ended within the last minutes; return the keys of it."""
    ended = Incident.objects.filter(
        dedup_key__in=[each.dedup_key for each in findings],
        status=IncidentStatus.RESOLVED,
        resolved_by="",
        resolved_at__gt=now - REOPENED_WITHIN,
    )
    latest = {each.dedup_key: each for each in ended.order_by("resolved_at")}
    reopened = set()
    for key, incident in latest.items():
        acknowledged = incident.acknowledged_at is not None
        try:
            with transaction.atomic():
                changed = Incident.objects.filter(
                    pk=incident.pk, status=IncidentStatus.RESOLVED
                ).update(
                    status=IncidentStatus.ACKNOWLEDGED if acknowledged else IncidentStatus.OPEN,
                    resolved_at=None,
                    resolution="",
                    reopened_count=F("reopened_count") + 1,
                    unattended_since=now,
                    hold_until=None,
                    updated_at=now,
                )
                if changed:
                    add_entry(incident, "It came back.", at=now)
        except IntegrityError:  # another sweep opened a new one
            changed = 1
        if changed:
            reopened.add(key)
    return reopened


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
            _note_end(incident, resolution, now=now, actor=actor)
            audit.record(AuditVerb.RESOLVED, incident, changes={"resolution": resolution})
    if changed:
        logger.info("incident_resolved", incident=str(incident.pk), actor=actor, how=resolution)
        mediator.publish("incident_resolved", incident_id=incident.pk, actor=actor)
    return changed == 1


def _note_end(incident: Incident, resolution: str, *, now: datetime, actor: str) -> None:
    """Enter the end, in public where status pages show it and nobody said so already."""
    shown = Incident.objects.filter(pk=incident.pk, public=True)
    is_news = shown.exclude(page_status=PageStatus.RESOLVED).update(page_status=PageStatus.RESOLVED)
    add_entry(
        incident,
        "Resolved." if is_news else f"Resolved. {resolution}".strip(),
        at=now,
        kind=UpdateKind.STATUS,
        actor=actor,
        page_status=PageStatus.RESOLVED if is_news else "",
        public=bool(is_news),
    )


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
