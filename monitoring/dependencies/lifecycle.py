"""Dependencies are made and deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction

from core import audit
from core.db.locking import hold_word
from core.db.models import get_by_id
from core.db.validation import check_columns
from core.exceptions import Conflict, NotFound, ValidationFailed
from core.models import AuditVerb
from monitoring.dependencies.ways import find_way, needs_of
from monitoring.models import DependencyKind, ServiceDependency
from registry.models import Service

logger = structlog.get_logger(__name__)

# Two at once, each free of circles, could close one together: they are made one after the other.
LOCK = "service_dependency"


def get_dependency(reference: str) -> ServiceDependency:
    """Return the dependency of that id.

    Raises:
        NotFound: there is none.
    """
    rows = ServiceDependency.objects.select_related("service", "depends_on")
    return get_by_id(rows, reference, "dependency")


def create_dependency(fields: Mapping[str, Any], *, actor: str) -> ServiceDependency:
    """Say that a service needs another.

    Raises:
        ValidationFailed: one of them is unknown, they are the same, or it would close a circle.
        Conflict: it was said already.
    """
    row = ServiceDependency(
        service=Service.objects.get_given("service", fields["service"]),
        depends_on=Service.objects.get_given("depends_on", fields["depends_on"]),
        kind=fields.get("kind", DependencyKind.HARD),
    )
    with transaction.atomic():
        hold_word(LOCK)
        check_dependency(row)
        row.save(force_insert=True)
        audit.record(AuditVerb.CREATED, row)
    logger.info("dependency_created", dependency=str(row), kind=str(row.kind), actor=actor)
    return row


def update_dependency(
    row: ServiceDependency, fields: Mapping[str, Any], *, actor: str
) -> ServiceDependency:
    """Say how much a service needs another.

    Raises:
        ValidationFailed: the kind is none of these.
        NotFound: it was taken back meanwhile.
    """
    with transaction.atomic():
        locked = ServiceDependency.objects.select_for_update().filter(pk=row.pk).first()
        if locked is None:
            raise NotFound(f"'{row}' was taken back meanwhile.")
        before = audit.snapshot(locked)
        locked.kind = fields.get("kind", locked.kind)
        check_columns(locked)
        locked.save(update_fields=("kind", "updated_at"))
        audit.record_changes(locked, before)
    logger.info("dependency_changed", dependency=str(row), kind=str(locked.kind), actor=actor)
    return locked


def delete_dependency(row: ServiceDependency, *, actor: str) -> None:
    """Take back that a service needs another."""
    with transaction.atomic():
        audit.record(AuditVerb.DELETED, row)
        row.delete()
    logger.info("dependency_deleted", dependency=str(row), actor=actor)


def check_dependency(row: ServiceDependency) -> None:
    """Hold a new dependency against those that are there.

    Raises:
        ValidationFailed: it would close a circle.
        Conflict: it was said already.
    """
    _refuse_circle(row)
    if ServiceDependency.objects.filter(service=row.service, depends_on=row.depends_on).exists():
        raise Conflict(
            f"'{row.service}' is known to need '{row.depends_on}'. Delete that first to change"
            " how much."
        )


def _refuse_circle(row: ServiceDependency) -> None:
    if row.service == row.depends_on:
        raise ValidationFailed.at("depends_on", "A service does not depend on itself.")
    needs = needs_of(ServiceDependency.objects.values_list("service", "depends_on"))
    way = find_way(needs, row.depends_on.pk, row.service.pk)
    if way:
        names = _names_of(way)
        circle = " -> ".join([row.service.name, *(names[key] for key in way)])
        raise ValidationFailed.at("depends_on", f"That would close a circle: {circle}.")


def _names_of(keys: list[UUID]) -> dict[UUID, str]:
    return dict(Service.objects.filter(pk__in=keys).values_list("pk", "name"))
