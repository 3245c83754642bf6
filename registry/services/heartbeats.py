"""Takes heartbeats: one query and one UPDATE for each that brings no news."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from core.cache import BoundedCache
from core.db.json_fields import validate_metadata
from core.db.locking import lock_row
from core.db.names import name_in
from core.db.rows import read_joined, read_row
from core.exceptions import NotFound, ValidationFailed
from core.identifiers import read_id
from registry.discovery.base import RENEWED, get_discovery
from registry.models import Credential, Service, ServiceAction, ServiceInstance, ServiceStatus
from registry.models.status import parse_status
from registry.services.lookup import base_url_of, get_service, reload_service
from registry.services.status import log_instance_change, refresh_status

_action_cache: BoundedCache[UUID, tuple[datetime, list[ServiceAction]]] = BoundedCache(10_000)
JOINED = "JOIN service_instance ON service_instance.service_id = registered_service.id"
BY_ID = f"{JOINED} WHERE registered_service.id = %s ORDER BY service_instance.url"
BY_NAME = f"{JOINED} WHERE lower(registered_service.name) = lower(%s) ORDER BY service_instance.url"


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """A sign of life; which instance it is from may be left out when there is only one.

    Raises:
        ValidationFailed: its metadata is too large.
    """

    instance_id: str = ""
    url: str = ""
    status: str = ""
    metadata: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.metadata is not None:
            _check_metadata(self.metadata)


def _check_metadata(metadata: Mapping[str, Any]) -> None:
    try:
        validate_metadata(metadata)
    except ValidationError as error:
        raise ValidationFailed.at("metadata", error.messages[0]) from None


def beat_service(
    reference: str, heartbeat: Heartbeat, *, allow: Callable[[Service], None] = lambda _: None
) -> Service:
    """Take a heartbeat for the service of that id or name, if `allow` raises nothing.

    One that changes nothing but its time is one query and one UPDATE, or with a lease store the
    query alone.

    Raises:
        NotFound, ValidationFailed: see `record_heartbeat`.
    """
    service = find_beating(reference)
    allow(service)
    return record_heartbeat(service, heartbeat)


def record_heartbeat(service: Service, heartbeat: Heartbeat) -> Service:
    """Take a heartbeat of an instance of a service that was read just now.

    MAINTENANCE stays; any other status yields to what the instance says (ONLINE when silent).

    Raises:
        NotFound: no instance has that id or URL, or the service has none.
        ValidationFailed: it has several and the beat does not say which, or a wrong status.
    """
    instance = _beating_instance(service, heartbeat)
    reported = parse_status(heartbeat.status) if heartbeat.status else ServiceStatus.ONLINE.value
    beat = instance.record_heartbeat(
        at=timezone.now(), status=reported, metadata=heartbeat.metadata
    )
    if beat.keys() <= RENEWED and get_discovery().renew(instance, beat):
        return service
    with transaction.atomic():
        locked = lock_row(service)
        instance = _lock_instance(instance)
        beat = instance.record_heartbeat(
            at=timezone.now(), status=reported, metadata=heartbeat.metadata
        )
        get_discovery().hold(instance, beat)
        if beat.keys() & {"status", "suspected_at"}:
            log_instance_change(locked)
        else:
            refresh_status(locked, log_change=True)
    return reload_service(service)


def _lock_instance(instance: ServiceInstance) -> ServiceInstance:
    rows = ServiceInstance.objects.select_for_update(of=("self",)).select_related("service")
    locked = rows.filter(pk=instance.pk).first()
    if locked is None:
        raise NotFound(f"The instance '{instance.url}' was removed meanwhile. Register it first.")
    return locked


def _beating_instance(service: Service, heartbeat: Heartbeat) -> ServiceInstance:
    instances = list(service.instances.all())
    if not instances:
        raise NotFound(
            f"The service '{service.name}' has no instance. Register it with its url first."
        )
    if not heartbeat.instance_id and not heartbeat.url:
        if len(instances) == 1:
            return instances[0]
        sentence = f"The service has {len(instances)} instances: say which one beats."
        raise ValidationFailed(
            sentence, errors={"url": [f"{sentence} Give its url or instance_id."]}
        )
    url = base_url_of(heartbeat.url) if heartbeat.url else None
    key = read_id(heartbeat.instance_id)
    for instance in instances:
        if key == instance.pk or url == instance.url:
            return instance
    raise NotFound(
        f"The service '{service.name}' has no instance"
        f" '{heartbeat.instance_id or heartbeat.url}'. Register it first."
    )


def find_beating(reference: str) -> Service:
    """Return the service of that id or name as it is now, with its instances and actions.

    Raises:
        NotFound: there is none.
    """
    key = read_id(reference)
    pairs = read_joined(
        Service, ServiceInstance, BY_NAME if key is None else BY_ID, [key or name_in(reference)]
    )
    if not pairs:
        return get_service(reference)
    service = pairs[0][0]
    instances = [instance for _, instance in pairs]
    for instance in instances:
        instance.service = service
    if service.credential_id:
        parameters = [service.credential_id]
        service.credential = read_row(Credential, "WHERE id = %s", parameters, only=("id", "name"))
    service.hold_parts(instances=instances, actions=_actions_of(service))
    return service


def _actions_of(service: Service) -> list[ServiceAction]:
    """Return the actions of a service that was read just now.

    `updated_at` of a service changes with its actions, in the same transaction: what is cached for
    the state that was just read is what is committed.
    """
    state, actions = _action_cache.get(service.pk, (None, []))
    if state != service.updated_at:
        actions = list(service.actions.all())
        _action_cache[service.pk] = service.updated_at, actions
    return actions
