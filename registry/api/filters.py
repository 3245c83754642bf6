"""What lists of services may be filtered by."""

from __future__ import annotations

import django_filters
from django.db.models import Exists, OuterRef, Q, QuerySet

from core.api.query_filters import LONGEST_TEXT, VocabularyFilter
from core.db.json_lookups import has_item
from registry.models import Service, ServiceAction, ServiceInstance, ServiceStatus, ServiceType


class ServiceFilter(django_filters.FilterSet):
    """Filters of the service list."""

    status = VocabularyFilter(ServiceStatus)
    type = VocabularyFilter(ServiceType)
    name = django_filters.CharFilter(lookup_expr="iexact", max_length=LONGEST_TEXT)
    tag = django_filters.CharFilter(method="with_tag", max_length=LONGEST_TEXT)
    action = django_filters.CharFilter(method="with_action", max_length=LONGEST_TEXT)
    zone = django_filters.CharFilter(method="in_zone", max_length=LONGEST_TEXT)
    search = django_filters.CharFilter(method="containing", max_length=LONGEST_TEXT)

    class Meta:
        model = Service
        fields = ()

    def with_tag(self, queryset: QuerySet[Service], _: str, value: str) -> QuerySet[Service]:
        return queryset.filter(has_item("tags", value))

    def with_action(self, queryset: QuerySet[Service], _: str, value: str) -> QuerySet[Service]:
        actions = ServiceAction.objects.filter(service=OuterRef("pk"), name=value)
        return queryset.filter(Exists(actions))

    def in_zone(self, queryset: QuerySet[Service], _: str, value: str) -> QuerySet[Service]:
        instances = ServiceInstance.objects.filter(service=OuterRef("pk"), zone=value)
        return queryset.filter(Exists(instances))

    def containing(self, queryset: QuerySet[Service], _: str, value: str) -> QuerySet[Service]:
        return queryset.filter(Q(name__icontains=value) | Q(description__icontains=value))
