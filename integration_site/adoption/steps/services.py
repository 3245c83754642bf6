"""Takes services with their instances, actions and circuits: all of each in one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from core.db.clock import database_now
from core.failpoints import failpoint
from integration_site.adoption.conversion.circuits import convert_circuits
from integration_site.adoption.conversion.services import ConvertedService, convert_services
from integration_site.adoption.conversion.values import Cells
from integration_site.adoption.plan import Adoption, StepCounter
from integration_site.adoption.record import DONE
from registry.discovery.change_log import record_changes
from registry.models import (
    CircuitBreakerState,
    RegistryChangeKind,
    Service,
    ServiceAction,
    ServiceAlias,
    ServiceInstance,
)
from registry.models.status import derive_status
from registry.services.aliases import keep_alias
from registry.services.status import refresh_status

NAME = "services"


def take_services(adoption: Adoption) -> None:
    """Take all registered services, and what their circuit breakers were."""
    counter = StepCounter.resume(adoption.record, NAME)
    with transaction.atomic():
        now = database_now()
        rows = list(adoption.cells("registered_service"))
        services = convert_services(rows, now=now)
        stored = [_store(adoption, converted) for converted in services]
        _keep_identifiers(adoption, services)
        _take_circuits(adoption, services, counter, now=now)
        if stored:
            record_changes(stored, RegistryChangeKind.REGISTERED)
        count_rows(counter, rows, "registered_service")
        failpoint("M4", NAME)
        counter.store(adoption.record, state=DONE)
    adoption.say(f"{NAME:<14} {len(services):,} of {len(rows):,} rows")


def _store(adoption: Adoption, converted: ConvertedService) -> Service:
    """Store a service with its parts, or its parts only where the hub has one of its name."""
    service = converted.service
    existing = Service.objects.find(service.name) or Service.objects.filter(pk=service.pk).first()
    if existing is None:
        service.status = derive_status(converted.instances.values()) or service.status
        service.save(force_insert=True)
        adoption.record.add_rows("service", [service.pk])
    else:
        service = existing
    instances = _new_instances(converted, service)
    actions = _new_actions(converted, service)
    ServiceInstance.objects.bulk_create(instances)
    ServiceAction.objects.bulk_create(actions)
    adoption.record.add_rows("instance", [row.pk for row in instances])
    adoption.record.add_rows("action", [row.pk for row in actions])
    if existing is not None:
        refresh_status(existing)
    return service


def _new_instances(converted: ConvertedService, service: Service) -> list[ServiceInstance]:
    """Return those whose address and id the hub does not have; the others stand for them."""
    present: QuerySet[ServiceInstance] = service.instances.all()
    by_url = {row.url: row for row in present}
    new = []
    for url, instance in converted.instances.items():
        if url in by_url or ServiceInstance.objects.filter(pk=instance.pk).exists():
            instance.pk = by_url[url].pk if url in by_url else instance.pk
            continue
        instance.service = service
        new.append(instance)
    return new


def _new_actions(converted: ConvertedService, service: Service) -> list[ServiceAction]:
    names = set(service.actions.values_list("name", flat=True))
    new = [action for name, action in converted.actions.items() if name not in names]
    for action in new:
        action.service = service
    return new


def _keep_identifiers(adoption: Adoption, services: Iterable[ConvertedService]) -> None:
    """Let each instance be found by every id that a row of it had."""
    before = set(ServiceAlias.objects.values_list("pk", flat=True))
    for converted in services:
        for identifier, instance in converted.by_identifier.items():
            if identifier.strip():
                keep_alias(identifier, instance.pk)
    new = ServiceAlias.objects.exclude(pk__in=before).values_list("pk", flat=True)
    adoption.record.add_rows("alias", new)


def _take_circuits(
    adoption: Adoption, services: Iterable[ConvertedService], counter: StepCounter, *, now: datetime
) -> None:
    instances: dict[str, UUID] = {
        identifier: instance.pk
        for converted in services
        for identifier, instance in converted.by_identifier.items()
    }
    rows = list(adoption.cells("circuit_breaker_state"))
    circuits = convert_circuits(rows, instances, now=now)
    has_one = set(
        CircuitBreakerState.objects.filter(
            instance_id__in=[circuit.instance_id for circuit in circuits]
        ).values_list("instance_id", flat=True)
    )
    new = [circuit for circuit in circuits if circuit.instance_id not in has_one]
    CircuitBreakerState.objects.bulk_create(new)
    adoption.record.add_rows("circuit", [circuit.pk for circuit in new])
    count_rows(counter, rows, "circuit_breaker_state")


def count_rows(counter: StepCounter, rows: Iterable[Cells], kind: str) -> None:
    """Count the rows of a kind by what became of them."""
    for cells in rows:
        counter.add(f"{kind}.read")
        verdicts = {finding.verdict for finding in cells.notes}
        counter.add(f"{kind}.{'left' if 'LEFT' in verdicts else 'taken'}")
        counter.add(f"{kind}.mended", verdicts == {"MENDED"})
        counter.findings += cells.notes
