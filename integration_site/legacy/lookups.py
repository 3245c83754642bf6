"""Reads what the translation of a request or an answer has to know of the registry."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import Any
from uuid import UUID

from core.exceptions import NotFound
from core.identifiers import id_of_text, read_id
from core.references import users_of
from integration_site.legacy.health import FleetMember
from integration_site.legacy.model import KnownAs, NamedService
from registry.models import Integration, Service, ServiceInstance, ServiceStatus, TargetKind
from registry.services import get_service
from registry.services.aliases import aliases_of, find_aliased
from workflows.models import StepStatus, WorkflowExecution, WorkflowStep
from workflows.services import get_workflow

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


def execution_id(reference: str) -> str:
    """Return the id of the execution that a caller calls so, or what it says where none is."""
    return find_execution(reference) or reference


def find_execution(reference: str) -> str:
    """Return the id of the execution that a caller calls so; empty where there is none."""
    key = id_of_text(reference)
    if WorkflowExecution.objects.filter(pk=key).exists():
        return str(key)
    rows = WorkflowExecution.objects.filter(correlation_id=reference[:100].replace("\x00", ""))
    newest = rows.order_by("-created_at").values_list("pk", flat=True).first()
    return str(newest) if newest else ""


def stopped_at(execution: str) -> frozenset[str]:
    """Return by which ids and paths the steps are known at which an execution stopped."""
    key = read_id(execution)
    statuses = (StepStatus.FAILED, StepStatus.CANCELLED, StepStatus.NEEDS_REVIEW)
    rows = WorkflowStep.objects.filter(execution_id=key, status__in=statuses)
    return frozenset(str(name) for row in rows.values_list("pk", "step_id", "path") for name in row)


def definition_of(workflow: str) -> dict[str, Any]:
    """Return the definition that a workflow has, with its name; empty where there is none."""
    with suppress(NotFound):
        row = get_workflow(workflow)
        if row.current_version is not None:
            return {"name": row.name, **row.current_version.document}
    return {}


def named_services(references: Collection[str]) -> dict[str, NamedService]:
    """Return the services of these ids, names or aliases, by how they are referred to."""
    services = {}
    for reference in references:
        with suppress(NotFound):
            service = get_service(reference)
            names = tuple(action.name for action in service.actions.all())
            services[reference] = NamedService(service.name, names)
    return services


def target_so_far(integration: str) -> dict[str, NamedService]:
    """Return the service that an integration calls, under an empty reference."""
    row = Integration.objects.find(integration)
    if row is None or row.target_kind != TargetKind.SERVICE:
        return {}
    return {"": NamedService(row.target)}


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
