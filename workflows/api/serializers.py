"""Workflows and executions as the API takes and answers them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from registry.api.base import (
    AnswerSerializer,
    AnyField,
    ObjectField,
    StrictSerializer,
    VocabularyField,
)
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


class WorkflowSerializer(AnswerSerializer):
    """A workflow in an answer, with what its current version says."""

    version = serializers.IntegerField(
        source="current_version.number", default=None, allow_null=True
    )
    steps = serializers.SerializerMethodField()
    output = AnyField(source="current_version.options.output", required=False)
    retry = AnyField(source="current_version.options.retry", required=False)
    timeout = AnyField(source="current_version.options.timeout", required=False)
    metadata = ObjectField()

    class Meta:
        model = Workflow
        fields = (
            "id", "name", "description", "type", "status", "version", "steps", "output", "retry",
            "timeout", "metadata", "owner", "created_at", "updated_at",
        )  # fmt: skip

    def get_steps(self, workflow: Workflow) -> list[dict[str, Any]]:
        return workflow.current_version.steps if workflow.current_version else []


class VersionSerializer(AnswerSerializer):
    """One version of a definition."""

    steps = serializers.ListField(child=ObjectField())
    options = ObjectField()
    is_current = serializers.SerializerMethodField()

    class Meta:
        model = WorkflowVersion
        fields = ("id", "number", "is_current", "steps", "options", "checksum", "created_at")

    def get_is_current(self, version: WorkflowVersion) -> bool:
        return bool(version.pk == self.context.get("current_version_id"))


RESERVED_NAMES = ("execute", "validate")


class WorkflowInput(StrictSerializer):
    """A workflow as its author writes it. The definition's own checks say what is wrong with it."""

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

    def validate_name(self, value: str) -> str:
        if value.lower() in RESERVED_NAMES:
            raise serializers.ValidationError(
                f"'{value}' is part of the paths of this API. Choose another name."
            )
        return value

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
    errors = serializers.DictField(  # type: ignore[assignment]
        child=serializers.ListField(child=serializers.CharField())
    )
    warnings = serializers.ListField(child=serializers.CharField())


class StepSerializer(AnswerSerializer):
    """One attempt at a step."""

    duration = serializers.FloatField(read_only=True, allow_null=True)
    input = AnyField()
    output = AnyField()
    error = AnyField()

    class Meta:
        model = WorkflowStep
        fields = (
            "id", "step_id", "path", "attempt", "name", "status", "service", "instance", "action",
            "input", "output", "error", "started_at", "completed_at", "wake_at", "duration",
        )  # fmt: skip


class EventSerializer(AnswerSerializer):
    """One entry of an execution's history."""

    kind = VocabularyField(EventKind)
    payload = ObjectField()

    class Meta:
        model = WorkflowEvent
        fields = ("sequence", "kind", "actor", "payload", "created_at")


class ExecutionSerializer(AnswerSerializer):
    """An execution in a list."""

    execution_id = serializers.UUIDField(source="id")
    workflow_id = serializers.UUIDField(allow_null=True)
    workflow_type = VocabularyField(WorkflowType, source="type")
    version = serializers.IntegerField(source="version.number", default=None, allow_null=True)
    input = ObjectField()
    context = ObjectField()  # type: ignore[assignment]
    output = AnyField()
    result = AnyField(source="output")
    errors = serializers.ListField(child=ObjectField())  # type: ignore[assignment]
    current_step = serializers.SerializerMethodField()
    execution_time = serializers.FloatField(read_only=True, allow_null=True)

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
        fields = (*ExecutionSerializer.Meta.fields, "steps")  # type: ignore[assignment]


class ExecuteInput(StrictSerializer):
    """What an execution is started with. `wait` is in seconds."""

    input_data = ObjectField(default=dict)
    context = ObjectField(default=dict)  # type: ignore[assignment]
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
    context = ObjectField(default=dict)  # type: ignore[assignment]
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
