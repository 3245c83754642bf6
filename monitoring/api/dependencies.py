"""Dependencies: which service needs which."""

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
from core.api.query_filters import NameFilter, VocabularyFilter
from core.api.serializers import AnswerSerializer, StrictSerializer, represent
from core.api.viewsets import ResourceViewSet
from core.exceptions import ValidationFailed
from monitoring.dependencies import lifecycle
from monitoring.dependencies.learned import read_learned
from monitoring.models import DependencyKind, ServiceDependency


class DependencySerializer(AnswerSerializer):
    """A dependency in an answer."""

    kind = VocabularyField(DependencyKind)
    service = serializers.CharField(source="service.name")
    depends_on = serializers.CharField(source="depends_on.name")

    class Meta:
        model = ServiceDependency
        fields = ("id", "service", "depends_on", "kind", "created_at", "updated_at")


class DependencyInput(StrictSerializer):
    """A dependency as it is made."""

    service = serializers.CharField(max_length=100, help_text="The id or name of who needs it.")
    depends_on = serializers.CharField(max_length=100, help_text="The id or name of what it needs.")
    kind = VocabularyField(
        DependencyKind,
        required=False,
        help_text="HARD: nobody is told of the one while the other is down.",
    )


class LearnedSerializer(serializers.Serializer[Any]):
    """A service called another so often within a week; no alert goes by it until it is declared."""

    service = serializers.CharField(source="service.name")
    depends_on = serializers.CharField(source="depends_on.name")
    count = serializers.IntegerField()
    last_at = serializers.DateTimeField()


class LearnedAnswer(serializers.Serializer[Any]):
    """What was learned, by the names of the services."""

    items = LearnedSerializer(many=True)


class DependencyFilter(django_filters.FilterSet):
    """Filters of the list of dependencies."""

    service = NameFilter("service__name")
    depends_on = NameFilter("depends_on__name")
    kind = VocabularyFilter(DependencyKind)


class DependencyViewSet(ResourceViewSet):
    """`/monitoring/dependencies`."""

    queryset = ServiceDependency.objects.select_related("service", "depends_on")
    serializer_class = DependencySerializer
    filterset_class = DependencyFilter
    ordering_fields = ("created_at",)
    scopes = {
        "list": "registry:read",
        "retrieve": "registry:read",
        "create": "registry:write",
        "destroy": "registry:write",
        "learned": "registry:read",
    }

    def list(self, request: Any) -> Response:
        """The dependencies, by the names of the services."""
        rows = self.get_queryset().order_by("service__name", "depends_on__name")
        return self.answer_page(rows, DependencySerializer)

    def retrieve(self, request: Any, pk: str) -> Response:
        """One dependency, by its id."""
        return Response(represent(DependencySerializer, lifecycle.get_dependency(pk)))

    @extend_schema(request=DependencyInput, responses={201: DependencySerializer})
    def create(self, request: Any) -> Response:
        """Say that a service needs another; one that would close a circle is refused."""
        row = lifecycle.create_dependency(self.read(DependencyInput), actor=self.actor)
        return Response(represent(DependencySerializer, row), status=201)

    def destroy(self, request: Any, pk: str) -> Response:
        """Take back that a service needs another."""
        lifecycle.delete_dependency(lifecycle.get_dependency(pk), actor=self.actor)
        return Response(status=204)

    @extend_schema(responses=LearnedAnswer)
    @action(detail=False, methods=["get"], filterset_class=None, pagination_class=None)
    def learned(self, request: Any) -> Response:
        """Who called whom by an integration within a week, where nobody said that it needs it."""
        if unknown := set(request.query_params) - ALWAYS_ALLOWED:
            raise ValidationFailed.at(min(unknown), "Leave it out: nothing is asked for here.")
        return Response(LearnedAnswer({"items": read_learned(now=timezone.now())}).data)
