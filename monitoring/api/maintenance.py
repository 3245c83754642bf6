"""Maintenance: planned, once or recurring, called for at once, made longer, and ended early."""

from __future__ import annotations

from typing import Any

import django_filters
from rest_framework import serializers
from rest_framework.response import Response

from core.api.actions import post_action
from core.api.fields import VocabularyField
from core.api.instants import InstantField
from core.api.named_resource import NamedResourceViewSet
from core.api.patches import PatchSerializer
from core.api.query_filters import SearchFilter, VocabularyFilter
from core.api.serializers import AnswerSerializer, StrictSerializer
from core.models.audit import MAX_REASON
from core.name_patterns import MOST_PATTERNS
from monitoring.maintenance import lifecycle
from monitoring.models import MaintenanceWindow, WindowStatus
from monitoring.models.maintenance import LONGEST_MINUTES
from registry.models import ServiceType


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


def _patterns(**options: Any) -> serializers.ListField:
    child = serializers.CharField(max_length=100)
    return serializers.ListField(child=child, max_length=MOST_PATTERNS, required=False, **options)


class MaintenanceWindowInput(StrictSerializer):
    """A window as it is planned or changed: once, or recurring."""

    name = serializers.CharField(max_length=100)
    description = serializers.CharField(max_length=5000, allow_blank=True, required=False)
    services = _patterns(help_text="Names of services, such as pay-*.")
    tags = _patterns(help_text="Services with one of these tags.")
    types = serializers.ListField(
        child=VocabularyField(ServiceType), max_length=MOST_PATTERNS, required=False
    )
    everything = serializers.BooleanField(
        required=False, help_text="Every service, and the hub itself."
    )
    starts_at = InstantField(
        required=False, help_text="Of what recurs: no time of it begins before."
    )
    ends_at = InstantField(required=False, help_text="Of what recurs: no time of it begins after.")
    cron = serializers.CharField(
        max_length=100, allow_blank=True, required=False, help_text="When it recurs: 0 2 * * 0."
    )
    duration_minutes = serializers.IntegerField(
        min_value=1, max_value=LONGEST_MINUTES, required=False, help_text="Of what recurs."
    )
    timezone = serializers.CharField(
        max_length=64, required=False, help_text="In which cron is read, such as Europe/Berlin."
    )
    suppress_alerts = serializers.BooleanField(
        required=False, help_text="Nobody is called meanwhile; true unless given."
    )
    public = serializers.BooleanField(required=False, help_text="Shown on status pages.")


class MaintenanceWindowPatch(PatchSerializer, MaintenanceWindowInput):
    """A change of a window."""

    model = MaintenanceWindow


class MaintenanceExtendInput(StrictSerializer):
    """How much longer it takes."""

    minutes = serializers.IntegerField(min_value=1, max_value=LONGEST_MINUTES)


class MaintenanceCancelInput(StrictSerializer):
    """Why nothing comes of it."""

    reason = serializers.CharField(max_length=MAX_REASON, required=False, allow_blank=True)


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


class MaintenanceViewSet(NamedResourceViewSet):
    """`/monitoring/maintenance`."""

    queryset = MaintenanceWindow.objects.all()
    serializer_class = MaintenanceWindowSerializer
    input_class = MaintenanceWindowInput
    patch_class = MaintenanceWindowPatch
    filterset_class = MaintenanceFilter
    ordering_fields = ("name", "starts_at", "created_at")
    read_scope = "registry:read"
    write_scope = "registry:write"
    scopes = dict.fromkeys(("now", "finish", "extend", "cancel"), write_scope)

    def get_rows(self) -> Any:
        """The windows of maintenance, by name."""
        return self.get_queryset().order_by("name")

    def find(self) -> MaintenanceWindow:
        """One window, by its id or name."""
        return lifecycle.get_window(self.kwargs["pk"])

    def perform_create(self, fields: dict[str, Any]) -> MaintenanceWindow:
        """Plan a window: once from starts_at to ends_at, or by cron for duration_minutes."""
        return lifecycle.create_window(fields, actor=self.actor)

    def perform_update(self, row: Any, fields: dict[str, Any], *, if_unchanged: bool) -> Any:
        """Change what is given and leave the rest; null takes a setting away."""
        return lifecycle.update_window(row, fields, actor=self.actor, if_unchanged=if_unchanged)

    def perform_destroy(self, row: Any, *, if_unchanged: bool) -> None:
        """Delete a window with its times; 409 while it is under way."""
        lifecycle.delete_window(row, actor=self.actor, if_unchanged=if_unchanged)

    @post_action(
        request=MaintenanceNowInput, responses={201: MaintenanceWindowSerializer}, detail=False
    )
    def now(self, request: Any) -> Response:
        """Put services under maintenance at once: they are checked on, and nobody is called."""
        return self.answer(
            lifecycle.begin_now(self.read(MaintenanceNowInput), actor=self.actor), 201
        )

    @post_action(responses=MaintenanceWindowSerializer)
    def finish(self, request: Any, pk: str) -> Response:
        """End what is under way before its time; 409 when it is not."""
        return self.answer(lifecycle.finish_window(self.find(), actor=self.actor))

    @post_action(request=MaintenanceExtendInput, responses=MaintenanceWindowSerializer)
    def extend(self, request: Any, pk: str) -> Response:
        """Let what is under way end so many minutes later; 409 when it is not."""
        row, minutes = self.find(), self.read(MaintenanceExtendInput)["minutes"]
        return self.answer(lifecycle.extend_window(row, minutes, actor=self.actor))

    @post_action(request=MaintenanceCancelInput, responses=MaintenanceWindowSerializer)
    def cancel(self, request: Any, pk: str) -> Response:
        """Call it off for good, and end what is under way; 409 when it is over already."""
        row, reason = self.find(), self.read(MaintenanceCancelInput).get("reason", "")
        return self.answer(lifecycle.cancel_window(row, actor=self.actor, reason=reason))
