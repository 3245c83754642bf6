"""Schedules and their runs as the API takes and answers them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.api.fields import ObjectField, VocabularyField
from core.api.instants import WallTimeField
from core.api.patches import PatchSerializer
from core.api.serializers import AnswerSerializer, StrictSerializer
from core.timetables import in_words
from workflows import services
from workflows.api.serializers import priority_field
from workflows.models import (
    LARGEST_CATCH_UP,
    CatchUpPolicy,
    OverlapPolicy,
    RunKind,
    RunOutcome,
    WorkflowSchedule,
    WorkflowScheduleRun,
)

RESERVED_NAMES = ("preview",)


class ScheduleSerializer(AnswerSerializer):
    """A schedule, with what its cron expression says and its next ticks."""

    workflow_id = serializers.UUIDField()
    workflow_name = serializers.CharField(source="workflow.name")
    version = serializers.IntegerField(source="version.number", default=None, allow_null=True)
    overlap_policy = VocabularyField(OverlapPolicy)
    catch_up_policy = VocabularyField(CatchUpPolicy)
    input = ObjectField()
    context = ObjectField()  # type: ignore[assignment]
    state = serializers.CharField(read_only=True, help_text="ACTIVE, DISABLED or ENDED.")
    words = serializers.SerializerMethodField()
    next_runs = serializers.SerializerMethodField()
    large = ("description", "input", "context")
    whole_at = "/schedules/{row.pk}"

    class Meta:
        model = WorkflowSchedule
        fields = (
            "id", "name", "description", "workflow_id", "workflow_name", "version", "cron",
            "timezone", "words", "overlap_policy", "catch_up_policy", "catch_up_limit", "input",
            "context", "priority", "enabled", "state", "starts_at", "ends_at", "next_run_at",
            "next_runs", "last_run_at", "owner", "created_at", "updated_at",
        )  # fmt: skip

    def get_words(self, schedule: WorkflowSchedule) -> str:
        return in_words(schedule.cron)

    @extend_schema_field(serializers.ListField(child=serializers.DateTimeField()))
    def get_next_runs(self, schedule: WorkflowSchedule) -> list[Any]:
        field = serializers.DateTimeField()
        return [field.to_representation(tick) for tick in services.next_ticks(schedule)]


class ScheduleInput(StrictSerializer):
    """A schedule as its author writes it. `workflow` is an id or a name."""

    name = serializers.CharField(max_length=100)
    description = serializers.CharField(max_length=5000, allow_blank=True, required=False)
    workflow = serializers.CharField(max_length=100)
    version = serializers.IntegerField(
        min_value=1, max_value=10**9, allow_null=True, required=False
    )
    cron = serializers.CharField(max_length=200)
    timezone = serializers.CharField(max_length=64, required=False)
    overlap_policy = VocabularyField(OverlapPolicy, required=False)
    catch_up_policy = VocabularyField(CatchUpPolicy, required=False)
    catch_up_limit = serializers.IntegerField(
        min_value=1, max_value=LARGEST_CATCH_UP, required=False
    )
    input = ObjectField(required=False)
    context = ObjectField(required=False)  # type: ignore[assignment]
    priority = priority_field()
    enabled = serializers.BooleanField(required=False)
    starts_at = WallTimeField(allow_null=True, required=False)
    ends_at = WallTimeField(allow_null=True, required=False)
    other_names = {"workflow_id": "workflow", "input_data": "input", "data": "input"}

    def validate_name(self, value: str) -> str:
        if value.lower() in RESERVED_NAMES:
            raise serializers.ValidationError(
                f"'{value}' is part of the paths of this API. Choose another name."
            )
        return value


class SchedulePatch(PatchSerializer, ScheduleInput):
    """A change of a schedule; an input and a context that are given replace the old ones."""

    model = WorkflowSchedule
    lasting = frozenset({"enabled"})


class PreviewInput(StrictSerializer):
    """The times of a schedule."""

    cron = serializers.CharField(max_length=200)
    timezone = serializers.CharField(max_length=64, default="UTC")
    starts_at = WallTimeField(allow_null=True, required=False)
    ends_at = WallTimeField(allow_null=True, required=False)


class PreviewAnswer(serializers.Serializer[Any]):
    """What these times mean."""

    words = serializers.CharField()
    next_runs = serializers.ListField(child=serializers.DateTimeField())


class RunSerializer(AnswerSerializer):
    """What became of one tick."""

    kind = VocabularyField(RunKind)
    outcome = VocabularyField(RunOutcome)
    execution_id = serializers.UUIDField(allow_null=True)
    execution_status = serializers.CharField(
        source="execution.status", default=None, allow_null=True
    )

    class Meta:
        model = WorkflowScheduleRun
        fields = (
            "id", "tick", "kind", "outcome", "reason", "execution_id", "execution_status", "actor",
            "started_at", "created_at",
        )  # fmt: skip


# A field named `from` cannot be written as an attribute.
_BackfillFields: Any = type(
    "_BackfillFields",
    (StrictSerializer,),
    {"from": WallTimeField(), "to": WallTimeField()},
)


class BackfillInput(_BackfillFields):
    """A past time whose ticks are to run, both ends included."""

    dry_run = serializers.BooleanField(default=False)


class BackfillAnswer(serializers.Serializer[Any]):
    """How many ticks the time has: to run, and left out because they ran already."""

    count = serializers.IntegerField()
    already_done = serializers.IntegerField()
    first = serializers.DateTimeField(allow_null=True)
    last = serializers.DateTimeField(allow_null=True)

    @staticmethod
    def of(plan: services.Backfill) -> dict[str, Any]:
        ticks = plan.ticks
        return {
            "count": len(ticks),
            "already_done": plan.done,
            "first": ticks[0] if ticks else None,
            "last": ticks[-1] if ticks else None,
        }


class CancelledAnswer(serializers.Serializer[Any]):
    """How many runs were given up."""

    cancelled = serializers.IntegerField()
