"""Discovery in the database: an instance is alive until its `expires_at`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, Max, Min, OuterRef, Q, QuerySet

from core.db.json_lookups import has_entry, has_item
from core.db.rows import fetch_all
from core.json import strict
from registry.discovery.base import (
    RENEWED,
    Changes,
    Criteria,
    Renewal,
    ServiceDiscoveryStrategy,
    Staleness,
)
from registry.models import (
    RegistryChange,
    Service,
    ServiceAction,
    ServiceInstance,
    ServiceStatus,
)

MAX_CHANGES = 500


class DatabaseDiscovery(ServiceDiscoveryStrategy):
    """Keeps liveness in the rows themselves."""

    def renew(self, renewals: Sequence[Renewal]) -> set[UUID]:
        # Conditional: a change since it was read (an operator's MAINTENANCE, the sweep's OFFLINE,
        # another time to live) is not overwritten unseen.
        if not renewals:
            return set()
        if connection.vendor == "postgresql":
            return _renew_in_one(renewals)
        one = len(renewals) == 1  # is a transaction by itself
        with nullcontext() if one else transaction.atomic(savepoint=False):
            return {renewal.instance.pk for renewal in renewals if _renew_one(renewal)}

    def hold(self, instance: ServiceInstance, columns: Iterable[str] | None = None) -> None:
        instance.save(update_fields=columns)

    def deregister(self, instance: ServiceInstance) -> None:
        instance.delete()

    def release(self, instance_ids: Iterable[Any]) -> None:
        """Do nothing: there is nothing beside the record."""

    def follow(self, *, now: datetime) -> None:
        """Do nothing: the record is where signs of life are taken."""

    def staleness(self) -> Staleness | None:
        return None

    def select(self, criteria: Criteria) -> QuerySet[Service]:
        services = Service.objects.filter(_condition(criteria))
        if criteria.minimum_version:
            least = version_key(criteria.minimum_version)
            versions = services.values_list("pk", "version")
            services = Service.objects.filter(
                pk__in=[pk for pk, version in versions if version_key(version) >= least]
            )
        return services.with_parts().order_by("name")

    def latest_index(self) -> int:
        newest = RegistryChange.objects.aggregate(newest=Max("index"))["newest"]
        return newest or 0

    def changes_after(self, index: int) -> Changes:
        entries = tuple(RegistryChange.objects.filter(index__gt=index)[:MAX_CHANGES])
        bounds = RegistryChange.objects.aggregate(oldest=Min("index"), newest=Max("index"))
        # One that came since the entries were read is for the next time, not passed over.
        newest = entries[-1].index if entries else min(bounds["newest"] or 0, index)
        # A caller from before the oldest entry missed some; one from after the newest is from
        # before the database was made anew.
        complete = (bounds["oldest"] or 1) - 1 <= index <= newest
        return Changes(newest, entries, complete)


# Nobody waits here, neither two of these for each other nor one for whoever changes a service.
# IS NOT DISTINCT FROM keeps the planner from the index of statuses, which almost all rows share.
RENEW = """
WITH held AS MATERIALIZED (
    SELECT beat.*, row.ctid FROM unnest(
        %s::uuid[], %s::int[], %s::text[], %s::bool[], %s::bool[],
        %s::timestamptz[], %s::timestamptz[], %s::text[]
    ) AS beat (
        id, ttl_seconds, status, had_beaten, has_beaten, beaten_at, expires_at, metadata
    )
    CROSS JOIN LATERAL (
        SELECT instance.ctid FROM service_instance AS instance
        WHERE instance.id = beat.id AND instance.ttl_seconds = beat.ttl_seconds
            AND instance.status IS NOT DISTINCT FROM beat.status
            AND instance.suspected_at IS NULL AND instance.has_beaten = beat.had_beaten
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS row
)
UPDATE service_instance SET last_heartbeat_at = held.beaten_at, expires_at = held.expires_at,
    has_beaten = held.has_beaten,
    metadata = coalesce(held.metadata::jsonb, service_instance.metadata)
FROM held WHERE service_instance.ctid = held.ctid
RETURNING service_instance.id
"""


def _renew_in_one(renewals: Sequence[Renewal]) -> set[UUID]:
    instances = [renewal.instance for renewal in renewals]
    brings = any(renewal.brings_metadata for renewal in renewals)
    columns = (
        _array(instance.id.hex for instance in instances),
        _array(str(instance.ttl_seconds) for instance in instances),
        _array(str(instance.status) for instance in instances),
        _array(str(renewal.had_beaten) for renewal in renewals),
        _array(str(instance.has_beaten) for instance in instances),
        _array(_written(instance.last_heartbeat_at) for instance in instances),
        _array(_written(instance.expires_at) for instance in instances),
        [_metadata_of(renewal) for renewal in renewals] if brings else None,
    )
    return {row[0] for row in fetch_all(RENEW, columns)}


def _array(items: Iterable[str]) -> str:
    """Return PostgreSQL's text of an array of plain words; the driver's own is slow to make."""
    return f"{{{','.join(items)}}}"


def _written(at: datetime | None) -> str:
    return "NULL" if at is None else at.isoformat()


def _metadata_of(renewal: Renewal) -> str | None:
    return json.dumps(renewal.instance.metadata) if renewal.brings_metadata else None


def _renew_one(renewal: Renewal) -> bool:
    instance = renewal.instance
    unchanged = ServiceInstance.objects.filter(
        pk=instance.pk,
        ttl_seconds=instance.ttl_seconds,
        status=instance.status,
        suspected_at__isnull=True,
        has_beaten=renewal.had_beaten,
    )
    names = [name for name in RENEWED if name != "metadata" or renewal.brings_metadata]
    return unchanged.update(**{name: getattr(instance, name) for name in names}) == 1


def _condition(criteria: Criteria) -> Q:
    condition = Q()
    if criteria.types:
        condition &= Q(type__in=criteria.types)
    if criteria.statuses:
        condition &= Q(status__in=criteria.statuses)
    elif criteria.include_offline:
        condition &= ~Q(status=ServiceStatus.PENDING)
    else:
        condition &= Q(status__in=(ServiceStatus.ONLINE, ServiceStatus.DEGRADED))
    if criteria.name:
        condition &= Q(name__iexact=criteria.name)
    if criteria.search:
        condition &= Q(name__icontains=criteria.search) | Q(description__icontains=criteria.search)
    return condition & _parts_condition(criteria)


def _parts_condition(criteria: Criteria) -> Q:
    condition = Q()
    if criteria.action:
        actions = ServiceAction.objects.filter(service=OuterRef("pk"), name=criteria.action)
        condition &= Q(Exists(actions))
    if criteria.zone:
        in_zone = ServiceInstance.objects.filter(service=OuterRef("pk"), zone=criteria.zone)
        condition &= Q(Exists(in_zone))
    for tag in criteria.tags_all:
        condition &= Q(has_item("tags", tag))
    if criteria.tags_any:
        wanted = Q()
        for tag in criteria.tags_any:
            wanted |= Q(has_item("tags", tag))
        condition &= wanted
    for tag in criteria.tags_none:
        condition &= ~Q(has_item("tags", tag))
    for key, value in criteria.metadata.items():
        condition &= Q(has_entry("metadata", key, value))
    for key, text in criteria.metadata_texts.items():
        condition &= _has_text(key, text)
    return condition


def _has_text(key: str, text: str) -> Q:
    """Match metadata with this text, or the number, boolean or null that is written so."""
    try:
        value = strict.parse(text)
    except strict.JSONRefused:
        value = text
    condition = Q(has_entry("metadata", key, text))
    plain = value is None or isinstance(value, bool | int | float)
    return condition | Q(has_entry("metadata", key, value)) if plain else condition


def version_key(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, for comparison: 1.10.2 comes after 1.9."""
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+")[0])[:6])
