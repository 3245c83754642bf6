"""Writes what a channel is told: the message, and that it was told of each incident."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings

from monitoring.alerts.decide import Plan
from monitoring.alerts.wording import link_of, word_message
from monitoring.models import (
    AlertChannel,
    AlertDelivery,
    AlertNotice,
    Incident,
    NoticeState,
)

MOST_TOLD_OF = 100


def group_key_of(incident: Incident) -> str:
    """Return the key of all messages on a subject: its service, or what else it is about."""
    return f"service:{incident.service_id}" if incident.service_id else incident.dedup_key


def remember(
    channel: AlertChannel, plan: Plan, incidents: Mapping[UUID, Incident], *, now: datetime
) -> None:
    """Store of each incident of a plan what its channel was told: the memory of that."""
    states = [(NoticeState.FIRING, plan.firing), (NoticeState.RESOLVED, plan.ended)]
    notices = [
        AlertNotice(
            channel=channel,
            incident_id=key,
            state=state,
            severity=incidents[key].severity,
            told_at=now,
        )
        for state, keys in states
        for key in keys
    ]
    AlertNotice.objects.bulk_create(
        notices,
        update_conflicts=True,
        unique_fields=("channel", "incident"),
        update_fields=("state", "severity", "told_at", "updated_at"),
    )


def written(
    channel: AlertChannel,
    plan: Plan,
    incidents: Mapping[UUID, Incident],
    parts: Mapping[UUID, Collection[str]],
    *,
    now: datetime,
) -> AlertDelivery | None:
    """Return the message of a plan; None for an end that the channel does not want told."""
    if not plan.firing and not channel.send_resolved:
        return None
    firing = [incidents[key] for key in plan.firing]
    ended = [incidents[key] for key in plan.ended]
    wording = word_message(
        plan.reason, firing, ended, parts, now=now, public_url=settings.PUBLIC_URL
    )
    return AlertDelivery(
        channel=channel,
        reason=plan.reason,
        severity=wording.severity,
        group_key=plan.group_key,
        title=wording.title,
        text=wording.text,
        incidents=_told_of([*firing, *ended]),
        next_attempt_at=now,
    )


def _told_of(incidents: Iterable[Incident]) -> list[dict[str, Any]]:
    """Return what programs are told of incidents."""
    return [_described(each) for each in list(incidents)[:MOST_TOLD_OF]]


def _described(incident: Incident) -> dict[str, Any]:
    return {
        "id": str(incident.pk),
        "subject": str(incident.subject),
        "about": incident.about,
        "service": incident.service.name if incident.service else None,
        "severity": str(incident.severity),
        "status": str(incident.status),
        "cause": incident.cause,
        "opened_at": _instant(incident.opened_at),
        "resolved_at": _instant(incident.resolved_at),
        **({"link": link_of(incident, settings.PUBLIC_URL)} if settings.PUBLIC_URL else {}),
    }


def _instant(value: datetime | None) -> str | None:
    return value.isoformat().replace("+00:00", "Z") if value else None
