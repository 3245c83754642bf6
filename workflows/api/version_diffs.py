"""Two versions of a definition, compared, as the API answers it."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from core.api.fields import AnyField, ObjectField
from workflows.services import ComparedVersions

KINDS = (("ADDED", "Added"), ("REMOVED", "Removed"), ("CHANGED", "Changed"))


class DifferenceSerializer(serializers.Serializer[Any]):
    """A key path whose value differs; an absent value is null."""

    path = serializers.CharField()
    kind = serializers.ChoiceField(choices=KINDS)
    before = AnyField()
    after = AnyField()


class ComparedStepSerializer(serializers.Serializer[Any]):
    """A step, and where it stands: `place` is empty at the top, `fork[0]` in a branch."""

    id = serializers.CharField()
    name = serializers.CharField()
    place = serializers.CharField()
    step = ObjectField(source="document")


class ChangedStepSerializer(ComparedStepSerializer):
    """A step that is in both versions and says something else."""

    changes = DifferenceSerializer(many=True)


class ComparisonAnswer(serializers.Serializer[Any]):
    """How the version `after` differs from the version `before`."""

    workflow = serializers.CharField(source="after.workflow.name")
    before = serializers.IntegerField(source="before.number")
    after = serializers.IntegerField(source="after.number")
    same = serializers.BooleanField(source="comparison.is_same")
    added = ComparedStepSerializer(many=True, source="comparison.added")
    removed = ComparedStepSerializer(many=True, source="comparison.removed")
    changed = ChangedStepSerializer(many=True, source="comparison.changed")
    unchanged = serializers.ListField(child=serializers.CharField(), source="comparison.unchanged")
    options = DifferenceSerializer(many=True, source="comparison.options")


def show_comparison(compared: ComparedVersions) -> Any:
    """Return a comparison as the API answers it."""
    return ComparisonAnswer(compared).data
