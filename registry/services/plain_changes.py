"""Changes what services say of themselves: all that come together in one transaction.

That is what heartbeats and calls do not ask for: who changes a name, a type, an address or a
credential is held against more, by `update_service`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.utils import timezone
from structlog.contextvars import bound_contextvars

from core import audit
from core.db.locking import columns_of
from core.db.rows import fetch_all, insert_rows
from core.exceptions import IntegrationError
from core.json.equality import json_equal
from core.models import AuditEntry, AuditVerb
from registry.discovery.change_log import record_changes
from registry.models import RegistryChangeKind, Service
from registry.models.status import derive_status
from registry.policies.registering import Registrant
from registry.services.acceptance import check_owner
from registry.services.lifecycle import ANYBODY, Registration, assign_fields, check_row
from registry.services.readings import ServiceReading, read_changed, read_services

CHANGED_PLAINLY = (
    "description", "version", "tags", "metadata", "criticality", "breaker", "probing", "limits",
    "liveness", "updated_at",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Applicant:
    """Who registers or changes a service, and with which rights."""

    registrant: Registrant = ANYBODY
    may_use_credentials: bool = True
    audited: audit.Actor | None = None
    request_id: str = ""

    @contextlib.contextmanager
    def acting(self) -> Iterator[None]:
        """Let what is done meanwhile be recorded as done by it."""
        with audit.acting(self.audited), bound_contextvars(request_id=self.request_id):
            yield


@dataclass(frozen=True, slots=True)
class PlainChange:
    """A change of the service of an id or name."""

    reference: str
    registration: Registration
    applicant: Applicant


@dataclass(frozen=True, slots=True, eq=False)
class PlannedChange:
    """A service as it was read, and its row as it will be."""

    reading: ServiceReading
    service: Service
    fields: frozenset[str]
    entry: AuditEntry | None


def change_many(changes: Sequence[PlainChange]) -> list[ServiceReading | None]:
    """Change services, some statements for all; return each as it is committed then.

    None is for what is not plain, says nothing new or is refused: nothing is done for it, and it is
    for `update_service`.
    """
    readings = read_services({change.reference for change in changes})
    plans = [_plan(readings.get(change.reference), change) for change in changes]
    firsts = first_of_each([plan for plan in plans if plan is not None])
    stored = store_changes(firsts)
    return [stored.get(plan.service.pk) if plan in firsts else None for plan in plans]


def _plan(reading: ServiceReading | None, change: PlainChange) -> PlannedChange | None:
    registration = change.registration
    is_plain = (
        registration.url is None
        and registration.actions is None
        and not registration.status
        and not registration.instance_fields
        and registration.credential is None
    )
    if reading is None or not is_plain or registration.name not in ("", reading.state.service.name):
        return None
    return plan_change(reading, registration.fields, change.applicant)


def plan_change(
    reading: ServiceReading, fields: Mapping[str, Any], applicant: Applicant
) -> PlannedChange | None:
    """Return what becomes of a service that is given these fields; None where more is to be done.

    Also where nothing changes, or the applicant may not change it so.
    """
    service = reading.service()
    before = columns_of(service)
    try:
        check_owner(service, applicant.registrant)
        with applicant.acting():
            snapshot = audit.snapshot(service)
            assign_fields(service, fields)
            check_row(service)
    except (IntegrationError, PermissionDenied):
        return None
    after = columns_of(service)
    changed = frozenset(name for name in after if not json_equal(after[name], before[name]))
    if not changed or not changed <= set(CHANGED_PLAINLY) or not _is_settled(service):
        return None
    with applicant.acting():
        changes = audit.changes_since(snapshot, service)
        entry = audit.entry_on(AuditVerb.CHANGED, service, changes=changes) if changes else None
    return PlannedChange(reading, service, changed, entry)


def _is_settled(service: Service) -> bool:
    """Return whether the status is the one that its instances give it."""
    instances = service.instances.all()
    return derive_status(instances, imposed=service.imposed_status) == service.status


def first_of_each(plans: Sequence[PlannedChange]) -> list[PlannedChange]:
    """Return the first change of each service."""
    firsts: dict[UUID, PlannedChange] = {}
    for plan in plans:
        firsts.setdefault(plan.service.pk, plan)
    return list(firsts.values())


def store_changes(plans: Sequence[PlannedChange]) -> dict[UUID, ServiceReading]:
    """Store changes, one of each service; return the services as they are then, by their ids.

    Those are left out whose rows are not as they were read, or are held by somebody.
    """
    if not plans:
        return {}
    with connection.wrap_database_errors, transaction.atomic():
        keys = _update(plans, timezone.now())
        stored = [plan for plan in plans if plan.service.pk in keys]
        if not stored:
            return {}
        entries = [plan.entry for plan in stored if plan.entry is not None]
        if entries:
            insert_rows(*entries)
        readings = read_changed([plan.reading for plan in stored])
        services = [plan.service for plan in stored]
        kind = RegistryChangeKind.UPDATED
        record_changes(services, kind, [plan.fields for plan in stored])
    return readings


def _update(plans: Sequence[PlannedChange], now: datetime) -> set[UUID]:
    """Write the rows; return the ids of those that were as they were read."""
    if connection.vendor != "postgresql":
        return {plan.service.pk for plan in plans if _update_one(plan, now)}
    rows = [
        {
            "id": str(plan.service.pk),
            "read_at": plan.service.updated_at.isoformat(),
            **{name: getattr(plan.service, name) for name in CHANGED_PLAINLY},
            "updated_at": now.isoformat(),
        }
        for plan in plans
    ]
    return {row[0] for row in fetch_all(_update_statement(), [json.dumps(rows)])}


def _update_one(plan: PlannedChange, now: datetime) -> bool:
    service = plan.service
    unchanged = Service.objects.filter(pk=service.pk, updated_at=service.updated_at)
    values = {name: getattr(service, name) for name in CHANGED_PLAINLY}
    return unchanged.update(**{**values, "updated_at": now}) == 1


@cache
def _update_statement() -> str:
    """Return an UPDATE that waits for nobody: whose row is held is left for later."""
    types = {name: Service._meta.get_field(name).db_type(connection) for name in CHANGED_PLAINLY}
    columns = ", ".join(f"{name} {kind}" for name, kind in types.items())
    values = ", ".join(f"{name} = held.{name}" for name in types)
    return f"""
        WITH held AS MATERIALIZED (
            SELECT change.*, row.ctid FROM jsonb_to_recordset(%s::jsonb) AS change (
                id uuid, read_at timestamptz, {columns}
            ) CROSS JOIN LATERAL (
                SELECT service.ctid FROM registered_service AS service
                WHERE service.id = change.id AND service.updated_at = change.read_at
                FOR NO KEY UPDATE SKIP LOCKED
            ) AS row
        )
        UPDATE registered_service SET {values}
        FROM held WHERE registered_service.ctid = held.ctid RETURNING registered_service.id
    """  # noqa: S608
