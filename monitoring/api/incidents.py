"""Incidents: what is wrong, what was, and deciding on it."""

from __future__ import annotations

from typing import Any

import django_filters
from rest_framework import serializers
from rest_framework.response import Response

from core.api.actions import post_action
from core.api.fields import VocabularyField
from core.api.pagination import GrowingListPagination
from core.api.query_filters import NameFilter, VocabularyFilter
from core.api.serializers import AnswerSerializer, represent
from core.api.viewsets import ResourceViewSet
from monitoring.incidents import Verdict, acknowledge_incident, decide_suspects, get_incident
from monitoring.models import Incident, IncidentStatus, Severity, Subject


class IncidentSerializer(AnswerSerializer):
    """An incident in an answer."""

    subject = VocabularyField(Subject)
    severity = VocabularyField(Severity)
    status = VocabularyField(IncidentStatus)
    service = serializers.CharField(source="service.name", default=None, allow_null=True)
    large = ("cause",)
    whole_at = "/health/incidents/{row.pk}"

    class Meta:
        model = Incident
        fields = (
            "id", "subject", "about", "service", "severity", "status", "cause", "opened_at",
            "acknowledged_at", "acknowledged_by", "resolved_at", "resolved_by", "resolution",
            "reopened_count", "updated_at",
        )  # fmt: skip


class IncidentFilter(django_filters.FilterSet):
    """Filters of the list of incidents."""

    status = VocabularyFilter(IncidentStatus)
    subject = VocabularyFilter(Subject)
    severity = VocabularyFilter(Severity)
    service = NameFilter("service__name")


class IncidentViewSet(ResourceViewSet):
    """`/health/incidents`."""

    queryset = Incident.objects.select_related("service")
    serializer_class = IncidentSerializer
    filterset_class = IncidentFilter
    pagination_class = GrowingListPagination
    ordering_fields = ("opened_at",)
    scopes = {
        "list": "registry:read",
        "retrieve": "registry:read",
        "acknowledge": "registry:write",
        "expire": "registry:write",
        "keep": "registry:write",
    }

    def list(self, request: Any) -> Response:
        """The incidents, the latest first."""
        return self.answer_page(self.get_queryset().order_by("-id"), IncidentSerializer)

    def retrieve(self, request: Any, pk: str) -> Response:
        """One incident, by its id."""
        return Response(represent(IncidentSerializer, get_incident(pk)))

    @post_action(responses=IncidentSerializer)
    def acknowledge(self, request: Any, pk: str) -> Response:
        """Say that you see to it; 409 when it is not open."""
        incident = acknowledge_incident(get_incident(pk), actor=self.actor)
        return Response(represent(IncidentSerializer, incident))

    @post_action(responses=IncidentSerializer)
    def expire(self, request: Any, pk: str) -> Response:
        """Take the suspects of a mass expiry offline now; 409 when it is not about any."""
        return self._decide(pk, Verdict.EXPIRE)

    @post_action(responses=IncidentSerializer)
    def keep(self, request: Any, pk: str) -> Response:
        """Take the suspects of a mass expiry to be alive for another hour, beats or not."""
        return self._decide(pk, Verdict.KEEP)

    def _decide(self, reference: str, verdict: Verdict) -> Response:
        decided = decide_suspects(get_incident(reference), verdict, actor=self.actor)
        return Response(represent(IncidentSerializer, decided))
