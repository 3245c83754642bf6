"""Policies of escalation: who else is told of what nobody sees to."""

from __future__ import annotations

from typing import Any

import django_filters
from rest_framework import serializers

from core.api.fields import ObjectField, VocabularyField
from core.api.named_resource import NamedResourceViewSet
from core.api.patches import PatchSerializer
from core.api.query_filters import SearchFilter
from core.api.serializers import AnswerSerializer, StrictSerializer
from core.name_patterns import MOST_PATTERNS
from monitoring.alerts import escalation_policies
from monitoring.models import EscalationPolicy, Severity


class EscalationPolicySerializer(AnswerSerializer):
    """A policy in an answer; its levels name their channels."""

    min_severity = VocabularyField(Severity)
    subjects = serializers.ListField(child=serializers.CharField())
    services = serializers.ListField(child=serializers.CharField())
    tags = serializers.ListField(child=serializers.CharField())
    levels = serializers.SerializerMethodField()
    large = ("description", "subjects", "services", "tags", "levels")
    whole_at = "/monitoring/escalations/{row.pk}"

    class Meta:
        model = EscalationPolicy
        fields = (
            "id", "name", "description", "enabled", "min_severity", "subjects", "services",
            "tags", "levels", "created_at", "updated_at",
        )  # fmt: skip

    def get_levels(self, row: EscalationPolicy) -> list[dict[str, Any]]:
        """Return the levels by the names of their channels."""
        return escalation_policies.shown_levels(row.levels)


def _words() -> serializers.ListField:
    child = serializers.CharField(max_length=100)
    return serializers.ListField(child=child, required=False, max_length=MOST_PATTERNS)


class EscalationPolicyInput(StrictSerializer):
    """A policy as it is made or changed."""

    name = serializers.CharField(max_length=100)
    description = serializers.CharField(max_length=5000, allow_blank=True, required=False)
    enabled = serializers.BooleanField(required=False)
    min_severity = VocabularyField(Severity, required=False)
    subjects = _words()
    services = _words()
    tags = _words()
    levels = serializers.ListField(
        child=ObjectField(),
        max_length=escalation_policies.MOST_LEVELS,
        help_text='Such as {"after_minutes": 10, "channels": ["boss"]}, the first told first.',
    )


class EscalationPolicyPatch(PatchSerializer, EscalationPolicyInput):
    """A change of a policy; levels are replaced as a whole."""

    model = EscalationPolicy


class EscalationPolicyFilter(django_filters.FilterSet):
    """Filters of the list of policies."""

    enabled = django_filters.BooleanFilter()
    search = SearchFilter("name__icontains", "description__icontains")


class EscalationViewSet(NamedResourceViewSet):
    """`/monitoring/escalations`."""

    queryset = EscalationPolicy.objects.all()
    serializer_class = EscalationPolicySerializer
    input_class = EscalationPolicyInput
    patch_class = EscalationPolicyPatch
    filterset_class = EscalationPolicyFilter
    ordering_fields = ("name", "created_at", "updated_at")
    read_scope = "registry:read"
    write_scope = "registry:write"

    def get_rows(self) -> Any:
        """The policies of escalation, by name unless ordered otherwise."""
        return self.get_queryset().order_by("name")

    def find(self) -> EscalationPolicy:
        """One policy, by its id or name."""
        return escalation_policies.get_policy(self.kwargs["pk"])

    def perform_create(self, fields: dict[str, Any]) -> EscalationPolicy:
        """Make a policy; what nobody sees to already is escalated, too."""
        return escalation_policies.create_policy(fields, actor=self.actor)

    def perform_update(self, row: Any, fields: dict[str, Any], *, if_unchanged: bool) -> Any:
        """Change what is given and leave the rest; levels are replaced as a whole."""
        return escalation_policies.update_policy(
            row, fields, actor=self.actor, if_unchanged=if_unchanged
        )

    def perform_destroy(self, row: Any, *, if_unchanged: bool) -> None:
        """Delete a policy; who was told by it is still told of the end."""
        escalation_policies.delete_policy(row, actor=self.actor, if_unchanged=if_unchanged)
