"""Keeps the log of changes that watchers of discovery follow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest

from django.db import connection

from core.db.rows import fetch_all, insert_rows
from core.mediator import mediator
from registry.discovery.base import ACTIONS, INSTANCES
from registry.models import RegistryChange, RegistryChangeKind, Service

KEPT_CHANGES = 10_000
# The topic under which processes tell each other which service changed.
NEWS = "registry"


# It changes with whatever does.
_WITH_ANY = "updated_at"


def record_change(service: Service, kind: str, fields: Iterable[str] | None = None) -> None:
    """Append to the log that watchers follow; call it inside the transaction of the change.

    `fields` are the columns that changed, with INSTANCES and ACTIONS; None where any may have.
    """
    record_changes([service], kind, [fields])


def record_changes(
    services: Sequence[Service],
    kind: str,
    fields: Sequence[Iterable[str] | None] = (),
) -> None:
    """Append a change of this kind of each service, in their order; `fields` are of each.

    Writers take turns, so that no index becomes visible after a higher one was read.
    """
    if connection.vendor == "postgresql":
        fetch_all("SELECT pg_advisory_xact_lock(hashtext('registry_change'))", ())
    changes = [
        RegistryChange(
            service_id=service.pk, service_name=service.name, kind=kind, status=service.status
        )
        for service in services
    ]
    with connection.wrap_database_errors:
        insert_rows(*changes)
    for service, changed in zip_longest(services, fields):
        mediator.publish_on_commit(
            "registry_changed",
            service_id=service.pk,
            kind=str(kind),
            fields=() if changed is None else {*changed, _WITH_ANY},
        )


def log_changed_parts(service: Service) -> None:
    """Mark a service as changed, because an action or instance was; inside that transaction."""
    service.save(update_fields=("updated_at",))
    record_change(service, RegistryChangeKind.UPDATED, (INSTANCES, ACTIONS, "status"))


def cut_change_log() -> None:
    """Drop all entries but the latest."""
    last = RegistryChange.objects.order_by("-index").values_list("index", flat=True).first()
    if last:
        RegistryChange.objects.filter(index__lte=last - KEPT_CHANGES).delete()
