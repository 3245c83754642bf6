"""Discovery in the database: an instance is alive until its `expires_at`."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from django.db.models import Exists, Max, Min, OuterRef, Q, QuerySet

from registry.discovery.base import Changes, Criteria, ServiceDiscoveryStrategy
from registry.models import (
    RegistryChange,
    Service,
    ServiceAction,
    ServiceInstance,
    ServiceStatus,
)
from registry.models.lookups import has_entry, has_item

MAX_CHANGES = 500


class DatabaseDiscovery(ServiceDiscoveryStrategy):
    """Keeps liveness in the rows themselves."""

    def register(self, instance: ServiceInstance, *, at: datetime) -> None:
        instance.record_heartbeat(at=at)
        instance.save()

    def deregister(self, instance: ServiceInstance) -> None:
        instance.delete()

    def renew(
        self,
        instance: ServiceInstance,
        *,
        at: datetime,
        status: str,
        metadata: dict[str, Any] | None = None,
    ) -> bool:
        seen = instance.status
        instance.record_heartbeat(at=at, status=status)
        # Only what a beat says: a concurrent change of the address or weight stays, and one of the
        # status (an operator's MAINTENANCE, the sweep's OFFLINE) is not overwritten unseen.
        said: dict[str, Any] = {
            "status": instance.status,
            "last_heartbeat_at": instance.last_heartbeat_at,
            "expires_at": instance.expires_at,
            "expired_at": None,
        }
        if metadata is not None:
            instance.metadata = said["metadata"] = metadata
        return ServiceInstance.objects.filter(pk=instance.pk, status=seen).update(**said) == 1

    def select(self, criteria: Criteria) -> QuerySet[Service]:
        found = Service.objects.filter(_condition(criteria))
        if criteria.minimum_version:
            least = version_key(criteria.minimum_version)
            versions = found.values_list("pk", "version")
            found = Service.objects.filter(
                pk__in=[pk for pk, version in versions if version_key(version) >= least]
            )
        return found.with_parts().order_by("name")

    def expire(self, *, now: datetime, limit: int) -> list[ServiceInstance]:
        due = ServiceInstance.objects.filter(
            status__in=(ServiceStatus.ONLINE, ServiceStatus.DEGRADED, ServiceStatus.UNKNOWN),
            expires_at__lt=now,
        ).select_related("service")
        return [i for i in due.order_by("expires_at")[:limit] if self._expire_one(i, now=now)]

    def _expire_one(self, instance: ServiceInstance, *, now: datetime) -> bool:
        """Conditional, so that a beat that came meanwhile wins."""
        changed = ServiceInstance.objects.filter(
            pk=instance.pk, status=instance.status, expires_at__lt=now
        ).update(status=ServiceStatus.OFFLINE, expired_at=now)
        return changed == 1

    def latest_index(self) -> int:
        newest = RegistryChange.objects.aggregate(newest=Max("index"))["newest"]
        return newest or 0

    def changes_after(self, index: int) -> Changes:
        entries = tuple(RegistryChange.objects.filter(index__gt=index)[:MAX_CHANGES])
        bounds = RegistryChange.objects.aggregate(oldest=Min("index"), newest=Max("index"))
        newest = entries[-1].index if entries else bounds["newest"] or 0
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
    """Metadata has this text, or the number, boolean or null that is written so."""
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    condition = Q(has_entry("metadata", key, text))
    plain = value is None or isinstance(value, bool | int | float)
    return condition | Q(has_entry("metadata", key, value)) if plain else condition


def version_key(version: str) -> tuple[int, ...]:
    """The numbers of a version, for comparison: 1.10.2 comes after 1.9."""
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+")[0])[:6])
