"""What lists of services may be filtered by."""

from __future__ import annotations

import django_filters
from django.db.models import Exists, OuterRef, QuerySet

from core.api.query_filters import NameFilter, SearchFilter, TextFilter, VocabularyFilter
from core.db.json_lookups import has_item
from registry.models import Service, ServiceAction, ServiceInstance, ServiceStatus, ServiceType


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
