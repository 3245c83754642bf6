"""Alert channels and their messages."""

from __future__ import annotations

from typing import Any

import django_filters
from rest_framework import serializers
from rest_framework.response import Response

from core.api.actions import post_action
from core.api.fields import ObjectField, SecretField, VocabularyField
from core.api.named_resource import NamedResourceViewSet
from core.api.pagination import GrowingListPagination
from core.api.patches import PatchSerializer
from core.api.query_filters import NameFilter, SearchFilter, VocabularyFilter
from core.api.serializers import AnswerSerializer, StrictSerializer, represent
from core.api.suspension import apart
from core.api.viewsets import ResourceViewSet
from monitoring.alerts import channels, outbox, quiet_hours
from monitoring.models import (
    AlertChannel,
    AlertDelivery,
    ChannelType,
    DeliveryReason,
    DeliveryState,
    Severity,
)
from monitoring.models.alert import DAY_SECONDS

MOST_PATTERNS = 100


class AlertChannelSerializer(AnswerSerializer):
    """A channel in an answer; its secret is never answered."""

    type = VocabularyField(ChannelType)
    min_severity = VocabularyField(Severity)
    quiet_hours = serializers.ListField(child=serializers.CharField())
    quiet_min_severity = VocabularyField(Severity, allow_blank=True)
    status = serializers.CharField()
    config = ObjectField()
    has_secret = serializers.BooleanField()
    subjects = serializers.ListField(child=serializers.CharField())
    services = serializers.ListField(child=serializers.CharField())
    tags = serializers.ListField(child=serializers.CharField())
    large = ("description", "config", "subjects", "services", "tags", "quiet_hours")
    whole_at = "/monitoring/channels/{row.pk}"

    class Meta:
        model = AlertChannel
        fields = (
            "id", "name", "type", "description", "enabled", "status", "config", "has_secret",
            "min_severity", "subjects", "services", "tags", "only_escalated", "send_resolved",
            "group_wait_seconds", "group_interval_seconds", "repeat_seconds", "per_minute",
            "quiet_hours", "quiet_timezone", "quiet_min_severity", "quiet_since", "failures",
            "last_error", "last_sent_at", "created_at", "updated_at",
        )  # fmt: skip


def _words() -> serializers.ListField:
    return serializers.ListField(
        child=serializers.CharField(max_length=100), required=False, max_length=MOST_PATTERNS
    )


class ChannelInput(StrictSerializer):
    """A channel as it is made or changed; the parts of `config` and `secret` go by its type."""

    name = serializers.CharField(max_length=100)
    type = VocabularyField(ChannelType)
    description = serializers.CharField(max_length=5000, allow_blank=True, required=False)
    enabled = serializers.BooleanField(required=False)
    config = ObjectField(required=False)
    secret = SecretField(required=False)
    min_severity = VocabularyField(Severity, required=False)
    subjects = _words()
    services = _words()
    tags = _words()
    only_escalated = serializers.BooleanField(
        required=False, help_text="Tell only what a policy of escalation sends here."
    )
    send_resolved = serializers.BooleanField(required=False)
    group_wait_seconds = serializers.IntegerField(min_value=0, max_value=3600, required=False)
    group_interval_seconds = serializers.IntegerField(
        min_value=0, max_value=DAY_SECONDS, required=False
    )
    repeat_seconds = serializers.IntegerField(
        min_value=0, max_value=30 * DAY_SECONDS, required=False
    )
    per_minute = serializers.IntegerField(min_value=1, max_value=1000, required=False)
    quiet_hours = serializers.ListField(
        child=serializers.CharField(max_length=100),
        required=False,
        max_length=quiet_hours.MOST,
        help_text="Such as 22:00-07:00 or 00:00-24:00 SAT,SUN: days on which they begin.",
    )
    quiet_timezone = serializers.CharField(
        max_length=64, required=False, help_text="On whose clock, such as Europe/Berlin."
    )
    quiet_min_severity = VocabularyField(
        Severity,
        required=False,
        allow_blank=True,
        help_text="What is told all the same; empty: nothing.",
    )


class ChannelPatch(PatchSerializer, ChannelInput):
    """A change of a channel; a secret that is given replaces the old one with all its parts."""

    model = AlertChannel
    lasting = frozenset({"secret"})
    merged = frozenset({"config"})


class AlertDeliverySerializer(AnswerSerializer):
    """A message in an answer, and how it went."""

    channel = serializers.CharField(source="channel.name")
    reason = VocabularyField(DeliveryReason)
    state = VocabularyField(DeliveryState)
    severity = VocabularyField(Severity)
    incidents = serializers.ListField(child=ObjectField())
    large = ("text", "incidents")
    whole_at = "/monitoring/deliveries/{row.pk}"

    class Meta:
        model = AlertDelivery
        fields = (
            "id", "channel", "reason", "state", "severity", "title", "text", "incidents",
            "attempts", "next_attempt_at", "status_code", "response", "sent_at", "created_at",
            "updated_at",
        )  # fmt: skip


class ChannelFilter(django_filters.FilterSet):
    """Filters of the list of channels."""

    type = VocabularyFilter(ChannelType)
    enabled = django_filters.BooleanFilter()
    search = SearchFilter("name__icontains", "description__icontains")


class AlertDeliveryFilter(django_filters.FilterSet):
    """Filters of the list of messages."""

    state = VocabularyFilter(DeliveryState)
    reason = VocabularyFilter(DeliveryReason)
    channel = NameFilter("channel__name")


class ChannelViewSet(NamedResourceViewSet):
    """`/monitoring/channels`."""

    queryset = AlertChannel.objects.all()
    serializer_class = AlertChannelSerializer
    input_class = ChannelInput
    patch_class = ChannelPatch
    filterset_class = ChannelFilter
    ordering_fields = ("name", "type", "last_sent_at", "created_at", "updated_at")
    read_scope = "registry:read"
    write_scope = "registry:write"
    scopes = {"test": write_scope}
    # A test under the same key is another test.
    own_keys = frozenset({"test"})

    def get_rows(self) -> Any:
        """The channels, by name unless ordered otherwise."""
        return self.get_queryset().order_by("name")

    def find(self) -> AlertChannel:
        """One channel, by id or name."""
        return channels.get_channel(self.kwargs["pk"])

    def perform_create(self, fields: dict[str, Any]) -> AlertChannel:
        """Make a channel; it is told of what is open already."""
        return channels.create_channel(fields, actor=self.actor)

    def perform_update(self, row: Any, fields: dict[str, Any], *, if_unchanged: bool) -> Any:
        """Change what is given and leave the rest; null takes a setting away."""
        return channels.update_channel(row, fields, actor=self.actor, if_unchanged=if_unchanged)

    def perform_destroy(self, row: Any, *, if_unchanged: bool) -> None:
        """Delete a channel with its messages."""
        channels.delete_channel(row, actor=self.actor, if_unchanged=if_unchanged)

    @post_action(responses=AlertDeliverySerializer)
    def test(self, request: Any, pk: str) -> Response:
        """Send a test message now; `state` says whether it arrived, `response` why not."""
        channel = self.find()
        row = apart(request, "test", lambda: outbox.send_test(channel))
        return Response(represent(AlertDeliverySerializer, row))


class AlertDeliveryViewSet(ResourceViewSet):
    """`/monitoring/deliveries`."""

    queryset = AlertDelivery.objects.select_related("channel")
    serializer_class = AlertDeliverySerializer
    filterset_class = AlertDeliveryFilter
    pagination_class = GrowingListPagination
    ordering_fields = ("created_at",)
    scopes = {"list": "registry:read", "retrieve": "registry:read", "retry": "registry:write"}

    def list(self, request: Any) -> Response:
        """The messages, the latest first."""
        return self.answer_page(self.get_queryset().order_by("-id"), AlertDeliverySerializer)

    def retrieve(self, request: Any, pk: str) -> Response:
        """One message, by its id."""
        return Response(represent(AlertDeliverySerializer, outbox.get_delivery(pk)))

    @post_action(responses=AlertDeliverySerializer)
    def retry(self, request: Any, pk: str) -> Response:
        """Send a message that was given up once more; 409 for any other."""
        row = outbox.retry_delivery(outbox.get_delivery(pk))
        return Response(represent(AlertDeliverySerializer, row))
