"""Looks at what is wrong, and writes the messages that are due into the outbox."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from core.db.signs import RowSigns
from core.failpoints import failpoint
from core.timetables import zone_of
from monitoring.alerts.causes import note_causes
from monitoring.alerts.decide import (
    RANK,
    Alert,
    Plan,
    Times,
    is_for,
    plan_digest,
    plan_messages,
)
from monitoring.alerts.escalating import escalate
from monitoring.alerts.holding import Held, read_held, read_quiet_times, traits_of
from monitoring.alerts.notices import group_key_of, remember, written
from monitoring.alerts.quiet_hours import is_quiet
from monitoring.alerts.silencing import note_silences, read_silences
from monitoring.dependencies.hard import read_hard_needs
from monitoring.models import (
    AlertChannel,
    AlertDelivery,
    AlertNotice,
    ChannelType,
    Incident,
    IncidentStatus,
    NoticeState,
    Severity,
    Subject,
)
from monitoring.models.incident import UNRESOLVED

# They keep what is open by the key of its subject.
KEEP_KEYS = frozenset({ChannelType.PAGERDUTY, ChannelType.OPSGENIE})
MOST_PASSED = 500
# An incident that did not change for so long is news to nobody; what is left are repeats.
NEWS_FOR = timedelta(minutes=2)
CALM_SECONDS = 5.0
_SIGNS = RowSigns(
    open="SELECT 1 FROM incident WHERE status IN ('OPEN', 'ACKNOWLEDGED')",
    told="SELECT 1 FROM alert_notice WHERE state = 'FIRING'",
    news=(
        "SELECT 1 FROM incident WHERE status IN ('OPEN', 'ACKNOWLEDGED') AND updated_at > %(since)s"
    ),
    ended=(
        "SELECT 1 FROM alert_notice n JOIN incident i ON i.id = n.incident_id"
        " WHERE n.state = 'FIRING' AND i.status = 'RESOLVED' AND i.updated_at > %(since)s"
    ),
    quiet="SELECT 1 FROM alert_channel WHERE quiet_since IS NOT NULL",
)


class Teller:
    """Tells channels each time there are news, and else every five seconds."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told_at = -CALM_SECONDS

    def tell_due(self, *, now: datetime) -> int:
        """Write what channels are to be told now, as far as it is time to look."""
        seen = _SIGNS.seen(since=now - NEWS_FOR)
        is_calm = not {"news", "ended"} & seen
        if not seen or (is_calm and self._clock() - self._told_at < CALM_SECONDS):
            return 0
        self._told_at = self._clock()
        return tell_channels(now=now)


teller = Teller()


def tell_channels(*, now: datetime) -> int:
    """Write what each channel is to be told now; return how many messages that are."""
    needs, occurrences = read_hard_needs(), read_quiet_times(now=now)
    silences = read_silences(now=now)
    note_causes(needs, now=now)
    note_silences(silences, now=now)
    hold = partial(read_held, occurrences=occurrences, silences=silences, needs=needs, now=now)
    keys = AlertChannel.objects.filter(enabled=True).values_list("pk", flat=True)
    told = sum(_tell(key, hold, now=now) for key in list(keys))
    return told + escalate(hold, now=now)


def _tell(key: UUID, hold: Callable[..., Held], *, now: datetime) -> int:
    """Decide and write under the lock of the channel: of two sweeps, one tells."""
    with transaction.atomic():
        rows = AlertChannel.objects.select_for_update(skip_locked=True)
        channel = rows.filter(pk=key, enabled=True).first()
        if channel is None:
            return 0
        notices, incidents = _read(channel)
        held = hold(incidents.values(), partial(_is_for, channel))
        is_quiet = is_quiet_now(channel, now)
        alerts = [
            _alert_of(
                each,
                notices.get(each.pk),
                held,
                is_quiet=is_quiet and not breaks_through(channel, each),
            )
            for each in incidents.values()
        ]
        plans = _after_quiet_hours(channel, alerts, incidents, is_quiet=is_quiet, now=now)
        may_join = channel.type not in KEEP_KEYS
        plans = plans or plan_messages(alerts, times_of(channel), now=now, may_join=may_join)
        for plan in plans:
            remember(channel, plan, incidents, now=now)
        parts = _parts_of(incidents, held)
        deliveries = [written(channel, plan, incidents, parts, now=now) for plan in plans]
        told = [each for each in deliveries if each is not None]
        AlertDelivery.objects.bulk_create(told)
        failpoint("C22")
    if told:
        failpoint("C23")
    return len(told)


def is_quiet_now(channel: AlertChannel, now: datetime) -> bool:
    """Return whether a channel is in its quiet hours."""
    return is_quiet(channel.quiet_hours, zone_of(channel.quiet_timezone), now)


def breaks_through(channel: AlertChannel, incident: Incident) -> bool:
    """Return whether an incident is told in quiet hours, too."""
    least = channel.quiet_min_severity
    return bool(least) and RANK[Severity(incident.severity)] >= RANK[Severity(least)]


def _after_quiet_hours(
    channel: AlertChannel,
    alerts: Sequence[Alert],
    incidents: dict[UUID, Incident],
    *,
    is_quiet: bool,
    now: datetime,
) -> list[Plan]:
    """Return the digest of quiet hours that are over, and keep in mind when they began."""
    since = channel.quiet_since
    if is_quiet == (since is not None):
        return []
    # Its own time of change stays: that is when somebody changed it, and its ETag.
    AlertChannel.objects.filter(pk=channel.pk).update(quiet_since=now if is_quiet else None)
    if since is None or channel.type in KEEP_KEYS:
        return []
    passed = _passed(channel, since)
    incidents.update((each.pk, each) for each in passed)
    plan = plan_digest(alerts, [each.pk for each in passed])
    return [plan] if plan else []


def _passed(channel: AlertChannel, since: datetime) -> list[Incident]:
    """Return what was over within quiet hours, so that the channel was never told of it."""
    rows = Incident.objects.filter(
        resolved_at__gte=since, suppressed_reason="", merged_into=None
    ).exclude(notices__channel=channel)
    shortest = timedelta(seconds=channel.group_wait_seconds)
    return [
        each
        for each in rows.select_related("service").order_by("opened_at")[:MOST_PASSED]
        if each.resolved_at and each.resolved_at - each.opened_at >= shortest
        if _is_for(channel, each)
    ]


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
    if channel.only_escalated:
        return False
    if incident.subject == Subject.CHANNEL_FAILING and str(channel.pk) in incident.dedup_key:
        return False  # nobody is told through a channel that it is broken
    return is_for(channel, traits_of(incident))


def _alert_of(
    incident: Incident, notice: AlertNotice | None, held: Held, *, is_quiet: bool
) -> Alert:
    told_severity = notice.severity if notice else ""
    return Alert(
        incident_id=incident.pk,
        group_key=group_key_of(incident),
        is_firing=incident.status in UNRESOLVED,
        is_acknowledged=incident.status == IncidentStatus.ACKNOWLEDGED,
        waits_from=max(incident.opened_at, held.until.get(incident.pk, incident.opened_at)),
        is_held=incident.pk in held.now,
        is_patient=incident.pk in held.patient,
        is_quiet=is_quiet,
        is_worse=told_severity == Severity.WARNING and incident.severity == Severity.CRITICAL,
        told=notice.state if notice else None,
        told_at=notice.told_at if notice else None,
    )


def _parts_of(incidents: Mapping[UUID, Incident], held: Held) -> dict[UUID, set[str]]:
    """Return the services that are a part of each outage."""
    parts: dict[UUID, set[str]] = defaultdict(set)
    for key, cause in held.by.items():
        if service := incidents[key].service:
            parts[cause].add(service.name)
    return parts
