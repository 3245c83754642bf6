"""Maintenance: what is under way and planned, called for at once, and ended early."""

from __future__ import annotations

from typing import Any

import django_filters
from rest_framework import serializers
from rest_framework.response import Response

from core.api.actions import post_action
from core.api.fields import VocabularyField
from core.api.query_filters import SearchFilter, VocabularyFilter
from core.api.serializers import AnswerSerializer, StrictSerializer, represent
from core.api.viewsets import ResourceViewSet
from core.models.audit import MAX_REASON
from monitoring import maintenance
from monitoring.models import MaintenanceWindow, WindowStatus
from monitoring.models.maintenance import LONGEST_MINUTES


class MaintenanceWindowSerializer(AnswerSerializer):
    """A window in an answer."""

    status = VocabularyField(WindowStatus)
    services = serializers.ListField(child=serializers.CharField())
    tags = serializers.ListField(child=serializers.CharField())
    types = serializers.ListField(child=serializers.CharField())
    large = ("description", "services", "tags", "types")
    whole_at = "/monitoring/maintenance/{row.pk}"

    class Meta:
        model = MaintenanceWindow
        fields = (
            "id", "name", "description", "status", "services", "tags", "types", "everything",
            "starts_at", "ends_at", "cron", "duration_minutes", "timezone", "suppress_alerts",
            "public", "created_by", "created_at", "updated_at",
        )  # fmt: skip


class MaintenanceNowInput(StrictSerializer):
    """Services that are worked on now, for so many minutes."""

    services = serializers.ListField(
        child=serializers.CharField(max_length=100), min_length=1, max_length=100
    )
    minutes = serializers.IntegerField(min_value=1, max_value=LONGEST_MINUTES)
    reason = serializers.CharField(max_length=MAX_REASON, required=False, allow_blank=True)
    public = serializers.BooleanField(required=False)


class MaintenanceFilter(django_filters.FilterSet):
    """Filters of the list of windows."""

    status = VocabularyFilter(WindowStatus)
    search = SearchFilter("name__icontains", "description__icontains")


class MaintenanceViewSet(ResourceViewSet):
    """`/monitoring/maintenance`."""

    queryset = MaintenanceWindow.objects.all()
    serializer_class = MaintenanceWindowSerializer
    filterset_class = MaintenanceFilter
    ordering_fields = ("name", "starts_at", "created_at")
    scopes = {
        "list": "registry:read",
        "retrieve": "registry:read",
        "now": "registry:write",
        "finish": "registry:write",
    }

    def list(self, request: Any) -> Response:
        """The windows of maintenance, by name."""
        return self.answer_page(self.get_queryset().order_by("name"), MaintenanceWindowSerializer)

    def retrieve(self, request: Any, pk: str) -> Response:
        """One window, by its id or name."""
        row = maintenance.get_window(pk)
        return Response(represent(MaintenanceWindowSerializer, row))

    @post_action(
        request=MaintenanceNowInput, responses={201: MaintenanceWindowSerializer}, detail=False
    )
    def now(self, request: Any) -> Response:
        """Put services under maintenance at once: they are checked on, and nobody is called."""
        row = maintenance.begin_now(self.read(MaintenanceNowInput), actor=self.actor)
        return Response(represent(MaintenanceWindowSerializer, row), status=201)

    @post_action(responses=MaintenanceWindowSerializer)
    def finish(self, request: Any, pk: str) -> Response:
        """End what is under way before its time; 409 when it is not."""
        row = maintenance.finish_window(maintenance.get_window(pk), actor=self.actor)
        return Response(represent(MaintenanceWindowSerializer, row))
