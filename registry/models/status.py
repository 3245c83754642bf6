"""Derives the status of a service from its instances, and says why an instance is not ONLINE."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from core.exceptions import ValidationFailed
from registry.models import Service, ServiceInstance, ServiceStatus
from registry.policies.liveness import explain_silence
from registry.policies.registering import Acceptance

ACCEPTANCES: dict[str, str] = {
    Acceptance.PENDING: "Its service waits until an operator accepts it.",
    Acceptance.REFUSED: "An operator refused its service.",
}


def derive_status(instances: Iterable[ServiceInstance], *, imposed: str = "") -> str | None:
    """Return the status of a service with these instances; None when there are none.

    One that is `imposed` on it, as by maintenance of its own, holds whoever joins or beats.
    An instance that said goodbye (OFFLINE without having expired) does not count while others
    remain; one that fell silent, or may have, degrades the service.
    """
    if imposed:
        return str(imposed)
    counted = list(instances)
    if not counted:
        return None
    statuses = {
        _counted(i)
        for i in counted
        if i.status != ServiceStatus.OFFLINE or i.expired_at is not None
    } or {ServiceStatus.OFFLINE}
    if len(statuses) == 1:
        return str(statuses.pop())
    up = statuses & {ServiceStatus.ONLINE, ServiceStatus.DEGRADED}
    if not up:
        worst_first = (ServiceStatus.MAINTENANCE, ServiceStatus.UNKNOWN, ServiceStatus.OFFLINE)
        return str(next(s for s in worst_first if s in statuses))
    trouble = statuses & {ServiceStatus.DEGRADED, ServiceStatus.OFFLINE}
    return str(ServiceStatus.DEGRADED if trouble else ServiceStatus.ONLINE)


def parse_status(value: str) -> str:
    """Return the stored word for a status that a caller gave.

    Raises:
        ValidationFailed: it is not a status, or one that only the hub gives.
    """
    try:
        status = ServiceStatus.parse(value).value
    except ValueError as error:
        raise ValidationFailed.at("status", str(error)) from None
    if status == ServiceStatus.PENDING:
        raise ValidationFailed.at("status", "PENDING is what a registration is until accepted.")
    return str(status)


def status_after_maintenance(instance: ServiceInstance, *, now: datetime) -> str:
    """Return the status of an instance after maintenance: signs of life were taken meanwhile."""
    lives = instance.expires_at is not None and instance.expires_at > now
    return instance.observed_status(ServiceStatus.ONLINE) if lives else ServiceStatus.UNKNOWN


def explain_status(instance: ServiceInstance, *, now: datetime) -> str:
    """Say why an instance is not ONLINE; empty where it is."""
    if instance.service.acceptance != Acceptance.ACCEPTED:
        return ACCEPTANCES[instance.service.acceptance]
    if instance.service.in_maintenance:
        return _explain_maintenance(instance.service)
    if instance.status == ServiceStatus.MAINTENANCE:
        return _explain_maintenance(instance)
    if instance.suspect:
        return f"It fell silent together with many others. {_silence(instance, now)}"
    if instance.status == ServiceStatus.OFFLINE:
        silent = instance.expired_at is not None
        return _silence(instance, now) if silent else "It signed off, or was set OFFLINE."
    if instance.status == ServiceStatus.UNKNOWN:
        return "Nothing was heard of it since its status was set."
    if instance.status == ServiceStatus.DEGRADED:
        return _explain_degraded(instance)
    return ""


def _explain_degraded(instance: ServiceInstance) -> str:
    if instance.unhealthy_since is None:
        return "It says so itself, or was set DEGRADED."
    return f"Its health URL does not answer well: {instance.probe_error or 'not often enough'}."


def _explain_maintenance(row: Service | ServiceInstance) -> str:
    of = "Its service is" if isinstance(row, Service) else "It is"
    why = f": {row.maintenance_reason}" if row.maintenance_reason else "."
    return f"{of} under maintenance{why}"


def _silence(instance: ServiceInstance, now: datetime) -> str:
    return explain_silence(
        instance.lives_by,
        now=now,
        beaten_at=instance.last_heartbeat_at,
        answered_at=instance.last_answer_at,
        has_beaten=instance.has_beaten,
        error=instance.probe_error,
    )


def _counted(instance: ServiceInstance) -> str:
    if instance.suspect and instance.status == ServiceStatus.ONLINE:
        return ServiceStatus.DEGRADED
    return instance.status
