"""What lists of services may be filtered by."""

from __future__ import annotations

from typing import Any

import django_filters
from django import forms
from django.db.models import Exists, OuterRef, Q, QuerySet
from drf_spectacular.utils import extend_schema_field

from registry import strict_json
from registry.models import Service, ServiceAction, ServiceInstance, ServiceStatus, ServiceType
from registry.models.base import Vocabulary
from registry.models.lookups import has_item

LONGEST_TEXT = 200


class NumberField(forms.DecimalField):
    """A number as JSON writes it."""

    def to_python(self, value: Any) -> Any:
        if value in self.empty_values:
            return None
        try:
            strict_json.parse_number(str(value))
        except strict_json.JSONRefused:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from None
        return super().to_python(value)


class NumberFilter(django_filters.NumberFilter):
    """A filter by a number, which is not `1_0` and not in other digits."""

    field_class = NumberField


class VocabularyFilter(django_filters.Filter):
    """Equality with an enum value in any case; several may be joined by commas."""

    field_class = forms.CharField

    def __init__(self, vocabulary: type[Vocabulary], **kwargs: Any) -> None:
        self.vocabulary = vocabulary
        super().__init__(lookup_expr="in", validators=[self._check], **kwargs)
        words = f"One of {', '.join(vocabulary.values)}, in any case; or several, by commas."
        extend_schema_field({"type": "string", "description": words})(self)

    def _check(self, text: str) -> None:
        for word in text.split(","):
            try:
                self.vocabulary.parse(word)
            except ValueError as error:
                raise forms.ValidationError(str(error)) from None

    def filter(self, qs: QuerySet[Any], value: Any) -> QuerySet[Any]:
        if not value:
            return qs
        return super().filter(qs, [self.vocabulary.parse(word).value for word in value.split(",")])


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
