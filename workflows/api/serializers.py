"""Workflows and executions as the API takes and answers them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.api.fields import AnyField, NumberField, ObjectField, VocabularyField
from core.api.list_items import in_list
from core.api.patches import PatchSerializer
from core.api.serializers import AnswerSerializer, StrictSerializer
from core.json.merge_patch import MergePatch
from core.models.audit import MAX_REASON
from workflows import services
from workflows.definition_cache import known_definition
from workflows.history.activity import active_seconds, idle_kinds, spans_of
from workflows.models import (
    HIGHEST_PRIORITY,
    LOWEST_PRIORITY,
    OPEN_STEP,
    EventKind,
    RetentionClass,
    StepStatus,
    Workflow,
    WorkflowEvent,
    WorkflowExecution,
    WorkflowStatus,
    WorkflowStep,
    WorkflowType,
    WorkflowVersion,
)
from workflows.services import NEWEST, OPTION_KEYS

LONGEST_WAIT = 60
SHOWN_STEPS = 500
SHOWN_RERUNS = 20
MOST_VERSIONS = 999_999_999


class WorkflowSerializer(AnswerSerializer):
    """A workflow in an answer, with what its current version says."""

    version = serializers.IntegerField(
        source="current_version.number", default=None, allow_null=True
    )
    steps = serializers.SerializerMethodField()
    output = AnyField(source="current_version.options.output", required=False)
    retry = AnyField(source="current_version.options.retry", required=False)
    timeout = AnyField(source="current_version.options.timeout", required=False)
    defaults = AnyField(source="current_version.options.defaults", required=False)
    concurrency = AnyField(source="current_version.options.concurrency", required=False)
    metadata = ObjectField()
    large = (
        "description", "steps", "output", "retry", "timeout", "defaults", "concurrency", "metadata",
    )  # fmt: skip
    whole_at = "/workflows/{row.pk}"

    class Meta:
        model = Workflow
        fields = (
            "id", "name", "description", "type", "status", "version", "steps", "output", "retry",
            "timeout", "defaults", "concurrency", "retention", "metadata", "owner", "created_at",
            "updated_at",
        )  # fmt: skip

    def get_steps(self, workflow: Workflow) -> list[dict[str, Any]]:
        return workflow.current_version.steps if workflow.current_version else []


class VersionSerializer(AnswerSerializer):
    """One version of a definition."""

    steps = serializers.ListField(child=ObjectField())
    options = ObjectField()
    is_current = serializers.SerializerMethodField()
    large = ("steps", "options")
    whole_at = "/workflows/{row.workflow_id}/versions/{row.number}"

    class Meta:
        model = WorkflowVersion
        fields = (
            "id", "number", "is_current", "steps", "options", "checksum", "created_at",
            "retired_at", "retired_by", "retired_reason",
        )  # fmt: skip

    def get_is_current(self, version: WorkflowVersion) -> bool:
        return bool(version.pk == self.context.get("current_version_id"))


class AllowInput(StrictSerializer):
    """The steps whose calls may use the credentials that they reach; all of them unless told."""

    steps = serializers.ListField(
        child=serializers.CharField(max_length=100), required=False, max_length=1000
    )


class WithdrawInput(StrictSerializer):
    """Why a version may use credentials no longer."""

    reason = serializers.CharField(max_length=MAX_REASON, allow_blank=True, required=False)


RESERVED_NAMES = ("execute", "validate", "dry-run")


class WorkflowInput(StrictSerializer):
    """A workflow as its author writes it. The definition's own checks say what is wrong with it."""

    name = serializers.CharField(max_length=100)
    description = serializers.CharField(
        max_length=5000, allow_blank=True, allow_null=True, required=False
    )
    type = VocabularyField(WorkflowType, required=False)
    status = VocabularyField(WorkflowStatus, required=False)
    retention = VocabularyField(RetentionClass, required=False)
    metadata = ObjectField(required=False, allow_null=True)
    steps = AnyField()
    output = AnyField(required=False, allow_null=True)
    retry = AnyField(required=False, allow_null=True)
    timeout = AnyField(required=False, allow_null=True)
    defaults = AnyField(required=False, allow_null=True)
    concurrency = AnyField(required=False, allow_null=True)
    other_names = {"workflow_type": "type"}

    def validate_name(self, value: str) -> str:
        if value.lower() in RESERVED_NAMES:
            raise serializers.ValidationError(
                f"'{value}' is part of the paths of this API. Choose another name."
            )
        return value

    @staticmethod
    def fields_of(data: dict[str, Any]) -> dict[str, Any]:
        """Return what is about the workflow itself; null is as if it were left out."""
        names = ("name", "description", "type", "status", "retention", "metadata")
        return {name: data[name] for name in names if data.get(name) is not None}

    @staticmethod
    def document_of(data: dict[str, Any]) -> dict[str, Any] | None:
        """The definition in it; None when it says nothing of one."""
        found = {k: data[k] for k in ("steps", *OPTION_KEYS) if data.get(k) is not None}
        return found or None


class WorkflowPatch(PatchSerializer, WorkflowInput):
    """A change of a workflow. Each part of its definition is replaced as a whole.

    Null means something inside of them, such as no limit in `retry.max_attempts`.
    """

    model = Workflow
    lasting = frozenset({"status"})
    merged = frozenset({"metadata"})

    def without(self, name: str) -> Any:
        return None if name in OPTION_KEYS else super().without(name)

    @staticmethod
    def fields_of(data: dict[str, Any]) -> dict[str, Any]:
        """Return what is about the workflow itself; null is as if it were left out."""
        return {k: v for k, v in data.items() if k not in ("steps", *OPTION_KEYS)}

    @staticmethod
    def changes_of(data: dict[str, Any]) -> MergePatch | None:
        """Return what is to change in the definition; None when it says nothing of one."""
        members = {k: data[k] for k in ("steps", *OPTION_KEYS) if k in data}
        return MergePatch(members, replaced=frozenset(OPTION_KEYS)) if members else None


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
    warnings = serializers.SerializerMethodField()
    left_out = ("input", "output")
    large = ("error", "warnings")
    whole_at = "/executions/{row.execution_id}/steps/{row.pk}"

    class Meta:
        model = WorkflowStep
        fields = (
            "id", "step_id", "path", "attempt", "name", "status", "service", "instance", "action",
            "input", "output", "error", "warnings", "started_at", "completed_at", "wake_at",
            "duration", "reused",
        )  # fmt: skip

    @extend_schema_field(serializers.ListField(child=ObjectField()))
    def get_warnings(self, step: WorkflowStep) -> list[Any]:
        return step.warnings or []


class EventSerializer(AnswerSerializer):
    """One entry of an execution's history."""

    kind = VocabularyField(EventKind)
    payload = ObjectField()
    left_out = ("payload",)
    whole_at = "/executions/{row.execution_id}/events/{row.sequence}"

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
    queued = serializers.BooleanField(source="is_queued", read_only=True)
    current_step = serializers.SerializerMethodField()
    execution_time = serializers.FloatField(read_only=True, allow_null=True)
    rerun_of = serializers.UUIDField(source="rerun_of_id", allow_null=True)
    left_out = ("input", "output", "result", "context")
    large = ("errors",)
    whole_at = "/executions/{row.pk}"

    class Meta:
        model = WorkflowExecution
        fields = (
            "id", "execution_id", "workflow_id", "workflow_name", "workflow_type", "version",
            "status", "priority", "queued", "input", "output", "result", "errors", "context",
            "correlation_id", "current_step", "execution_time", "started_by", "rerun_of",
            "started_at",
            "completed_at", "created_at",
        )  # fmt: skip

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_current_step(self, execution: WorkflowExecution) -> str | None:
        found = getattr(execution, "shown_steps", None)
        steps = found if found is not None else execution.open_steps  # type: ignore[attr-defined]
        stopped = (*OPEN_STEP, StepStatus.NEEDS_REVIEW)
        return next((s.step_id for s in reversed(steps) if s.status in stopped), None)


class ExecutionDetailSerializer(ExecutionSerializer):
    """An execution with its steps, of at most 2 MB, and those that rerun it."""

    steps = in_list(StepSerializer, source="shown_steps")
    reruns = serializers.ListField(child=serializers.UUIDField(), source="shown_reruns")
    queue_position = serializers.SerializerMethodField()
    active_time = serializers.SerializerMethodField()
    idle_steps = serializers.SerializerMethodField()
    warnings = serializers.SerializerMethodField()

    class Meta(ExecutionSerializer.Meta):
        fields = (  # type: ignore[assignment]
            *ExecutionSerializer.Meta.fields, "queue_position", "active_time", "idle_steps",
            "warnings", "reruns", "steps",
        )  # fmt: skip

    @extend_schema_field(serializers.ListField(child=ObjectField()))
    def get_warnings(self, execution: WorkflowExecution) -> list[Any]:
        """Those of its steps."""
        steps: list[WorkflowStep] = execution.shown_steps  # type: ignore[attr-defined]
        return [
            {"step": step.step_id, "path": step.path, "attempt": step.attempt, **warning}
            for step in steps
            for warning in step.warnings or ()
        ]

    @extend_schema_field(serializers.FloatField(allow_null=True))
    def get_active_time(self, execution: WorkflowExecution) -> float | None:
        """Seconds in which a step ran; null before the end, and of very many steps.

        Waiting for a person, an event or a time does not count.
        """
        steps: list[WorkflowStep] = execution.shown_steps  # type: ignore[attr-defined]
        if execution.execution_time is None or len(steps) >= SHOWN_STEPS:
            return None
        idle = _idle_of(execution)
        own = (s for s in steps if not s.reused and s.step_id not in idle)
        times = ((s.started_at, s.completed_at) for s in own)
        return round(active_seconds(spans_of(times, until=None)), 6)

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_idle_steps(self, execution: WorkflowExecution) -> list[str]:
        """Those of its steps whose time is not active: they wait, or hold branches."""
        return sorted(_idle_of(execution))

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_queue_position(self, execution: WorkflowExecution) -> int | None:
        queue = services.queue_of(execution)
        return queue.position if queue else None


def _idle_of(execution: WorkflowExecution) -> set[str]:
    """Return the ids of idle steps among those shown; what called a service is never one."""
    steps: list[WorkflowStep] = execution.shown_steps  # type: ignore[attr-defined]
    begun = {s.step_id for s in steps if s.started_at is not None and not s.service}
    return begun & set(idle_kinds(known_definition(execution.version_id))) if begun else set()


def priority_field() -> serializers.IntegerField:
    """Return the field for how urgent an execution is: higher comes first."""
    return serializers.IntegerField(
        min_value=LOWEST_PRIORITY, max_value=HIGHEST_PRIORITY, required=False
    )


class ExecuteInput(StrictSerializer):
    """What an execution is started with. `wait` is in seconds; no `version` is the current one."""

    input_data = ObjectField(default=dict)
    context = ObjectField(default=dict)  # type: ignore[assignment]
    wait = NumberField(min_value=0, max_value=LONGEST_WAIT, default=0)
    priority = priority_field()
    version = serializers.IntegerField(
        min_value=1, max_value=MOST_VERSIONS, allow_null=True, default=None
    )
    other_names = {"input": "input_data", "data": "input_data"}


class RequestOptions(StrictSerializer):
    """How a request of a type is run."""

    wait = NumberField(min_value=0, max_value=LONGEST_WAIT, required=False)
    priority = priority_field()
    other_names = {"timeout": "wait"}


class ExecuteRequestInput(StrictSerializer):
    """A request for a type of workflow, or for a workflow."""

    workflow_type = VocabularyField(WorkflowType, required=False)
    workflow = serializers.CharField(max_length=100, required=False)
    input_data = ObjectField(default=dict)
    context = ObjectField(default=dict)  # type: ignore[assignment]
    priority = priority_field()
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
        inner = attrs["options"].get("priority")
        if inner is not None and attrs.setdefault("priority", inner) != inner:
            raise serializers.ValidationError(
                {"priority": ["'options' says another priority; keep one of them."]}
            )
        return attrs


@extend_schema_field({"oneOf": [{"type": "integer", "minimum": 1}, {"enum": [NEWEST]}]})
class VersionField(serializers.Field[Any, Any, Any, Any]):
    """The number of a version, or "newest"."""

    def to_internal_value(self, data: Any) -> Any:
        is_number = isinstance(data, int) and not isinstance(data, bool)
        if data != NEWEST and not (is_number and 1 <= data <= MOST_VERSIONS):
            raise serializers.ValidationError(f'Use the number of a version, or "{NEWEST}".')
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class RerunInput(StrictSerializer):
    """Where a rerun begins and what is changed; what is not given is as the first time."""

    from_step = serializers.CharField(max_length=500, allow_null=True, default=None)
    input_data = ObjectField(allow_null=True, default=None)
    step_input = ObjectField(allow_null=True, default=None)
    version = VersionField(allow_null=True, default=None)
    wait = NumberField(min_value=0, max_value=LONGEST_WAIT, default=0)
    other_names = {"input": "input_data", "data": "input_data"}


class CancelInput(StrictSerializer):
    """Why an execution is cancelled."""

    reason = serializers.CharField(max_length=500, allow_blank=True, default="")


class SignalInput(StrictSerializer):
    """A signal: its name, and any JSON that it carries."""

    name = serializers.CharField(max_length=200)
    payload = AnyField(default=None)


class DecisionInput(StrictSerializer):
    """A decision: a comment, and the filled-in form where the step asks for one."""

    comment = serializers.CharField(max_length=2000, allow_blank=True, default="")
    form = AnyField(default=None)


class CompleteInput(StrictSerializer):
    """What a step came to."""

    output = ObjectField(default=dict)


class FailInput(StrictSerializer):
    """Why a step failed."""

    reason = serializers.CharField(max_length=2000)
