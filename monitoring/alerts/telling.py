"""Looks at what is wrong, and writes the messages that are due into the outbox."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from core.db.signs import RowSigns
from monitoring.alerts.causes import note_causes
from monitoring.alerts.decide import Alert, Plan, Times, is_for, plan_messages
from monitoring.alerts.holding import Held, read_held, read_quiet_times, traits_of
from monitoring.alerts.silencing import note_silences, read_silences
from monitoring.alerts.wording import link_of, word_message
from monitoring.dependencies.hard import read_hard_needs
from monitoring.models import (
    AlertChannel,
    AlertDelivery,
    AlertNotice,
    DeliveryReason,
    Incident,
    IncidentStatus,
    NoticeState,
    Severity,
    Subject,
)
from monitoring.models.incident import UNRESOLVED

MOST_TOLD_OF = 100
_SIGNS = RowSigns(
    open="SELECT 1 FROM incident WHERE status IN ('OPEN', 'ACKNOWLEDGED')",
    told="SELECT 1 FROM alert_notice WHERE state = 'FIRING'",
)


def tell_channels(*, now: datetime) -> int:
    """Write what each channel is to be told now; return how many messages that are."""
    if not _SIGNS.seen():
        return 0
    needs, occurrences = read_hard_needs(), read_quiet_times(now=now)
    silences = read_silences(now=now)
    note_causes(needs, now=now)
    note_silences(silences, now=now)
    hold = partial(read_held, occurrences=occurrences, silences=silences, needs=needs, now=now)
    keys = AlertChannel.objects.filter(enabled=True).values_list("pk", flat=True)
    return sum(_tell(key, hold, now=now) for key in list(keys))


def _tell(key: UUID, hold: Callable[..., Held], *, now: datetime) -> int:
    """Decide and write under the lock of the channel: of two sweeps, one tells."""
    with transaction.atomic():
        rows = AlertChannel.objects.select_for_update(skip_locked=True)
        channel = rows.filter(pk=key, enabled=True).first()
        if channel is None:
            return 0
        notices, incidents = _read(channel)
        held = hold(incidents.values(), partial(_is_for, channel))
        alerts = [_alert_of(each, notices.get(each.pk), held) for each in incidents.values()]
        plans = plan_messages(alerts, times_of(channel), now=now)
        for plan in plans:
            _remember(channel, plan, incidents, now=now)
        parts = _parts_of(incidents, held)
        deliveries = [_written(channel, plan, incidents, parts, now=now) for plan in plans]
        told = [each for each in deliveries if each is not None]
        AlertDelivery.objects.bulk_create(told)
    return len(told)


def times_of(channel: AlertChannel) -> Times:
    repeat = timedelta(seconds=channel.repeat_seconds)
    return Times(
        wait=timedelta(seconds=channel.group_wait_seconds),
        interval=timedelta(seconds=channel.group_interval_seconds),
        repeat=repeat or None,
    )


def _read(channel: AlertChannel) -> tuple[dict[UUID, AlertNotice], dict[UUID, Incident]]:
    """Return what a channel was told, and the incidents that it is for."""
    firing = AlertNotice.objects.filter(channel=channel, state=NoticeState.FIRING)
    told = Q(pk__in=firing.values("incident"))
    rows = Incident.objects.filter(Q(status__in=UNRESOLVED) | told).select_related(
        "service", "merged_into"
    )
    incidents = {each.pk: each for each in rows}
    relevant = AlertNotice.objects.filter(channel=channel, incident__in=incidents.keys())
    notices = {each.incident_id: each for each in relevant}
    known = {key for key, each in notices.items() if each.state == NoticeState.FIRING}
    passed = {k: each for k, each in incidents.items() if k in known or _is_for(channel, each)}
    return notices, passed


def _is_for(channel: AlertChannel, incident: Incident) -> bool:
    if incident.subject == Subject.CHANNEL_FAILING and str(channel.pk) in incident.dedup_key:
        return False  # nobody is told through a channel that it is broken
    return is_for(channel, traits_of(incident))


def _alert_of(incident: Incident, notice: AlertNotice | None, held: Held) -> Alert:
    of_service = incident.service_id is not None
    told_severity = notice.severity if notice else ""
    return Alert(
        incident_id=incident.pk,
        group_key=f"service:{incident.service_id}" if of_service else incident.dedup_key,
        is_firing=incident.status in UNRESOLVED,
        is_acknowledged=incident.status == IncidentStatus.ACKNOWLEDGED,
        waits_from=max(incident.opened_at, held.until.get(incident.pk, incident.opened_at)),
        is_held=incident.pk in held.now,
        is_patient=incident.pk in held.patient,
        is_worse=told_severity == Severity.WARNING and incident.severity == Severity.CRITICAL,
        told=notice.state if notice else None,
        told_at=notice.told_at if notice else None,
    )


def _remember(
    channel: AlertChannel, plan: Plan, incidents: Mapping[UUID, Incident], *, now: datetime
) -> None:
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


def _parts_of(incidents: Mapping[UUID, Incident], held: Held) -> dict[UUID, set[str]]:
    """Return the services that are a part of each outage."""
    parts: dict[UUID, set[str]] = defaultdict(set)
    for key, cause in held.by.items():
        if service := incidents[key].service:
            parts[cause].add(service.name)
    return parts


def _written(
    channel: AlertChannel,
    plan: Plan,
    incidents: Mapping[UUID, Incident],
    parts: Mapping[UUID, Collection[str]],
    *,
    now: datetime,
) -> AlertDelivery | None:
    """Return the message of a plan; None for an end that the channel does not want told."""
    if plan.reason == DeliveryReason.RESOLVED and not channel.send_resolved:
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
