"""Who still calls in the shapes of the earlier system, and what."""

from __future__ import annotations

from typing import Any

import django_filters
from rest_framework import serializers
from rest_framework.response import Response

from core.api.instants import InstantFilter
from core.api.query_filters import TextFilter
from core.api.serializers import AnswerSerializer
from core.api.viewsets import ResourceViewSet
from core.models import LegacyCall


class LegacyCallSerializer(AnswerSerializer):
    """How often a caller called an old route, from when on, and when last."""

    first_at = serializers.DateTimeField(source="created_at")

    class Meta:
        model = LegacyCall
        fields = ("id", "route", "caller", "calls", "first_at", "last_at")


class LegacyCallFilter(django_filters.FilterSet):
    """Filters of the old calls."""

    route = TextFilter()
    caller = TextFilter()
    called_after = InstantFilter(field_name="last_at", lookup_expr="gte")


class LegacyCallViewSet(ResourceViewSet):
    """`/health/legacy-calls`."""

    queryset = LegacyCall.objects.all()
    serializer_class = LegacyCallSerializer
    filterset_class = LegacyCallFilter
    ordering_fields = ("last_at", "calls", "route", "caller")
    scopes = {"list": "registry:read"}

    def list(self, request: Any) -> Response:
        """Calls in the shapes of the earlier system by route and caller, the latest first.

        They are understood where LEGACY_API is on. Counts are some seconds old.
        """
        return self.answer_page(LegacyCall.objects.order_by("-last_at", "pk"), LegacyCallSerializer)
