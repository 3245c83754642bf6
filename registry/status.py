"""What the statuses of its instances say about a service (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from registry.models.service import ServiceInstance, ServiceStatus


def derive_status(
    instances: Iterable[ServiceInstance], *, in_maintenance: bool = False
) -> str | None:
    """The status of a service with these instances; None when there are none.

    A service that is under maintenance itself is in MAINTENANCE, whoever joins or beats.
    An instance that said goodbye (OFFLINE without having expired) does not count while others
    remain; one that fell silent, or may have, degrades the service.
    """
    if in_maintenance:
        return ServiceStatus.MAINTENANCE.value
    found = list(instances)
    if not found:
        return None
    statuses = {
        _counted(i) for i in found if i.status != ServiceStatus.OFFLINE or i.expired_at is not None
    } or {ServiceStatus.OFFLINE}
    if len(statuses) == 1:
        return str(statuses.pop())
    up = statuses & {ServiceStatus.ONLINE, ServiceStatus.DEGRADED}
    if not up:
        worst_first = (ServiceStatus.MAINTENANCE, ServiceStatus.UNKNOWN, ServiceStatus.OFFLINE)
        return str(next(s for s in worst_first if s in statuses))
    trouble = statuses & {ServiceStatus.DEGRADED, ServiceStatus.OFFLINE}
    return str(ServiceStatus.DEGRADED if trouble else ServiceStatus.ONLINE)


def status_after_maintenance(instance: ServiceInstance, *, now: datetime) -> str:
    """The status of an instance whose maintenance ends: signs of life were taken meanwhile."""
    lives = instance.expires_at is not None and instance.expires_at > now
    return instance.observed_status(ServiceStatus.ONLINE) if lives else ServiceStatus.UNKNOWN


def _counted(instance: ServiceInstance) -> str:
    if instance.suspect and instance.status == ServiceStatus.ONLINE:
        return ServiceStatus.DEGRADED
    return instance.status
