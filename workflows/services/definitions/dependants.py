"""Finds the versions of workflows that call what has a credential."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet

from registry.credentials.dependants import Carrier, Dependant
from registry.integrations.dependants import integrations_of
from registry.models import Connection, Integration, Service
from workflows.models import TERMINAL, WorkflowExecution, WorkflowStatus, WorkflowVersion
from workflows.services.definitions.grants import (
    Reaches,
    VersionUse,
    grant_version,
    uses_of_version,
    withdraw_version,
)


def dependent_versions(row: Carrier | Integration) -> Iterator[Dependant]:
    """Yield the versions that run now and lead to the credential of a row, by calling it.

    Those are the current ones of ACTIVE workflows, and those of executions that have not ended.
    """
    reaches = Reaches()
    versions = _running_versions().filter(_may_name(row)).prefetch_related("grants")
    for version in versions.iterator(chunk_size=100):
        uses = [use for use in uses_of_version(version, reaches) if use.reach.leads_through(row.pk)]
        if uses:
            yield _dependant(version, uses, through=row.pk)


def _dependant(version: WorkflowVersion, uses: Collection[VersionUse], through: UUID) -> Dependant:
    waiting = sorted({use.call.step for use in uses if not use.is_granted})
    granted = [use.grant.pk for use in uses if use.grant is not None and use.is_granted]
    title = f"workflow {version.workflow.name} version {version.number}"
    return Dependant(
        row=version,
        title=f"{title} ({', '.join(waiting or sorted({use.call.step for use in uses}))})",
        lines=[use.line() for use in uses],
        is_waiting=bool(waiting),
        grant=partial(_allow, version, through),
        withdraw=partial(_withdraw, version, granted) if granted else None,
    )


def _allow(version: WorkflowVersion, through: UUID, actor: str) -> None:
    with transaction.atomic():
        grant_version(version, actor=actor, through=through)


def _withdraw(version: WorkflowVersion, grants: list[UUID], actor: str, reason: str) -> None:
    withdraw_version(version, actor=actor, reason=reason, grants=grants)


def _running_versions() -> QuerySet[WorkflowVersion]:
    going = WorkflowExecution.objects.exclude(status__in=TERMINAL).values("version")
    is_active = Q(workflow__status=WorkflowStatus.ACTIVE, pk=F("workflow__current_version"))
    rows = WorkflowVersion.objects.filter(is_active | Q(pk__in=going))
    return rows.select_related("workflow").order_by("workflow__name", "number")


def _may_name(row: Carrier | Integration) -> Q:
    """Return a selection of the versions whose definition may call a row; more than do, never less.

    What was there when a version was saved is bound by id; what came later is meant by its name,
    and a service by its type too.
    """
    callees: list[Service | Connection | Integration] = [row]
    if not isinstance(row, Integration):
        callees += integrations_of(row)
    found = Q(steps__icontains=row.type) if isinstance(row, Service) else Q()
    for each in callees:
        found |= Q(bindings__icontains=str(each.pk)) | Q(steps__icontains=each.name)
        found |= Q(steps__icontains=str(each.pk))
    return found
