"""Decides what a channel is told now (pure).

The three times are those of Prometheus' Alertmanager: a subject's first message waits for others
(group wait), the next on it come no faster than the group interval, and what has not changed is
told again after the repeat interval. What ended before it was told is not told at all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Protocol
from uuid import UUID

from core.name_patterns import matches_any
from monitoring.dependencies.ways import reach
from monitoring.models import (
    AlertChannel,
    AlertSilence,
    DeliveryReason,
    EscalationPolicy,
    NoticeState,
    Severity,
    Subject,
)

# So many subjects at once are one message.
MOST_MESSAGES = 5
# What of a service may be no more than the outage of what it needs.
OF_ANOTHER = frozenset({Subject.SERVICE_DOWN, Subject.SERVICE_DEGRADED, Subject.CHECK_FAILING})
# Who needs others waits twice as long, that those are seen first, and not longer than this for it.
MOST_PATIENCE = timedelta(seconds=120)
RANK = {Severity.WARNING: 0, Severity.CRITICAL: 1}


@dataclass(frozen=True, slots=True)
class Alert:
    """An incident as a channel sees it: what it was told of it, and when.

    `waits_from` is when the group wait began: as it opened, or as what held it back ended. One that
    is held back is not told; one that became worse than it was told is news again. One that may be
    the outage of another is patient: that one may be seen a little later.
    """

    incident_id: UUID
    group_key: str
    is_firing: bool
    is_acknowledged: bool
    waits_from: datetime
    is_held: bool = False
    is_worse: bool = False
    is_patient: bool = False
    is_quiet: bool = False
    told: str | None = None
    told_at: datetime | None = None

    @property
    def is_told_firing(self) -> bool:
        return self.told == NoticeState.FIRING

    @property
    def is_new(self) -> bool:
        """Whether it has to be told: somebody who sees to it already needs no call."""
        is_news = not self.is_told_firing or self.is_worse
        waits = self.is_acknowledged or self.is_held or self.is_quiet
        return self.is_firing and is_news and not waits

    @property
    def has_ended(self) -> bool:
        return self.is_told_firing and not self.is_firing and not self.is_quiet


@dataclass(frozen=True, slots=True)
class Times:
    """A channel's three times; a `repeat` of None never repeats."""

    wait: timedelta
    interval: timedelta
    repeat: timedelta | None

    def wait_of(self, alert: Alert) -> timedelta:
        """Return how long the first message on an alert waits."""
        longer = min(2 * self.wait, MOST_PATIENCE)
        return max(self.wait, longer) if alert.is_patient else self.wait


@dataclass(frozen=True, slots=True)
class Plan:
    """A message that is due: why, on which subjects, and which incidents it tells of."""

    reason: DeliveryReason
    group_key: str
    firing: tuple[UUID, ...]
    ended: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class IncidentTraits:
    """An incident as filters see it; `service` is empty where it is of the hub itself."""

    subject: str
    severity: str
    about: str = ""
    service: str = ""
    tags: Sequence[str] = ()


class Filters(Protocol):
    """What says of which incidents it is; empty lists let everything through."""

    subjects: Sequence[str]
    services: Sequence[str]
    tags: Sequence[str]


def passes(filters: Filters, incident: IncidentTraits) -> bool:
    """Return whether an incident passes all filters; one of the hub none by service or tag."""
    if filters.subjects and incident.subject not in filters.subjects:
        return False
    service = incident.service
    if filters.services and not (service and matches_any(filters.services, service)):
        return False
    return not filters.tags or bool(set(filters.tags) & set(incident.tags))


def is_for(asking: AlertChannel | EscalationPolicy, incident: IncidentTraits) -> bool:
    """Return whether an incident is grave enough for who asks, and passes the filters."""
    is_grave = RANK[Severity(incident.severity)] >= RANK[Severity(asking.min_severity)]
    return is_grave and passes(asking, incident)


def is_silenced_by(silence: AlertSilence, incident: IncidentTraits) -> bool:
    """Return whether an incident passes every matcher of a silence."""
    if silence.about and not (incident.about and matches_any(silence.about, incident.about)):
        return False
    return passes(silence, incident)


def due_levels(
    after_minutes: Sequence[int], done: Collection[int], *, since: datetime, now: datetime
) -> list[int]:
    """Return the levels, from 1 on, that are to be told of what nobody sees to `since` then."""
    waited = now - since
    return [
        level
        for level, minutes in enumerate(after_minutes, start=1)
        if level not in done and waited >= timedelta(minutes=minutes)
    ]


@dataclass(frozen=True, slots=True)
class ServiceTrouble:
    """An open incident of a service, as what may be the outage of another, or that outage."""

    incident_id: UUID
    service_id: UUID
    subject: str
    opened_at: datetime

    @property
    def may_be_of_another(self) -> bool:
        return self.subject in OF_ANOTHER


def find_causes(
    troubles: Iterable[ServiceTrouble], needs: Mapping[UUID, Sequence[UUID]]
) -> dict[UUID, UUID]:
    """Return of which incidents nobody is told, each with the outage that it is a part of.

    That is one of what its service needs, also through others, and that itself is a part of none;
    of several the first. `needs` has no circles.
    """
    troubles = list(troubles)
    down = {each.service_id: each for each in troubles if each.subject == Subject.SERVICE_DOWN}
    reached = {each.service_id: reach(needs, each.service_id) for each in troubles}
    first = {key for key in down if not any(other in down for other in reached[key])}
    causes = {}
    for trouble in troubles:
        roots = [down[key] for key in reached[trouble.service_id] if key in first]
        if roots and trouble.may_be_of_another:
            causes[trouble.incident_id] = min(
                roots, key=attrgetter("opened_at", "incident_id")
            ).incident_id
    return causes


def plan_messages(
    alerts: Iterable[Alert], times: Times, *, now: datetime, may_join: bool = True
) -> list[Plan]:
    """Return the messages that are due: one for each subject, one for all where they are many.

    Who keeps what is open by the key of its subject (not `may_join`) is told each by itself, as an
    end could not be told of what was joined.
    """
    groups: dict[str, list[Alert]] = defaultdict(list)
    for alert in alerts:
        groups[alert.group_key].append(alert)
    plans = [
        plan for key, group in groups.items() if (plan := plan_group(key, group, times, now=now))
    ]
    return [_together(plans)] if may_join and len(plans) > MOST_MESSAGES else plans


def plan_digest(alerts: Iterable[Alert], passed: Sequence[UUID]) -> Plan | None:
    """Return the message on quiet hours that are over, with what came and went; None if nothing."""
    alerts = list(alerts)
    firing = tuple(each.incident_id for each in alerts if each.is_new)
    ended = (*(each.incident_id for each in alerts if each.has_ended), *passed)
    return Plan(DeliveryReason.DIGEST, "digest", firing, ended) if firing or ended else None


def plan_group(key: str, alerts: Sequence[Alert], times: Times, *, now: datetime) -> Plan | None:
    """Return the message on a subject that is due now, if one is."""
    new = [each for each in alerts if each.is_new]
    ended = [each for each in alerts if each.has_ended]
    still = [e for e in alerts if e.is_told_firing and e.is_firing and not e.is_new]
    last = max((each.told_at for each in alerts if each.told_at), default=None)
    firing = tuple(each.incident_id for each in (*new, *still))
    over = tuple(each.incident_id for each in ended)
    if new or ended:
        is_due = last is None or now >= last + times.interval
        if new and not still and not ended:
            is_due = is_due and now >= min(each.waits_from + times.wait_of(each) for each in new)
        reason = DeliveryReason.FIRING if new or still else DeliveryReason.RESOLVED
        return Plan(reason, key, firing, over) if is_due else None
    waits = [e for e in still if not (e.is_acknowledged or e.is_held or e.is_quiet)]
    if waits and times.repeat and last and now >= last + times.repeat:
        return Plan(DeliveryReason.REPEAT, key, firing)
    return None


def _together(plans: Sequence[Plan]) -> Plan:
    """Return one message for all; it is as urgent as the most urgent of them."""
    reasons = {plan.reason for plan in plans}
    by_urgency = (DeliveryReason.FIRING, DeliveryReason.REPEAT, DeliveryReason.RESOLVED)
    return Plan(
        next(reason for reason in by_urgency if reason in reasons),
        "many",
        tuple(each for plan in plans for each in plan.firing),
        tuple(each for plan in plans for each in plan.ended),
    )
