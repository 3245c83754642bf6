"""Takes heartbeats: one query and one UPDATE for all that come together and bring no news."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.utils import timezone

from core.db.json_fields import validate_metadata
from core.db.locking import lock_row
from core.exceptions import IntegrationError, NotFound, ValidationFailed
from core.identifiers import read_id
from registry.discovery.base import RENEWED, Renewal, get_discovery
from registry.models import Service, ServiceInstance, ServiceStatus
from registry.models.status import parse_status
from registry.services.lookup import base_url_of, get_service, reload_service
from registry.services.readings import ServiceReading, ServiceState, read_services
from registry.services.status import log_instance_change, refresh_status

_RENEWED = frozenset(RENEWED)


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


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat for the service of an id or name, taken if `allow` raises nothing."""

    reference: str
    heartbeat: Heartbeat
    allow: Callable[[Service], None]


def beat_service(
    reference: str, heartbeat: Heartbeat, *, allow: Callable[[Service], None] = lambda _: None
) -> Service:
    """Take a heartbeat for the service of that id or name, if `allow` raises nothing.

    Raises:
        NotFound, ValidationFailed: see `record_heartbeat`.
    """
    [reading] = renew_many([Beat(reference, heartbeat, allow)])
    if reading is not None:
        return reading.service()
    service = get_service(reference)
    allow(service)
    return record_heartbeat(service, heartbeat)


def renew_many(beats: Sequence[Beat]) -> list[ServiceReading | None]:
    """Take heartbeats that bring no news, in one query and one UPDATE for all.

    Return what is committed then of the service of each. None is for those that bring news or are
    refused: for them nothing is done, and they are for `beat_service`.
    """
    readings = read_services({beat.reference for beat in beats})
    now = timezone.now()
    renewed: list[_Renewed | None] = []
    firsts: dict[UUID, _Renewed] = {}
    for beat in beats:
        reading = readings.get(beat.reference)
        own = _renew(reading, beat, now) if reading else None
        if own is not None and not firsts.setdefault(own.key, own).covers(own):
            own = None
        renewed.append(own)
    stored = get_discovery().renew([each.renewal for each in firsts.values()])
    for key in stored:
        firsts[key].reading.renew(firsts[key].renewal.instance)
    return [each.reading if each and each.key in stored else None for each in renewed]


@dataclass(frozen=True, slots=True)
class _Renewed:
    """A heartbeat without news of a service that was read."""

    reading: ServiceReading
    renewal: Renewal

    @property
    def key(self) -> UUID:
        key: UUID = self.renewal.instance.id
        return key

    def covers(self, other: _Renewed) -> bool:
        """Return whether storing this one does all that another one of the instance asks for."""
        brings = self.renewal.brings_metadata or other.renewal.brings_metadata
        return self is other or not brings


def _renew(reading: ServiceReading, beat: Beat, now: datetime) -> _Renewed | None:
    """Return what a heartbeat renews; None where it changes more, or is refused."""
    try:
        beat.allow(reading.state.service)
        instance = reading.instance_of(_beating_instance(reading.state, beat.heartbeat))
        changes = _change(instance, beat.heartbeat, now)
    except (IntegrationError, PermissionDenied):
        return None
    if not changes.keys() <= _RENEWED:
        return None
    had_beaten = "has_beaten" not in changes
    return _Renewed(reading, Renewal(instance, had_beaten, "metadata" in changes))


def _change(instance: ServiceInstance, heartbeat: Heartbeat, now: datetime) -> dict[str, Any]:
    reported = parse_status(heartbeat.status) if heartbeat.status else ServiceStatus.ONLINE.value
    return instance.record_heartbeat(at=now, status=reported, metadata=heartbeat.metadata)


def record_heartbeat(service: Service, heartbeat: Heartbeat) -> Service:
    """Take a heartbeat of an instance of a service that was read just now.

    MAINTENANCE stays; any other status yields to what the instance says (ONLINE when silent).

    Raises:
        NotFound: no instance has that id or URL, or the service has none.
        ValidationFailed: it has several and the beat does not say which, or a wrong status.
    """
    instance = find_beating(service.name, list(service.instances.all()), heartbeat)
    with transaction.atomic():
        locked = lock_row(service)
        instance = _lock_instance(instance)
        beat = _change(instance, heartbeat, timezone.now())
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


def _beating_instance(state: ServiceState, heartbeat: Heartbeat) -> ServiceInstance:
    """Return the same as `find_beating`, without a look at all where the heartbeat is plain."""
    if heartbeat.url and not heartbeat.instance_id:
        instance = state.by_url.get(heartbeat.url)
        if instance is not None:
            return instance
    return find_beating(state.service.name, state.instances, heartbeat)


def find_beating(
    name: str, instances: Sequence[ServiceInstance], heartbeat: Heartbeat
) -> ServiceInstance:
    """Return which instance of the service of that name a heartbeat is of.

    Raises:
        NotFound, ValidationFailed: see `record_heartbeat`.
    """
    if not instances:
        raise NotFound(f"The service '{name}' has no instance. Register it with its url first.")
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
        f"The service '{name}' has no instance"
        f" '{heartbeat.instance_id or heartbeat.url}'. Register it first."
    )
