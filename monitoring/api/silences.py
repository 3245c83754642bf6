"""Silences: nobody is told of what they match."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from core.api.actions import post_action
from core.api.fields import VocabularyField
from core.api.instants import InstantField
from core.api.named_resource import NamedResourceViewSet
from core.api.patches import PatchSerializer
from core.api.query_filters import SearchFilter
from core.api.serializers import AnswerSerializer, StrictSerializer
from core.name_patterns import MOST_PATTERNS
from monitoring.alerts import silencing
from monitoring.models import AlertSilence, Incident, Severity


class SilenceSerializer(AnswerSerializer):
    """A silence in an answer."""

    status = serializers.CharField()
    subjects = serializers.ListField(child=serializers.CharField())
    services = serializers.ListField(child=serializers.CharField())
    tags = serializers.ListField(child=serializers.CharField())
    about = serializers.ListField(child=serializers.CharField())
    large = ("description", "subjects", "services", "tags", "about")
    whole_at = "/monitoring/silences/{row.pk}"

    class Meta:
        model = AlertSilence
        fields = (
            "id", "name", "description", "status", "subjects", "services", "tags", "about",
            "starts_at", "ends_at", "created_by", "created_at", "updated_at",
        )  # fmt: skip


def _words(help_text: str) -> serializers.ListField:
    child = serializers.CharField(max_length=100)
    return serializers.ListField(
        child=child, max_length=MOST_PATTERNS, required=False, help_text=help_text
    )


class SilenceMatchers(StrictSerializer):
    """What is silenced: an incident has to pass all that is given."""

    subjects = _words("Kinds of incidents, such as SERVICE_DOWN.")
    services = _words("Names of services, such as pay-*.")
    tags = _words("Services with one of these tags.")
    about = _words("Names of what it is about, such as a check or a connection.")


class SilenceInput(SilenceMatchers):
    """A silence as it is made or changed."""

    name = serializers.CharField(max_length=100)
    description = serializers.CharField(
        max_length=5000, allow_blank=True, required=False, help_text="Why."
    )
    starts_at = InstantField(required=False, help_text="Now, unless given.")
    ends_at = InstantField(help_text="Within a year.")


class SilencePatch(PatchSerializer, SilenceInput):
    """A change of a silence."""

    model = AlertSilence
    lasting = frozenset({"starts_at"})


class SilencedSerializer(serializers.Serializer[Any]):
    """An open incident that is matched."""

    id = serializers.UUIDField()
    title = serializers.CharField()
    severity = VocabularyField(Severity)
    opened_at = serializers.DateTimeField()


class SilencedAnswer(serializers.Serializer[Any]):
    """The open incidents that are matched, at most 100 of them."""

    incidents = SilencedSerializer(many=True)


class SilenceFilter(django_filters.FilterSet):
    """Filters of the list of silences."""

    active = django_filters.BooleanFilter(method="filter_active")
    search = SearchFilter("name__icontains", "description__icontains")

    def filter_active(self, rows: QuerySet[Any], name: str, value: bool) -> QuerySet[Any]:
        now = timezone.now()
        holding = {"starts_at__lte": now, "ends_at__gt": now}
        return rows.filter(**holding) if value else rows.exclude(**holding)


class SilenceViewSet(NamedResourceViewSet):
    """`/monitoring/silences`."""

    queryset = AlertSilence.objects.all()
    serializer_class = SilenceSerializer
    input_class = SilenceInput
    patch_class = SilencePatch
    filterset_class = SilenceFilter
    ordering_fields = ("name", "starts_at", "ends_at", "created_at")
    read_scope = "registry:read"
    write_scope = "registry:write"
    scopes = {"preview": read_scope, "incidents": read_scope, "expire": write_scope}

    def get_rows(self) -> Any:
        """The silences, by name unless ordered otherwise."""
        return self.get_queryset().order_by("name")

    def find(self) -> AlertSilence:
        """One silence, by its id or name."""
        return silencing.get_silence(self.kwargs["pk"])

    def perform_create(self, fields: dict[str, Any]) -> AlertSilence:
        """Silence what is matched: nobody is told of it until ends_at."""
        return silencing.create_silence(fields, actor=self.actor)

    def perform_update(self, row: Any, fields: dict[str, Any], *, if_unchanged: bool) -> Any:
        """Change what is given and leave the rest; null takes a matcher away."""
        return silencing.update_silence(row, fields, actor=self.actor, if_unchanged=if_unchanged)

    def perform_destroy(self, row: Any, *, if_unchanged: bool) -> None:
        """Forget a silence; what is still wrong is told then."""
        silencing.delete_silence(row, actor=self.actor, if_unchanged=if_unchanged)

    @post_action(responses=SilenceSerializer)
    def expire(self, request: Any, pk: str) -> Response:
        """End a silence now; 409 when it is over already."""
        return self.answer(silencing.expire_silence(self.find(), actor=self.actor))

    @post_action(request=SilenceMatchers, responses=SilencedAnswer, detail=False)
    def preview(self, request: Any) -> Response:
        """Say which open incidents matchers match; nothing is stored."""
        return _answer(silencing.preview_silence(self.read(SilenceMatchers)))

    @extend_schema(responses=SilencedAnswer)
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def incidents(self, request: Any, pk: str) -> Response:
        """The open incidents that a silence matches."""
        return _answer(silencing.matched_by(self.find()))


def _answer(incidents: Iterable[Incident]) -> Response:
    matched = [
        {"id": row.pk, "title": str(row), "severity": row.severity, "opened_at": row.opened_at}
        for row in incidents
    ]
    return Response(SilencedAnswer({"incidents": matched}).data)
