"""Incidents: what is wrong, what was, and what people do about it."""

from __future__ import annotations

from typing import Any

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from core.api.actions import nested_list, post_action
from core.api.fields import VocabularyField
from core.api.instants import InstantField
from core.api.pagination import GrowingListPagination
from core.api.query_filters import NameFilter, SearchFilter, VocabularyFilter
from core.api.serializers import AnswerSerializer, StrictSerializer, represent
from core.api.viewsets import ResourceViewSet
from core.models.audit import MAX_ACTOR
from monitoring import handling
from monitoring.alerts.silencing import LONGEST, silence_incident
from monitoring.api.silences import SilenceSerializer
from monitoring.incidents import Verdict, decide_suspects, get_incident
from monitoring.models import (
    Impact,
    Incident,
    IncidentStatus,
    IncidentUpdate,
    PageStatus,
    Severity,
    Subject,
    Suppression,
    UpdateKind,
)

MOST_TEXT = 10_000
LONGEST_MINUTES = int(LONGEST.total_seconds() // 60)


class IncidentSerializer(AnswerSerializer):
    """An incident in an answer."""

    subject = VocabularyField(Subject)
    severity = VocabularyField(Severity)
    status = VocabularyField(IncidentStatus)
    impact = VocabularyField(Impact)
    page_status = VocabularyField(PageStatus, allow_blank=True)
    suppressed_reason = VocabularyField(Suppression, allow_blank=True)
    service = serializers.CharField(source="service.name", default=None, allow_null=True)
    merged_into = serializers.UUIDField(source="merged_into_id", allow_null=True)
    suppressed_by = serializers.UUIDField(source="suppressed_by_id", allow_null=True)
    large = ("cause",)
    whole_at = "/monitoring/incidents/{row.pk}"

    class Meta:
        model = Incident
        fields = (
            "id", "subject", "about", "service", "title", "severity", "impact", "status", "cause",
            "public", "page_status", "opened_at", "opened_by", "acknowledged_at",
            "acknowledged_by", "acknowledged_until", "assigned_to", "resolved_at", "resolved_by",
            "resolution", "reopened_count", "merged_into", "suppressed_reason", "suppressed_by",
            "updated_at",
        )  # fmt: skip


class IncidentUpdateSerializer(AnswerSerializer):
    """An entry of a timeline in an answer."""

    kind = VocabularyField(UpdateKind)
    page_status = VocabularyField(PageStatus, allow_blank=True)
    large = ("text",)
    whole_at = "/monitoring/incidents/{row.incident_id}/updates"

    class Meta:
        model = IncidentUpdate
        fields = ("id", "at", "kind", "page_status", "text", "actor", "public")


class IncidentInput(StrictSerializer):
    """An incident that a person knows of; `text` says what is wrong."""

    title = serializers.CharField(max_length=200)
    text = serializers.CharField(max_length=1000, required=False)
    service = serializers.CharField(max_length=100, required=False)
    severity = VocabularyField(Severity, required=False)
    impact = VocabularyField(Impact, required=False)
    public = serializers.BooleanField(required=False)
    page_status = VocabularyField(PageStatus, required=False)

    def validate_page_status(self, value: str) -> str:
        if value in (PageStatus.RESOLVED, PageStatus.POSTMORTEM):
            raise serializers.ValidationError("It begins INVESTIGATING, IDENTIFIED or MONITORING.")
        return value


class AcknowledgeInput(StrictSerializer):
    """Until when somebody sees to it; for good where nothing is given."""

    until = InstantField(required=False, allow_null=True)


class AssignInput(StrictSerializer):
    """Whose it is; empty for nobody's."""

    to = serializers.CharField(max_length=MAX_ACTOR, allow_blank=True)


class DescribeInput(StrictSerializer):
    """What is said of it: its severity, its impact, and how status pages show it."""

    severity = VocabularyField(Severity, required=False)
    impact = VocabularyField(Impact, required=False)
    title = serializers.CharField(max_length=200, required=False, allow_blank=True)
    public = serializers.BooleanField(required=False)


class UpdateInput(StrictSerializer):
    """A note; with `page_status`, how far it is. A `public` one is shown on status pages."""

    text = serializers.CharField(max_length=MOST_TEXT)
    page_status = VocabularyField(PageStatus, required=False)
    public = serializers.BooleanField(required=False)


class SilenceIncidentInput(StrictSerializer):
    """For how long nobody is told, and why."""

    minutes = serializers.IntegerField(min_value=1, max_value=LONGEST_MINUTES)
    comment = serializers.CharField(max_length=5000, required=False, allow_blank=True)


class MergeInput(StrictSerializer):
    """The id of the incident that it becomes a part of."""

    into = serializers.CharField(max_length=100)


class ResolveInput(StrictSerializer):
    """How it ended."""

    resolution = serializers.CharField(max_length=500, required=False, allow_blank=True)


class IncidentFilter(django_filters.FilterSet):
    """Filters of the list of incidents."""

    status = VocabularyFilter(IncidentStatus)
    subject = VocabularyFilter(Subject)
    severity = VocabularyFilter(Severity)
    service = NameFilter("service__name")
    assigned_to = NameFilter("assigned_to")
    public = django_filters.BooleanFilter()
    search = SearchFilter("about__icontains", "title__icontains")


class IncidentViewSet(ResourceViewSet):
    """`/monitoring/incidents`, and by its former name `/health/incidents`."""

    queryset = Incident.objects.select_related("service")
    serializer_class = IncidentSerializer
    filterset_class = IncidentFilter
    pagination_class = GrowingListPagination
    ordering_fields = ("opened_at",)
    scopes = {
        **dict.fromkeys(("list", "retrieve", "updates"), "registry:read"),
        **dict.fromkeys(
            (
                "create", "acknowledge", "unacknowledge", "assign", "describe", "add_update",
                "merge", "resolve", "expire", "keep", "silence",
            ),
            "registry:write",
        ),
    }  # fmt: skip

    def list(self, request: Any) -> Response:
        """The incidents, the latest first."""
        return self.answer_page(self.get_queryset().order_by("-id"), IncidentSerializer)

    @extend_schema(request=IncidentInput, responses={201: IncidentSerializer})
    def create(self, request: Any) -> Response:
        """Open an incident by hand: it ends by a person's word."""
        incident = handling.open_by_hand(self.read(IncidentInput), actor=self.actor)
        return Response(represent(IncidentSerializer, incident), status=201)

    def retrieve(self, request: Any, pk: str) -> Response:
        """One incident, by its id."""
        return Response(represent(IncidentSerializer, get_incident(pk)))

    @post_action(request=AcknowledgeInput, responses=IncidentSerializer)
    def acknowledge(self, request: Any, pk: str) -> Response:
        """Say that you see to it; 409 when it is not open."""
        incident = get_incident(pk)
        until = self.read(AcknowledgeInput).get("until")
        return self._answer(handling.acknowledge_incident(incident, actor=self.actor, until=until))

    @post_action(responses=IncidentSerializer)
    def unacknowledge(self, request: Any, pk: str) -> Response:
        """Take that back: others are called again; 409 when nobody sees to it."""
        return self._answer(handling.unacknowledge_incident(get_incident(pk), actor=self.actor))

    @post_action(request=AssignInput, responses=IncidentSerializer)
    def assign(self, request: Any, pk: str) -> Response:
        """Say whose it is; 409 when it is resolved."""
        incident = get_incident(pk)
        to = self.read(AssignInput)["to"]
        return self._answer(handling.assign_incident(incident, to, actor=self.actor))

    @post_action(request=DescribeInput, responses=IncidentSerializer)
    def describe(self, request: Any, pk: str) -> Response:
        """Change its severity or impact, and how status pages show it."""
        incident = get_incident(pk)
        fields = self.read(DescribeInput)
        return self._answer(handling.describe_incident(incident, fields, actor=self.actor))

    @nested_list(IncidentUpdateSerializer)
    def updates(self, request: Any, pk: str) -> Response:
        """The timeline of an incident, the latest first."""
        rows = get_incident(pk).updates.order_by("-id")
        return self.answer_page(rows, IncidentUpdateSerializer)

    @extend_schema(request=UpdateInput, responses={201: IncidentUpdateSerializer})
    @updates.mapping.post
    def add_update(self, request: Any, pk: str) -> Response:
        """Add a note, or how far it is; RESOLVED ends it, POSTMORTEM is for what is over."""
        incident = get_incident(pk)
        entry = handling.add_update(incident, self.read(UpdateInput), actor=self.actor)
        return Response(represent(IncidentUpdateSerializer, entry), status=201)

    @post_action(request=MergeInput, responses=IncidentSerializer)
    def merge(self, request: Any, pk: str) -> Response:
        """Make it a part of another: nobody is told of it alone while that is open."""
        incident = get_incident(pk)
        into = self.read(MergeInput)["into"]
        return self._answer(handling.merge_incident(incident, into, actor=self.actor))

    @post_action(request=ResolveInput, responses=IncidentSerializer)
    def resolve(self, request: Any, pk: str) -> Response:
        """End it; what is still wrong opens another. 409 when it is resolved."""
        incident = get_incident(pk)
        words = self.read(ResolveInput).get("resolution", "")
        return self._answer(handling.end_incident(incident, words, actor=self.actor))

    @post_action(request=SilenceIncidentInput, responses={201: SilenceSerializer})
    def silence(self, request: Any, pk: str) -> Response:
        """Silence its kind about the same for some minutes; 409 when it is resolved."""
        silence = silence_incident(
            get_incident(pk), **self.read(SilenceIncidentInput), actor=self.actor
        )
        return Response(represent(SilenceSerializer, silence), status=201)

    @post_action(responses=IncidentSerializer)
    def expire(self, request: Any, pk: str) -> Response:
        """Take the suspects of a mass expiry offline now; 409 when it is not about any."""
        return self._decide(pk, Verdict.EXPIRE)

    @post_action(responses=IncidentSerializer)
    def keep(self, request: Any, pk: str) -> Response:
        """Take the suspects of a mass expiry to be alive for another hour, beats or not."""
        return self._decide(pk, Verdict.KEEP)

    def _decide(self, reference: str, verdict: Verdict) -> Response:
        return self._answer(decide_suspects(get_incident(reference), verdict, actor=self.actor))

    def _answer(self, incident: Incident) -> Response:
        return Response(represent(IncidentSerializer, incident))
