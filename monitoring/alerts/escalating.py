"""Tells others of what nobody sees to: the channels of each level of a policy, in its time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction

from core.durations import in_words
from monitoring.alerts.decide import Plan, due_levels, is_for
from monitoring.alerts.holding import Held, traits_of
from monitoring.alerts.notices import group_key_of, remember, written
from monitoring.models import (
    AlertChannel,
    AlertDelivery,
    AlertEscalation,
    DeliveryReason,
    EscalationPolicy,
    Incident,
    IncidentStatus,
    UpdateKind,
)
from monitoring.timeline import add_entry

logger = structlog.get_logger(__name__)


def escalate(hold: Callable[..., Held], *, now: datetime) -> int:
    """Tell the channels of every level that is due; return how many messages that are."""
    policies = list(EscalationPolicy.objects.filter(enabled=True))
    if not policies:
        return 0
    rows = Incident.objects.filter(status=IncidentStatus.OPEN)
    incidents = list(rows.select_related("service", "merged_into"))
    held = hold(incidents, lambda _: True)
    reached = _read_reached(incidents)
    told = 0
    for incident in incidents:
        if incident.pk in held.now:
            continue
        since = max(incident.nobodys_since, held.until.get(incident.pk, incident.nobodys_since))
        for policy in policies:
            if not is_for(policy, traits_of(incident)):
                continue
            minutes = [level["after_minutes"] for level in policy.levels]
            done = reached[policy.pk, incident.pk, incident.nobodys_since]
            for level in due_levels(minutes, done, since=since, now=now):
                told += _reach(policy, incident, level, now=now)
    return told


def _read_reached(incidents: Sequence[Incident]) -> Mapping[Any, Collection[int]]:
    """Return the levels that were told already, by policy, incident and since when."""
    reached: dict[Any, set[int]] = defaultdict(set)
    rows = AlertEscalation.objects.filter(incident__in=[each.pk for each in incidents])
    for policy, incident, since, level in rows.values_list("policy", "incident", "since", "level"):
        reached[policy, incident, since].add(level)
    return reached


def _reach(policy: EscalationPolicy, incident: Incident, level: int, *, now: datetime) -> int:
    """Tell the channels of a level, if nobody sees to it yet; of two sweeps, one tells."""
    with transaction.atomic():
        rows = Incident.objects.select_for_update(no_key=True, of=("self",))
        locked = rows.filter(
            pk=incident.pk,
            status=IncidentStatus.OPEN,
            unattended_since=incident.unattended_since,
        ).first()
        if locked is None or not _is_first(policy, incident, level):
            return 0
        keys = policy.levels[level - 1]["channels"]
        channels = list(AlertChannel.objects.filter(pk__in=keys, enabled=True).order_by("name"))
        told = [_message(channel, incident, now=now) for channel in channels]
        AlertDelivery.objects.bulk_create(told)
        waited = in_words((now - incident.nobodys_since).total_seconds())
        names = ", ".join(channel.name for channel in channels) or "nobody: its channels are off"
        text = f"Nobody saw to it for {waited}: level {level} of '{policy.name}' tells {names}."
        add_entry(incident, text, at=now, kind=UpdateKind.ESCALATION)
    logger.warning("incident_escalated", incident=str(incident.pk), policy=policy.name, level=level)
    return len(told)


def _is_first(policy: EscalationPolicy, incident: Incident, level: int) -> bool:
    """Store that a level was reached; False when it was before."""
    about: dict[str, Any] = {"policy": policy, "incident": incident, "level": level}
    _, is_new = AlertEscalation.objects.get_or_create(**about, since=incident.nobodys_since)
    return is_new


def _message(channel: AlertChannel, incident: Incident, *, now: datetime) -> AlertDelivery:
    plan = Plan(DeliveryReason.ESCALATION, group_key_of(incident), (incident.pk,))
    incidents: Mapping[UUID, Incident] = {incident.pk: incident}
    remember(channel, plan, incidents, now=now)
    message = written(channel, plan, incidents, {}, now=now)
    assert message is not None
    return message
