"""How services were: their uptime over a window with its parts, and the spans it is made of."""

from __future__ import annotations

from typing import Any

import django_filters
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from core.api.fields import VocabularyField
from core.api.filters import ALWAYS_ALLOWED
from core.api.pagination import GrowingListPagination
from core.api.query_filters import VocabularyFilter
from core.api.serializers import AnswerSerializer, StrictSerializer
from core.api.viewsets import ResourceViewSet
from monitoring.api.response_times import (
    ResponseTimesAnswer,
    ServiceTimesQuery,
    describe_times,
    read_window_of,
)
from monitoring.models import StatusSpan
from monitoring.uptime.reading import WINDOWS, WindowUptime, read_days, read_window
from monitoring.uptime.response_times import times_of_service
from registry.models import Service, ServiceStatus
from registry.policies.uptime import MaintenancePolicy, Parts
from registry.services import get_service

_CHOICES: Any = {"invalid_choice": f"Use one of: {', '.join(WINDOWS)}."}


class UptimeQuery(StrictSerializer):
    """What uptime is asked for with."""

    window = serializers.ChoiceField(
        choices=list(WINDOWS), default="24h", error_messages=_CHOICES, help_text="How far back."
    )
    maintenance = VocabularyField(
        MaintenancePolicy,
        default=MaintenancePolicy.EXCLUDE.value,
        help_text="What the time under maintenance counts as.",
    )


class PartsSerializer(serializers.Serializer[Any]):
    """The seconds that an uptime is made of. `counted_*` are what the fraction is of."""

    up_seconds = serializers.FloatField()
    down_seconds = serializers.FloatField()
    maintenance_seconds = serializers.FloatField()
    unknown_seconds = serializers.FloatField()
    counted_up_seconds = serializers.FloatField()
    counted_down_seconds = serializers.FloatField()


class DaySerializer(serializers.Serializer[Any]):
    """A day (UTC)."""

    date = serializers.DateField()
    percent = serializers.FloatField(allow_null=True)
    coverage = serializers.FloatField()
    down_seconds = serializers.FloatField()


class UptimeAnswer(serializers.Serializer[Any]):
    """The uptime of a service over a window, or since it is known.

    It is weighted by time. What nobody observed leaves the fraction: `percent` is of the rest, or
    null without any, and `coverage` how much that is. Below 90 it is `partial`.
    """

    service = serializers.CharField()
    service_id = serializers.UUIDField()
    window = serializers.CharField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    maintenance = VocabularyField(MaintenancePolicy)
    percent = serializers.FloatField(allow_null=True)
    coverage = serializers.FloatField()
    partial = serializers.BooleanField()  # type: ignore[assignment]  # no option here
    parts = PartsSerializer()
    days = DaySerializer(many=True)


class StatusSpanSerializer(AnswerSerializer):
    """A time in which a service had one status and one version."""

    status = VocabularyField(ServiceStatus)

    class Meta:
        model = StatusSpan
        fields = ("id", "status", "version", "started_at", "ended_at")


class StatusSpanFilter(django_filters.FilterSet):
    """Filters of the spans of a service."""

    status = VocabularyFilter(ServiceStatus)


class ServiceUptimeViewSet(ResourceViewSet):
    """`/monitoring/services`."""

    queryset = StatusSpan.objects.all()
    serializer_class = StatusSpanSerializer
    filterset_class = StatusSpanFilter
    pagination_class = GrowingListPagination
    scopes = dict.fromkeys(("uptime", "spans", "response_times"), "registry:read")

    @extend_schema(parameters=[UptimeQuery], responses=UptimeAnswer)
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def uptime(self, request: Any, pk: str) -> Response:
        """The share of a window in which the service could be used, and what it is made of."""
        asked = {k: v for k, v in request.query_params.items() if k not in ALWAYS_ALLOWED}
        reader = UptimeQuery(data=asked)
        reader.is_valid(raise_exception=True)
        found = read_window(get_service(pk), **reader.validated_data, now=timezone.now())
        return Response(UptimeAnswer(describe_uptime(found)).data)

    @extend_schema(parameters=[ServiceTimesQuery], responses=ResponseTimesAnswer)
    @action(
        detail=True, methods=["get"], url_path="response-times", filterset_class=None,
        pagination_class=None,
    )  # fmt: skip
    def response_times(self, request: Any, pk: str) -> Response:
        """How fast a service answered its checks, and what happened meanwhile."""
        service, window = get_service(pk), read_window_of(ServiceTimesQuery, request)
        times = times_of_service(service, window, now=timezone.now())
        return Response(ResponseTimesAnswer(describe_times(times, service)).data)

    @extend_schema(responses=StatusSpanSerializer(many=True))
    @action(detail=True, methods=["get"])
    def spans(self, request: Any, pk: str) -> Response:
        """The spans of a service, the latest first; one that lasts has no end."""
        service: Service = get_service(pk)
        rows = self.get_queryset().filter(service=service).order_by("-id")
        return self.answer_page(rows, StatusSpanSerializer)


def describe_uptime(found: WindowUptime) -> dict[str, Any]:
    """Return what is answered of an uptime."""
    return {
        "service": found.service.name,
        "service_id": found.service.pk,
        "window": found.window,
        "since": found.since,
        "until": found.until,
        "maintenance": found.maintenance,
        "percent": found.percent,
        "coverage": found.coverage,
        "partial": found.partial,
        "parts": _describe(found.parts, found.counted),
        "days": [
            {
                "date": day.date(),
                "percent": parts.percent(found.maintenance),
                "coverage": parts.coverage,
                "down_seconds": parts.counted(found.maintenance)[1],
            }
            for day, parts in read_days(found).items()
        ],
    }


def _describe(parts: Parts, counted: tuple[float, float]) -> dict[str, float]:
    up, down = counted
    return {
        "up_seconds": parts.up,
        "down_seconds": parts.down,
        "maintenance_seconds": parts.maintenance,
        "unknown_seconds": parts.unknown,
        "counted_up_seconds": up,
        "counted_down_seconds": down,
    }
