"""Statuses that a person sets, of services and of single instances, and how maintenance ends."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import models, transaction
from django.utils import timezone

from core import audit
from core.db.locking import columns_of, lock_row
from core.exceptions import NotFound, ValidationFailed
from core.identifiers import read_id
from core.models import AuditVerb
from core.models.audit import MAX_REASON
from registry.discovery.base import get_discovery
from registry.models import Service, ServiceInstance, ServiceStatus
from registry.models.maintenance import MAINTENANCE_FIELDS
from registry.models.status import parse_status, status_after_maintenance
from registry.services.lookup import reload_service
from registry.services.status import log_instance_change

logger = structlog.get_logger(__name__)

LONGEST = timedelta(days=365)
MAINTENANCE = ServiceStatus.MAINTENANCE
_MOMENTS = ("maintenance_since", "maintenance_until")


def set_service_status(
    service: Service,
    status: str,
    *,
    actor: str = "",
    reason: str = "",
    until: datetime | None = None,
) -> Service:
    """Put a service under maintenance, or end that and set the status of all its instances.

    MAINTENANCE is the service's own, whatever its instances say and whichever join it, until
    another status is set, it is lifted, or `until` is reached. Every other status holds until a
    heartbeat or a health URL says otherwise.

    Raises:
        ValidationFailed: it is not a status, or an end or a reason that makes no sense.
    """
    value = _checked(status, reason=reason, until=until)
    with transaction.atomic():
        locked = lock_row(service)
        was, before = locked.status, _set_of(locked)
        if value == MAINTENANCE:
            locked.begin_maintenance(at=timezone.now(), until=until, reason=reason, by=actor)
        else:
            locked.end_maintenance()
            _set_instances(locked, value)
        if _set_of(locked) != before:
            locked.save(update_fields=(*MAINTENANCE_FIELDS, "updated_at"))
        log_instance_change(locked, default=value)
        _record(locked, was, value, reason=reason, until=until)
    return reload_service(locked)


def _set_of(service: Service) -> tuple[Any, ...]:
    """Return what a status that is set changes, of a service and of its instances."""
    instances = service.instances.order_by("pk").values_list("pk", "status", *MAINTENANCE_FIELDS)
    return columns_of(service), list(instances)


def _set_instances(service: Service, status: str) -> None:
    get_discovery().release(service.instances.values_list("pk", flat=True))
    service.instances.update(
        status=status, expired_at=None, suspected_at=None, **dict.fromkeys(_MOMENTS),
        maintenance_reason="", maintenance_by="",
    )  # fmt: skip


def set_instance_status(
    service: Service,
    instance_id: str,
    status: str,
    *,
    actor: str = "",
    reason: str = "",
    until: datetime | None = None,
) -> Service:
    """Set the status of one instance, as `set_service_status` does of all.

    Raises:
        NotFound: the service has no such instance.
        ValidationFailed: it is not a status, or an end or a reason that makes no sense.
    """
    value = _checked(status, reason=reason, until=until)
    with transaction.atomic():
        locked = lock_row(service)
        instance = find_instance(locked, instance_id)
        was = instance.status
        if value == MAINTENANCE:
            instance.begin_maintenance(at=timezone.now(), until=until, reason=reason, by=actor)
        else:
            instance.end_maintenance()
        _turn(instance, value)
        log_instance_change(locked)
        _record(instance, was, value, reason=reason, until=until)
    return reload_service(locked)


def find_instance(service: Service, instance_id: str) -> ServiceInstance:
    """Return the instance with that id.

    Raises:
        NotFound: the service has no such instance.
    """
    rows = service.instances.select_for_update()
    key = read_id(instance_id)
    instance = next((row for row in rows if row.pk == key), None)
    if instance is None:
        raise NotFound(f"The service '{service.name}' has no instance '{instance_id}'.")
    return instance


def _turn(instance: ServiceInstance, status: str) -> None:
    get_discovery().release([instance.pk])
    instance.status = status
    instance.expired_at = instance.suspected_at = None
    instance.save(update_fields=("status", "expired_at", "suspected_at", *MAINTENANCE_FIELDS))


def lift_maintenance(service: Service) -> Service:
    """End the maintenance of a service: what is known of its instances holds again."""
    with transaction.atomic():
        locked = lock_row(service)
        was = locked.status
        _lift(locked)
        audit.record(AuditVerb.MAINTENANCE_ENDED, locked, changes={"status": [was, locked.status]})
    return reload_service(locked)


def lift_instance_maintenance(instance: ServiceInstance, *, actor: str = "") -> Service:
    """End the maintenance of one instance: what was observed of it meanwhile holds."""
    with transaction.atomic():
        locked = lock_row(instance.service)
        row = find_instance(locked, str(instance.pk))
        was = row.status
        _end(row, now=timezone.now())
        log_instance_change(locked)
        audit.record(AuditVerb.MAINTENANCE_ENDED, row, changes={"status": [was, row.status]})
    logger.info("maintenance_ended", service=locked.name, instance=row.url, actor=actor)
    return reload_service(locked)


def _lift(service: Service) -> None:
    """End the maintenance of a locked service; of its instances, where all were alone in it."""
    if not service.in_maintenance:
        for instance in service.instances.select_for_update().filter(status=MAINTENANCE):
            _end(instance, now=timezone.now())
    service.end_maintenance()
    service.save(update_fields=(*MAINTENANCE_FIELDS, "updated_at"))
    log_instance_change(service, default=ServiceStatus.UNKNOWN)


def _end(instance: ServiceInstance, *, now: datetime) -> None:
    instance.end_maintenance()
    _turn(instance, status_after_maintenance(instance, now=now))


def end_due_maintenance(*, now: datetime, limit: int = 200) -> int:
    """Lift at most `limit` maintenances of services and of instances whose end is reached."""
    instances = ServiceInstance.objects.select_related("service")
    ended = [_end_of_service(row, now=now) for row in _due(Service.objects.all(), now, limit)]
    ended += [_end_of_instance(row, now=now) for row in _due(instances, now, limit)]
    return sum(ended)


def _due(rows: Any, now: datetime, limit: int) -> list[Any]:
    return list(rows.filter(maintenance_until__lte=now).order_by("maintenance_until")[:limit])


def _end_of_service(service: Service, *, now: datetime) -> bool:
    with transaction.atomic():
        locked = Service.objects.select_for_update().filter(pk=service.pk).first()
        if locked is None or not _is_due(locked, now=now):
            return False
        _lift(locked)
    logger.info("maintenance_ended", service=service.name)
    return True


def _end_of_instance(instance: ServiceInstance, *, now: datetime) -> bool:
    with transaction.atomic():
        service = Service.objects.select_for_update().filter(pk=instance.service_id).first()
        row = ServiceInstance.objects.select_for_update().filter(pk=instance.pk).first()
        if service is None or row is None or not _is_due(row, now=now):
            return False
        _end(row, now=now)
        log_instance_change(service)
    logger.info("maintenance_ended", service=instance.service.name, instance=instance.url)
    return True


def _is_due(row: Service | ServiceInstance, *, now: datetime) -> bool:
    return row.maintenance_until is not None and row.maintenance_until <= now


def _checked(status: str, *, reason: str, until: datetime | None) -> str:
    """Return the stored word for a status, once all that is said with it makes sense.

    Raises:
        ValidationFailed
    """
    value = parse_status(status)
    errors: dict[str, list[str]] = {}
    if len(reason) > MAX_REASON:
        errors["reason"] = [f"At most {MAX_REASON} characters."]
    if until is not None and value != MAINTENANCE:
        errors["until"] = ["Only MAINTENANCE ends by itself."]
    elif until is not None and not (now := timezone.now()) < until <= now + LONGEST:
        errors["until"] = ["Must be in the future, and within a year."]
    if errors:
        raise ValidationFailed.by_path(errors)
    return value


def _record(
    row: models.Model, was: str, status: str, *, reason: str, until: datetime | None
) -> None:
    changes: dict[str, Any] = {"status": [was, status]}
    if until is not None:
        changes["until"] = [None, until.isoformat()]
    audit.record(_verb_of(was, status), row, reason=reason, changes=changes)


def _verb_of(was: str, status: str) -> AuditVerb:
    if status == MAINTENANCE:
        return AuditVerb.MAINTENANCE_STARTED
    return AuditVerb.MAINTENANCE_ENDED if was == MAINTENANCE else AuditVerb.STATUS_SET
