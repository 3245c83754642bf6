"""The sweep over those who fell silent: given up, or only suspected while too many are at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Min, QuerySet
from django.utils import timezone

from core.mediator import mediator
from registry.discovery.base import get_discovery
from registry.exceptions import DiscoveryUnavailable
from registry.models import (
    ALIVE,
    DiscoveryState,
    ObservationGap,
    Service,
    ServiceInstance,
    ServiceStatus,
)
from registry.services.mass_expiry import Fleet, room_to_expire
from registry.services.status import log_instance_change
from registry.services.uptime import GAPS_KEPT, SWEEP_INTERVAL, UNSEEN_AFTER

# What expired so shortly before belongs to the same event.
EVENT_WINDOW = timedelta(minutes=2)
# How long suspects that an operator vouches for are taken to live without a sign.
VOUCHED = timedelta(hours=1)


@dataclass(frozen=True)
class Suspicion:
    """The number of suspected instances, of those that live, and since when there are any."""

    suspected: int
    live: int
    since: datetime


def expire_instances(*, now: datetime | None = None, limit: int = 500) -> list[ServiceInstance]:
    """Mark instances whose heartbeats stopped as OFFLINE, and their services accordingly.

    While the discovery backend does not answer nobody is given up, and what it was silent for, or
    the sweep late, is added to what everybody has left.
    """
    moment = now or timezone.now()
    try:
        get_discovery().follow(now=moment)
    except DiscoveryUnavailable as error:
        _note_unreachable(moment, error.message)
        return []
    forgive(_note_sweep(moment), now=moment)
    due = _due(moment)
    if not due.exists():
        return []
    return _expire(due, now=moment, limit=limit)


def _due(now: datetime) -> QuerySet[ServiceInstance]:
    rows = ServiceInstance.objects.filter(
        status__in=ALIVE, expires_at__lt=now, suspected_at__isnull=True
    )
    return rows.select_related("service").order_by("expires_at")


def _expire(due: QuerySet[ServiceInstance], *, now: datetime, limit: int) -> list[ServiceInstance]:
    room = room_to_expire(
        _count_fleet(due, now=now),
        percent=settings.MASS_EXPIRY_PERCENT,
        least=settings.MASS_EXPIRY_MINIMUM,
    )
    silent = list(due[: max(limit, 0)])
    # Whoever beat since the sweep looked is not due any more.
    get_discovery().release([instance.pk for instance in silent])
    # Silence is what maintenance is for: it is no sign of a fault between them and the hub.
    expected = [i for i in silent if i.service.in_maintenance]
    sudden = [i for i in silent if not i.service.in_maintenance]
    expired = [i for i in (*expected, *sudden[:room]) if _expire_one(i, now=now)]
    suspected = [i for i in sudden[room:] if _suspect_one(i, now=now)]
    _refresh({instance.service_id for instance in expired + suspected})
    for service in {i.service.pk: i.service for i in expired}.values():
        mediator.publish("instance_expired", service_id=service.pk, name=service.name)
    return expired


def _count_fleet(due: QuerySet[ServiceInstance], *, now: datetime) -> Fleet:
    fleet = ServiceInstance.objects.filter(service__maintenance_since=None)
    live = fleet.filter(status__in=ALIVE)
    lately = fleet.filter(status=ServiceStatus.OFFLINE, expired_at__gt=now - EVENT_WINDOW)
    return Fleet(
        live=live.count(),
        due=due.filter(service__maintenance_since=None).count(),
        suspected=live.filter(suspected_at__isnull=False).count(),
        expired=lately.count(),
    )


def _expire_one(instance: ServiceInstance, *, now: datetime) -> bool:
    """Take it offline conditionally, so that a beat that came meanwhile wins."""
    return _silent(instance, now=now).update(status=ServiceStatus.OFFLINE, expired_at=now) == 1


def _suspect_one(instance: ServiceInstance, *, now: datetime) -> bool:
    return _silent(instance, now=now).update(suspected_at=now) == 1


def _silent(instance: ServiceInstance, *, now: datetime) -> QuerySet[ServiceInstance]:
    return ServiceInstance.objects.filter(
        pk=instance.pk, status=instance.status, expires_at__lt=now
    )


def _refresh(service_ids: Iterable[UUID]) -> None:
    for pk in service_ids:
        with transaction.atomic():
            locked = Service.objects.select_for_update().filter(pk=pk).first()
            if locked is not None:
                log_instance_change(locked)


# --- The sweep's own troubles ---


def _note_sweep(now: datetime) -> timedelta:
    """Remember that the sweep saw the fleet; return how much later than it should have."""
    state, created = DiscoveryState.objects.get_or_create(pk=1, defaults={"swept_at": now})
    before = state.swept_at
    if not created:
        DiscoveryState.objects.filter(pk=1).update(swept_at=now, unreachable_since=None, error="")
    if created or before is None or now - before <= UNSEEN_AFTER:
        return timedelta(0)
    _note_gap(before, now)
    return now - before - SWEEP_INTERVAL


def _note_gap(start: datetime, end: datetime) -> None:
    """Remember that nobody looked in between, for as long as uptime goes back."""
    ObservationGap.objects.filter(ended_at__lt=end - GAPS_KEPT).delete()
    ObservationGap.objects.create(started_at=start, ended_at=end)


def _note_unreachable(now: datetime, error: str) -> None:
    state, _ = DiscoveryState.objects.get_or_create(pk=1)
    since = state.unreachable_since or now
    DiscoveryState.objects.filter(pk=1).update(unreachable_since=since, error=error[:300])


def forgive(late: timedelta, *, now: datetime) -> None:
    """Add a time in which nobody looked to what every instance has left, up to its whole TTL."""
    if not late:
        return
    alive = ServiceInstance.objects.filter(status__in=ALIVE)
    for ttl in alive.values_list("ttl_seconds", flat=True).order_by().distinct():
        full = now + timedelta(seconds=ttl)
        same = alive.filter(ttl_seconds=ttl)
        # In this order, so that none is moved twice.
        same.filter(expires_at__gte=full - late, expires_at__lt=full).update(expires_at=full)
        same.filter(expires_at__lt=full - late).update(expires_at=F("expires_at") + late)


# --- What a person decides ---


def read_suspicion() -> Suspicion | None:
    """Return the suspicion that stands now; None while nobody is suspected."""
    suspects = _suspects()
    since = suspects.aggregate(since=Min("suspected_at"))["since"]
    if since is None:
        return None
    live = ServiceInstance.objects.filter(status__in=ALIVE).count()
    return Suspicion(suspects.count(), live, since)


def read_unreachable() -> DiscoveryState | None:
    """Return since when and why the sweep cannot see who lives; None while it can."""
    return DiscoveryState.objects.filter(unreachable_since__isnull=False).first()


def _suspects() -> QuerySet[ServiceInstance]:
    return ServiceInstance.objects.filter(status__in=ALIVE, suspected_at__isnull=False)


def expire_suspects(*, actor: str, now: datetime | None = None) -> int:
    """Take all suspects offline, because a person says that they are gone; return how many."""
    moment = now or timezone.now()
    return _settle(
        "suspects_expired",
        {"status": ServiceStatus.OFFLINE, "expired_at": moment, "suspected_at": None},
        actor=actor,
    )


def keep_suspects(*, actor: str, now: datetime | None = None) -> int:
    """Take all suspects to live for another hour, because a person says so; return how many."""
    until = (now or timezone.now()) + VOUCHED
    return _settle("suspects_kept", {"expires_at": until, "suspected_at": None}, actor=actor)


def _settle(event: str, change: dict[str, object], *, actor: str) -> int:
    with transaction.atomic():
        suspects = list(_suspects().select_for_update().order_by("pk"))
        get_discovery().release([instance.pk for instance in suspects])
        ServiceInstance.objects.filter(pk__in=[i.pk for i in suspects]).update(**change)
    _refresh({instance.service_id for instance in suspects})
    mediator.publish(event, actor=actor, count=len(suspects))
    return len(suspects)
