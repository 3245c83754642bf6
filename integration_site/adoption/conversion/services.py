"""Makes services, instances and actions of registered services of the earlier system (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from rest_framework.exceptions import ValidationError

from core.addresses import BadAddress, normal_base_url, normal_url
from core.exceptions import ValidationFailed
from core.identifiers import id_of_text
from integration_site.adoption.conversion.values import Cells, id_for, key_text, name_of
from registry.api.endpoints import ENDPOINT_FIELDS, actions_of
from registry.models import Service, ServiceAction, ServiceInstance
from registry.models.service import ServiceStatus, ServiceType
from registry.services.lifecycle import check_row

TTL_SECONDS = 90


@dataclass
class ConvertedService:
    """A service with its parts, not stored; `by_identifier` has the instance of each old id."""

    service: Service
    instances: dict[str, ServiceInstance] = field(default_factory=dict)
    actions: dict[str, ServiceAction] = field(default_factory=dict)
    by_identifier: dict[str, ServiceInstance] = field(default_factory=dict)


def convert_services(rows: Iterable[Cells], *, now: datetime) -> list[ConvertedService]:
    """Return a service for each name, with an instance for each address that it had."""
    services: dict[str, ConvertedService] = {}
    taken: set[str] = set()
    for cells in rows:
        identifier = key_text(cells.row, "service_id")
        if identifier in taken:
            cells.notes.left("another row has this service_id")
            continue
        taken.add(identifier)
        name = name_of(cells)
        converted = services.get(name.lower())
        if converted is None:
            converted = services[name.lower()] = _new_service(cells, name, identifier)
        _add_instance(converted, cells, identifier, now=now)
        _add_actions(converted, cells)
    return list(services.values())


def _new_service(cells: Cells, name: str, identifier: str) -> ConvertedService:
    metadata = cells.object("service_metadata") or cells.object("metadata")
    if (given := cells.text("name")) != name and given:
        metadata = {**metadata, "earlier": {"name": given[:300]}}
    service = Service(
        id=id_of_text(identifier),
        name=name,
        type=cells.enum("type", ServiceType, ServiceType.CUSTOM),
        version=cells.text("version", most=50),
        description=str(metadata.get("description") or "")[:5000],
        metadata=metadata,
    )
    try:
        check_row(service)
    except ValidationFailed as refused:
        cells.notes.mended("service_metadata", f"{refused.message}; left out")
        service.metadata = {}
    return ConvertedService(service)


def _add_instance(
    converted: ConvertedService, cells: Cells, identifier: str, *, now: datetime
) -> None:
    url = cells.text("base_url")
    try:
        address = normal_base_url(url)
    except BadAddress as error:
        cells.notes.mended("base_url", f"'{url[:60]}': {error} It has no instance")
        return
    if (earlier := converted.instances.get(address)) is not None:
        cells.notes.mended("base_url", "another row of this name has it; both are one instance")
        converted.by_identifier[identifier] = earlier
        return
    instance = ServiceInstance(
        id=id_of_text(identifier),
        service=converted.service,
        url=address,
        health_url=_health_url(cells),
        status=cells.enum("status", ServiceStatus, ServiceStatus.ONLINE),
        version=cells.text("version", most=50),
        ttl_seconds=TTL_SECONDS,
        # A registration counts as a sign of life: it is not forgotten as long silent.
        last_heartbeat_at=now,
        metadata=_metadata_of(cells),
        registered_at=cells.time("registered_at") or now,
    )
    _settle_status(instance, now=now)
    try:
        check_row(instance, exclude=("service",))
    except ValidationFailed as refused:
        cells.notes.mended("base_url", f"'{url[:60]}': {refused.message} It has no instance")
        return
    converted.instances[address] = converted.by_identifier[identifier] = instance


def _metadata_of(cells: Cells) -> dict[str, Any]:
    beaten_at = cells.time("last_heartbeat")
    return {"earlier": {"last_heartbeat": beaten_at.isoformat()}} if beaten_at else {}


def _settle_status(instance: ServiceInstance, *, now: datetime) -> None:
    """Give it the time that a registration gives to send a sign of life, or be asked for one."""
    if instance.status == ServiceStatus.MAINTENANCE:
        instance.begin_maintenance(at=now)
    if instance.status != ServiceStatus.OFFLINE:
        instance.expires_at = now + timedelta(seconds=TTL_SECONDS)
    if instance.health_url:
        instance.next_probe_at = now


def _health_url(cells: Cells) -> str:
    text = cells.text("health_check_url")
    try:
        return normal_url(text) if text else ""
    except BadAddress as error:
        cells.notes.mended("health_check_url", f"'{text[:60]}': {error} It is not asked")
        return ""


def _add_actions(converted: ConvertedService, cells: Cells) -> None:
    endpoints = cells.json("endpoints")
    if endpoints is None:
        return
    if not isinstance(endpoints, list):
        cells.notes.mended("endpoints", "is no list; there are no actions of it")
        return
    usable = []
    for endpoint in endpoints:
        try:
            usable += _with_known_fields(endpoint)
        except ValidationError:
            cells.notes.mended("endpoints", f"{str(endpoint)[:80]} is no endpoint; left out")
    for fields in actions_of(usable, taken=set(converted.actions)):
        _add_action(converted, cells, fields)


def _with_known_fields(endpoint: Any) -> list[dict[str, Any]]:
    """Return an endpoint in a list. Raises: ValidationError."""
    if isinstance(endpoint, dict):
        endpoint = {name: endpoint[name] for name in ENDPOINT_FIELDS if name in endpoint}
    actions_of([endpoint], taken=set())
    return [endpoint]


def _add_action(converted: ConvertedService, cells: Cells, fields: Mapping[str, Any]) -> None:
    action = ServiceAction(
        id=id_for(f"{converted.service.id}/{fields['name']}", of="service_action"),
        service=converted.service,
        **fields,
    )
    try:
        check_row(action, exclude=("service",))
    except ValidationFailed as refused:
        cells.notes.mended("endpoints", f"{fields['path'][:60]}: {refused.message}; left out")
        return
    converted.actions[action.name] = action
