"""Instances beat, fall silent, and are forgotten."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from core.db.locking import lock_row
from core.exceptions import NotFound, ValidationFailed
from core.identifiers import read_id
from core.models import IdempotencyRecord
from registry.discovery.base import get_discovery
from registry.models import RegistryChange, Service, ServiceInstance, ServiceStatus
from registry.services.lifecycle import remove_instance
from registry.services.lookup import (
    base_url_of,
    instance_status,
    note_instances,
    refresh_status,
    reload_service,
)

KEPT_CHANGES = 10_000


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """A sign of life; which instance it is from may be left out when there is only one."""

    instance_id: str = ""
    url: str = ""
    status: str = ""
    metadata: Mapping[str, Any] | None = None


def record_heartbeat(service: Service, beat: Heartbeat) -> Service:
    """Take a sign of life of an instance.

    MAINTENANCE stays; any other status yields to what the instance says (ONLINE when silent).

    Raises:
        NotFound: no instance has that id or URL, or the service has none.
        ValidationFailed: it has several and the beat does not say which, or a wrong status.
    """
    instance = _beating_instance(service, beat)
    reported = instance_status(beat.status) if beat.status else ServiceStatus.ONLINE.value
    metadata = _news(beat, instance)
    at = timezone.now()
    status = instance.observed_status(reported)
    if get_discovery().renew(instance, at=at, status=status, metadata=metadata):
        return service
    with transaction.atomic():
        locked = lock_row(service)
        instance = _lock_instance(instance)
        status = instance.observed_status(reported)
        metadata = _news(beat, instance)
        before = (instance.status, instance.suspect)
        get_discovery().take_beat(instance, at=timezone.now(), status=status, metadata=metadata)
        if (instance.status, instance.suspect) != before:
            note_instances(locked)
        else:
            refresh_status(locked, note=True)
    return reload_service(service)


def _news(beat: Heartbeat, instance: ServiceInstance) -> dict[str, Any] | None:
    """The metadata of a beat where the record does not have it already."""
    if beat.metadata is None or _text(beat.metadata) == _text(instance.metadata):
        return None
    return dict(beat.metadata)


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, sort_keys=True)


def _lock_instance(instance: ServiceInstance) -> ServiceInstance:
    rows = ServiceInstance.objects.select_for_update(of=("self",)).select_related("service")
    locked = rows.filter(pk=instance.pk).first()
    if locked is None:
        raise NotFound(f"The instance '{instance.url}' was removed meanwhile. Register it first.")
    return locked


def _beating_instance(service: Service, beat: Heartbeat) -> ServiceInstance:
    instances = list(service.instances.all())
    if not instances:
        raise NotFound(
            f"The service '{service.name}' has no instance. Register it with its url first."
        )
    if not beat.instance_id and not beat.url:
        if len(instances) == 1:
            return instances[0]
        sentence = f"The service has {len(instances)} instances: say which one beats."
        raise ValidationFailed(
            sentence, errors={"url": [f"{sentence} Give its url or instance_id."]}
        )
    url = base_url_of(beat.url) if beat.url else None
    key = read_id(beat.instance_id)
    for instance in instances:
        if key == instance.pk or url == instance.url:
            return instance
    raise NotFound(
        f"The service '{service.name}' has no instance"
        f" '{beat.instance_id or beat.url}'. Register it first."
    )


def forget_old(*, now: datetime, age: timedelta, limit: int = 500) -> int:
    """Drop instances that are gone for longer than `age`, and old entries of the change log."""
    gone = ServiceInstance.objects.filter(
        status=ServiceStatus.OFFLINE,
        last_heartbeat_at__lt=now - age,
        service__maintenance_since=None,
    )
    gone = gone.exclude(last_answer_at__gte=now - age)
    dropped = 0
    for instance in gone.select_related("service")[:limit]:
        remove_instance(instance.service, str(instance.pk))
        dropped += 1
    last = RegistryChange.objects.order_by("-index").values_list("index", flat=True).first()
    if last:
        RegistryChange.objects.filter(index__lte=last - KEPT_CHANGES).delete()
    return dropped


def forget_answers(*, now: datetime, limit: int = 1000) -> int:
    """Forget at most `limit` answers to repeated writes that are a day old; return how many."""
    old = IdempotencyRecord.objects.filter(created_at__lt=now - timedelta(days=1))
    oldest = list(old.order_by("created_at").values_list("pk", flat=True)[:limit])
    return IdempotencyRecord.objects.filter(pk__in=oldest).delete()[0] if oldest else 0
