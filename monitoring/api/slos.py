"""Objectives, and how they are met."""

from __future__ import annotations

from typing import Any

import django_filters
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from core.api.fields import NumberField, VocabularyField
from core.api.named_resource import NamedResourceViewSet
from core.api.patches import PatchSerializer
from core.api.query_filters import NameFilter, SearchFilter, VocabularyFilter
from core.api.serializers import AnswerSerializer, StrictSerializer
from monitoring.models import Slo, SloKind, SloSource
from monitoring.slos import lifecycle
from monitoring.slos.status import SloStatus, read_status


class SloSerializer(AnswerSerializer):
    """An objective in an answer."""

    kind = VocabularyField(SloKind)
    source = VocabularyField(SloSource)  # type: ignore[assignment]
    service = serializers.CharField(source="service.name")
    large = ("description",)
    whole_at = "/monitoring/slos/{row.pk}"

    class Meta:
        model = Slo
        fields = (
            "id", "name", "description", "service", "kind", "source", "action", "target",
            "window_days", "threshold_ms", "min_events", "enabled", "counted_until", "created_at",
            "updated_at",
        )  # fmt: skip


class SloInput(StrictSerializer):
    """An objective as it is made or changed."""

    name = serializers.CharField(max_length=100)
    service = serializers.CharField(max_length=100, help_text="The id or name of a service.")
    description = serializers.CharField(max_length=5000, allow_blank=True, required=False)
    kind = VocabularyField(SloKind, required=False)
    source = VocabularyField(  # type: ignore[assignment]
        SloSource, required=False, help_text="LOOKS at the service, CALLS of the hub, or BOTH."
    )
    action = serializers.CharField(
        max_length=100, allow_blank=True, required=False, help_text="Only CALLS of that."
    )
    target = NumberField(
        min_value=50, max_value=99.999, required=False, help_text="In percent, such as 99.9."
    )
    window_days = serializers.IntegerField(min_value=1, max_value=90, required=False)
    threshold_ms = serializers.IntegerField(
        min_value=1, max_value=60_000, required=False, help_text="What LATENCY calls in time."
    )
    min_events = serializers.IntegerField(
        min_value=1,
        max_value=1_000_000,
        required=False,
        help_text="Fewer than that in a window prove nothing.",
    )
    enabled = serializers.BooleanField(required=False)


class SloPatch(PatchSerializer, SloInput):
    """A change of an objective."""

    model = Slo


class BurnSerializer(serializers.Serializer[Any]):
    """How fast the budget burns by a rule: 1 uses it up just at the end of the window."""

    threshold = serializers.FloatField()
    long_seconds = serializers.IntegerField()
    short_seconds = serializers.IntegerField()
    long_burn = serializers.FloatField()
    short_burn = serializers.FloatField()
    holds = serializers.BooleanField()


class SloStatusAnswer(serializers.Serializer[Any]):
    """How an objective is met. `budget_left` is a share of 1, below 0 where it is missed."""

    name = serializers.CharField()
    state = serializers.CharField()
    percent = serializers.FloatField(allow_null=True)
    good = serializers.IntegerField()
    total = serializers.IntegerField()
    budget_left = serializers.FloatField()
    burns = BurnSerializer(many=True)
    exhausts_at = serializers.DateTimeField(allow_null=True)


class SloFilter(django_filters.FilterSet):
    """Filters of the list of objectives."""

    kind = VocabularyFilter(SloKind)
    service = NameFilter("service__name")
    enabled = django_filters.BooleanFilter()
    search = SearchFilter("name__icontains", "description__icontains")


class SloViewSet(NamedResourceViewSet):
    """`/monitoring/slos`."""

    queryset = Slo.objects.select_related("service")
    serializer_class = SloSerializer
    input_class = SloInput
    patch_class = SloPatch
    filterset_class = SloFilter
    ordering_fields = ("name", "target", "created_at", "updated_at")
    read_scope = "registry:read"
    write_scope = "registry:write"
    scopes = {"status": read_scope}

    def get_rows(self) -> Any:
        """The objectives, by name unless ordered otherwise."""
        return self.get_queryset().order_by("name")

    def find(self) -> Slo:
        """One objective, by id or name."""
        return lifecycle.get_slo(self.kwargs["pk"])

    def perform_create(self, fields: dict[str, Any]) -> Slo:
        """Make an objective; what is looked at from now on counts."""
        return lifecycle.create_slo(fields, actor=self.actor)

    def perform_update(self, row: Any, fields: dict[str, Any], *, if_unchanged: bool) -> Any:
        """Change what is given and leave the rest; null takes a setting away."""
        return lifecycle.update_slo(row, fields, actor=self.actor, if_unchanged=if_unchanged)

    def perform_destroy(self, row: Any, *, if_unchanged: bool) -> None:
        """Delete an objective with what was counted for it."""
        lifecycle.delete_slo(row, actor=self.actor, if_unchanged=if_unchanged)

    @extend_schema(responses=SloStatusAnswer)
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def status(self, request: Any, pk: str) -> Response:
        """How an objective is met: its budget, how fast that burns, and when it is used up."""
        found = read_status(self.find(), now=timezone.now())
        return Response(SloStatusAnswer(_describe(found)).data)


def _describe(found: SloStatus) -> dict[str, Any]:
    return {
        "name": found.slo.name,
        "state": found.state,
        "percent": found.budget.percent,
        "good": found.budget.count.good,
        "total": found.budget.count.total,
        "budget_left": found.budget.left,
        "burns": [
            {
                "threshold": rule.burn,
                "long_seconds": int(rule.long.total_seconds()),
                "short_seconds": int(rule.short.total_seconds()),
                "long_burn": round(long, 3),
                "short_burn": round(short, 3),
                "holds": min(long, short) > rule.burn,
            }
            for rule, long, short in found.burns
        ],
        "exhausts_at": found.exhausts_at,
    }
