"""Finds the versions that call what has a credential, and may not use it yet."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from django.db.models import F, Q, QuerySet

from registry.credentials.dependants import Carrier, Dependant
from workflows.models import TERMINAL, WorkflowExecution, WorkflowStatus, WorkflowVersion
from workflows.services.definitions.grants import Reaches, allow_version, uses_of_version


def waiting_versions(carrier: Carrier) -> Iterator[Dependant]:
    """Yield the versions that run now and call a service or connection without a grant.

    Those are the current ones of ACTIVE workflows, and those of executions that have not ended.
    """
    reaches = Reaches()
    for version in _running_versions().iterator(chunk_size=100):
        steps = sorted(
            {
                use.call.step
                for use in uses_of_version(version, reaches)
                if use.reach.carrier_id == carrier.pk
                and (use.grant is None or use.grant.withdrawn_at is not None)
            }
        )
        if steps:
            title = f"workflow {version.workflow.name} version {version.number}"
            yield Dependant(f"{title} ({', '.join(steps)})", partial(_allow, version, steps))


def _allow(version: WorkflowVersion, steps: list[str], actor: str) -> None:
    allow_version(version, actor=actor, steps=steps)


def _running_versions() -> QuerySet[WorkflowVersion]:
    going = WorkflowExecution.objects.exclude(status__in=TERMINAL).values("version")
    is_active = Q(workflow__status=WorkflowStatus.ACTIVE, pk=F("workflow__current_version"))
    rows = WorkflowVersion.objects.filter(is_active | Q(pk__in=going))
    return rows.select_related("workflow").order_by("workflow__name", "number")
