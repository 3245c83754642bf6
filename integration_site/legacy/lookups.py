"""Reads what the translation of a request or an answer has to know of the registry."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from core.references import users_of
from integration_site.legacy.health import FleetMember
from integration_site.legacy.model import KnownAs
from registry.models import Service, ServiceInstance, ServiceStatus
from registry.services.aliases import aliases_of, find_aliased

# A fleet that is larger is told of in part.
MOST_MEMBERS = 10_000


def known_as(reference: str) -> KnownAs | None:
    """Return the instance of that alias or id; None where it names a service, or nobody."""
    found = find_aliased(reference, or_id=True)
    if found is None:
        return None
    return KnownAs(
        reference=reference,
        service_id=str(found.service_id),
        service_name=found.service_name,
        instance_id=str(found.instance_id),
        owner=found.owner,
    )


def is_needed(service_id: str) -> bool:
    """Return whether a service has other instances, or something uses it."""
    service = Service.objects.filter(pk=service_id).first()
    if service is None:
        return False
    return service.instances.count() > 1 or bool(users_of(service))


def read_aliases(instance_ids: Collection[UUID]) -> dict[UUID, str]:
    return aliases_of(instance_ids) if instance_ids else {}


def read_fleet() -> tuple[FleetMember, ...]:
    """Return all instances with their circuits, by the service's name, in one query."""
    rows = ServiceInstance.objects.order_by("service__name", "url").values_list(
        "pk", "status", "service__maintenance_since", "circuit__pk", "circuit__state",
        "circuit__failure_count", "circuit__success_count", "circuit__last_failure_at",
    )[:MOST_MEMBERS]  # fmt: skip
    return tuple(
        FleetMember(
            pk,
            ServiceStatus.MAINTENANCE if maintained else status,
            circuit,
            state,
            failures or 0,
            successes or 0,
            failed_at,
        )
        for pk, status, maintained, circuit, state, failures, successes, failed_at in rows
    )
