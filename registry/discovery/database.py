"""Discovery in the database: an instance is alive until its `expires_at`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db.models import Exists, Max, Min, OuterRef, Q, QuerySet

from core.db.json_lookups import has_entry, has_item
from core.json import strict
from registry.discovery.base import Changes, Criteria, ServiceDiscoveryStrategy, Staleness
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

    def renew(self, instance: ServiceInstance, beat: Mapping[str, Any]) -> bool:
        # Conditional: a change since it was read (an operator's MAINTENANCE, the sweep's OFFLINE,
        # another time to live) is not overwritten unseen.
        unchanged = ServiceInstance.objects.filter(
            pk=instance.pk,
            ttl_seconds=instance.ttl_seconds,
            status=instance.status,
            suspected_at__isnull=True,
            has_beaten=True,
        )
        return unchanged.update(**beat) == 1

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


def _condition(criteria: Criteria) -> Q:
    condition = Q()
    if criteria.types:
        condition &= Q(type__in=criteria.types)
    if criteria.statuses:
        condition &= Q(status__in=criteria.statuses)
    elif not criteria.include_offline:
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
