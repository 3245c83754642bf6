"""Workflows and executions as the API takes and answers them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from registry.api.base import ObjectField, StrictSerializer, VocabularyField
from workflows.models import (
    OPEN_STEP,
    EventKind,
    StepStatus,
    Workflow,
    WorkflowEvent,
    WorkflowExecution,
    WorkflowStatus,
    WorkflowStep,
    WorkflowType,
    WorkflowVersion,
)
from workflows.services import OPTION_KEYS

LONGEST_WAIT = 60
SHOWN_STEPS = 500


class WorkflowSerializer(serializers.ModelSerializer[Workflow]):
    """A workflow in an answer, with what its current version says."""

    version = serializers.IntegerField(source="current_version.number", default=None)
    steps = serializers.JSONField(source="current_version.steps", default=list)

    class Meta:
        model = Workflow
        fields = (
            "id", "name", "description", "type", "status", "version", "steps", "metadata", "owner",
            "created_at", "updated_at",
        )  # fmt: skip

    def to_representation(self, workflow: Workflow) -> dict[str, Any]:
        shown = super().to_representation(workflow)
        options = workflow.current_version.options if workflow.current_version else {}
        return {**shown, **options}


class VersionSerializer(serializers.ModelSerializer[WorkflowVersion]):
    """One version of a definition."""

    is_current = serializers.SerializerMethodField()

    class Meta:
        model = WorkflowVersion
        fields = ("id", "number", "is_current", "steps", "options", "checksum", "created_at")

    def get_is_current(self, version: WorkflowVersion) -> bool:
        return bool(version.pk == self.context.get("current_version_id"))


class AnyField(serializers.Field[Any, Any, Any, Any]):
    """Whatever JSON: the definition's own checks say what is wrong with it."""

    def to_internal_value(self, data: Any) -> Any:
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class WorkflowInput(StrictSerializer):
    """A workflow as its author writes it."""

    name = serializers.CharField(max_length=100)
    description = serializers.CharField(
        max_length=5000, allow_blank=True, allow_null=True, required=False
    )
    type = VocabularyField(WorkflowType, required=False)
    status = VocabularyField(WorkflowStatus, required=False)
    metadata = ObjectField(required=False, allow_null=True)
    steps = AnyField()
    output = AnyField(required=False)
    retry = AnyField(required=False)
    timeout = AnyField(required=False)
    other_names = {"workflow_type": "type"}

    @staticmethod
    def fields_of(data: dict[str, Any]) -> dict[str, Any]:
        """What is about the workflow itself; null leaves a field as it is."""
        names = ("name", "description", "type", "status", "metadata")
        return {name: data[name] for name in names if data.get(name) is not None}

    @staticmethod
    def document_of(data: dict[str, Any]) -> dict[str, Any] | None:
        """The definition in it; None when it says nothing of one."""
        found = {k: data[k] for k in ("steps", *OPTION_KEYS) if data.get(k) is not None}
        return found or None


class ValidateInput(WorkflowInput):
    """A definition to check."""

    name = serializers.CharField(max_length=100, required=False)


class ValidationAnswer(serializers.Serializer[Any]):
    """What is wrong with a definition."""

    valid = serializers.BooleanField()
    errors = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))
    warnings = serializers.ListField(child=serializers.CharField())


class StepSerializer(serializers.ModelSerializer[WorkflowStep]):
    """One attempt at a step."""

    duration = serializers.FloatField(read_only=True)

    class Meta:
        model = WorkflowStep
        fields = (
            "id", "step_id", "path", "attempt", "name", "status", "service", "instance", "action",
            "input", "output", "error", "started_at", "completed_at", "wake_at", "duration",
        )  # fmt: skip


class EventSerializer(serializers.ModelSerializer[WorkflowEvent]):
    """One entry of an execution's history."""

    kind = VocabularyField(EventKind)

    class Meta:
        model = WorkflowEvent
        fields = ("sequence", "kind", "actor", "payload", "created_at")


class ExecutionSerializer(serializers.ModelSerializer[WorkflowExecution]):
    """An execution in a list."""

    execution_id = serializers.UUIDField(source="id")
    workflow_type = serializers.CharField(source="type")
    version = serializers.IntegerField(source="version.number", default=None)
    result = serializers.JSONField(source="output")
    current_step = serializers.SerializerMethodField()
    execution_time = serializers.FloatField(read_only=True)

    class Meta:
        model = WorkflowExecution
        fields = (
            "id", "execution_id", "workflow_id", "workflow_name", "workflow_type", "version",
            "status", "input", "output", "result", "errors", "context", "correlation_id",
            "current_step", "execution_time", "started_by", "priority", "started_at",
            "completed_at", "created_at",
        )  # fmt: skip

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_current_step(self, execution: WorkflowExecution) -> str | None:
        found = getattr(execution, "shown_steps", None)
        steps = found if found is not None else execution.open_steps  # type: ignore[attr-defined]
        stopped = (*OPEN_STEP, StepStatus.NEEDS_REVIEW)
        return next((s.step_id for s in reversed(steps) if s.status in stopped), None)


class ExecutionDetailSerializer(ExecutionSerializer):
    """An execution with its steps."""

    steps = StepSerializer(many=True, source="shown_steps")

    class Meta(ExecutionSerializer.Meta):
        fields = (*ExecutionSerializer.Meta.fields, "steps")


class ExecuteInput(StrictSerializer):
    """What an execution is started with. `wait` is in seconds."""

    input_data = ObjectField(default=dict)
    context = ObjectField(default=dict)
    wait = serializers.FloatField(min_value=0, max_value=LONGEST_WAIT, default=0)
    priority = serializers.IntegerField(min_value=-100, max_value=100, default=0)
    other_names = {"input": "input_data", "data": "input_data"}


class RequestOptions(StrictSerializer):
    """How a request of a type is run."""

    wait = serializers.FloatField(min_value=0, max_value=LONGEST_WAIT, required=False)
    priority = serializers.IntegerField(min_value=-100, max_value=100, default=0)
    other_names = {"timeout": "wait"}


class ExecuteRequestInput(StrictSerializer):
    """A request for a type of workflow, or for a workflow."""

    workflow_type = VocabularyField(WorkflowType, required=False)
    workflow = serializers.CharField(max_length=100, required=False)
    input_data = ObjectField(default=dict)
    context = ObjectField(default=dict)
    options = RequestOptions(default=dict)
    other_names = {
        "type": "workflow_type",
        "workflow_id": "workflow",
        "data": "input_data",
        "input": "input_data",
    }

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("workflow_type" in attrs) == ("workflow" in attrs):
            types = ", ".join(WorkflowType.values)
            raise serializers.ValidationError(
                {"workflow_type": [f"Give either workflow_type ({types}) or workflow."]}
            )
        return attrs


class CancelInput(StrictSerializer):
    """Why an execution is cancelled."""

    reason = serializers.CharField(max_length=500, allow_blank=True, default="")
