"""What lists of services may be filtered by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import django_filters
from django.db.models import Exists, OuterRef, QuerySet

from core.api.query_filters import NameFilter, SearchFilter, TextFilter, VocabularyFilter
from core.db.json_lookups import has_item
from registry.discovery.base import ACTIONS, INSTANCES
from registry.models import Service, ServiceAction, ServiceInstance, ServiceStatus, ServiceType

# By which fields of services each filter selects.
SELECTING: Mapping[str, tuple[str, ...]] = {
    "status": ("status",),
    "type": ("type",),
    "name": ("name",),
    "service_type": ("type",),
    "tag": ("tags",),
    "capability": ("tags",),
    "action": (ACTIONS,),
    "zone": (INSTANCES,),
    "search": ("name", "description"),
}


def selecting_fields(query: Mapping[str, str]) -> Iterator[str]:
    """Give the fields by which a query of the list selects services, and those that order them."""
    for name, fields in SELECTING.items():
        if query.get(name):
            yield from fields
    for name in query.get("ordering", "").split(","):
        yield name.strip().removeprefix("-") or "name"


class ServiceFilter(django_filters.FilterSet):
    """Filters of the service list."""

    status = VocabularyFilter(ServiceStatus)
    type = VocabularyFilter(ServiceType)
    name = NameFilter()
    tag = TextFilter(method="with_tag")
    # What earlier clients call these.
    service_type = VocabularyFilter(ServiceType, field_name="type")
    capability = TextFilter(method="with_tag")
    action = TextFilter(method="with_action")
    zone = TextFilter(method="in_zone")
    search = SearchFilter()

    def with_tag(self, queryset: QuerySet[Service], _: str, value: str) -> QuerySet[Service]:
        return queryset.filter(has_item("tags", value))

    def with_action(self, queryset: QuerySet[Service], _: str, value: str) -> QuerySet[Service]:
        actions = ServiceAction.objects.filter(service=OuterRef("pk"), name=value)
        return queryset.filter(Exists(actions))

    def in_zone(self, queryset: QuerySet[Service], _: str, value: str) -> QuerySet[Service]:
        instances = ServiceInstance.objects.filter(service=OuterRef("pk"), zone=value)
        return queryset.filter(Exists(instances))
