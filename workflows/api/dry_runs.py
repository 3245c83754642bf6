"""Dry runs and tried expressions, as the API takes and answers them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from core.api.fields import AnyField, ObjectField
from core.api.serializers import StrictSerializer
from core.expressions import MAX_TEXT
from registry.api.grants import GrantLineSerializer
from workflows.api.serializers import MOST_VERSIONS
from workflows.dry_run import DryRunResult
from workflows.services import (
    OPTION_KEYS,
    DryRun,
    dry_run_document,
    dry_run_workflow,
    get_workflow,
)

_SUBJECTS = ("steps", "definition", "workflow")


class DryRunInput(StrictSerializer):
    """What is run: `steps` with the definition's other keys, a whole `definition`, or a `workflow`.

    `mocks` says what steps come to: for each id an outcome, or a list of one for each time.
    """

    steps = AnyField(required=False)
    definition = AnyField(required=False)
    workflow = serializers.CharField(max_length=100, required=False)
    version = serializers.IntegerField(
        min_value=1, max_value=MOST_VERSIONS, allow_null=True, default=None
    )
    input_data = ObjectField(default=dict)
    context = ObjectField(default=dict)  # type: ignore[assignment]
    mocks = ObjectField(default=dict)
    other_names = {"input": "input_data", "data": "input_data", "workflow_id": "workflow"}

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), **{key: AnyField(required=False) for key in OPTION_KEYS}}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        given = [name for name in _SUBJECTS if attrs.get(name) is not None]
        if len(given) != 1:
            sentence = "Give one of steps, definition and workflow."
            raise serializers.ValidationError({(given or ["steps"])[-1]: [sentence]})
        if attrs["version"] is not None and given != ["workflow"]:
            raise serializers.ValidationError({"version": ["Only a workflow has versions."]})
        options = [key for key in OPTION_KEYS if attrs.get(key) is not None]
        if options and given != ["steps"]:
            sentence = "Goes with steps; a definition or a workflow says it itself."
            raise serializers.ValidationError({options[0]: [sentence]})
        return attrs


class SimulatedStepSerializer(serializers.Serializer[Any]):
    """One attempt at a step of a dry run. `next` is the path of what was entered after it."""

    path = serializers.CharField(source="row.path")
    step_id = serializers.CharField(source="row.step_id")
    name = serializers.CharField(source="row.name")
    kind = serializers.CharField()
    attempt = serializers.IntegerField(source="row.attempt")
    status = serializers.CharField(source="row.status")
    service = serializers.CharField(source="row.service")
    action = serializers.CharField(source="row.action")
    input = AnyField(source="row.input")
    output = AnyField(source="row.output")
    error = AnyField(source="row.error")
    started_at = serializers.DateTimeField(source="row.started_at", allow_null=True)
    completed_at = serializers.DateTimeField(source="row.completed_at", allow_null=True)
    wake_at = serializers.DateTimeField(source="row.wake_at", allow_null=True)
    next = serializers.CharField(allow_null=True)
    mocked = serializers.BooleanField()
    sampled = serializers.BooleanField()


class DryRunAnswer(serializers.Serializer[Any]):
    """How a dry run went. Times are virtual; `complete` is false where it was stopped."""

    status = serializers.CharField()
    output = AnyField()
    errors = serializers.ListField(child=ObjectField())  # type: ignore[assignment]
    warnings = serializers.ListField(child=serializers.CharField())
    complete = serializers.BooleanField()
    started_at = serializers.DateTimeField()
    completed_at = serializers.DateTimeField(source="ended_at")
    execution_time = serializers.FloatField()
    grants = GrantLineSerializer(many=True)
    steps = SimulatedStepSerializer(many=True)


class EvaluateInput(StrictSerializer):
    """An expression or a template, and the path of the step after which it is evaluated."""

    expression = serializers.CharField(
        max_length=10 * MAX_TEXT, trim_whitespace=False, required=False
    )
    template = AnyField(required=False)
    step = serializers.CharField(max_length=500, allow_null=True, default=None)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("expression" in attrs) == ("template" in attrs):
            sentence = "Give either an expression or a template."
            raise serializers.ValidationError({"expression": [sentence]})
        return attrs


class EvaluationAnswer(serializers.Serializer[Any]):
    """The value that the engine would compute there."""

    value = AnyField()
    type = serializers.CharField()


def run_dry(data: dict[str, Any]) -> DryRunResult:
    """Run what a checked body asks for."""
    given = DryRun(input=data["input_data"], context=data["context"], mocks=data["mocks"])
    if data.get("workflow") is not None:
        return dry_run_workflow(get_workflow(data["workflow"]), given, version=data["version"])
    if data.get("definition") is not None:
        return dry_run_document(data["definition"], given)
    document = {k: data[k] for k in ("steps", *OPTION_KEYS) if data.get(k) is not None}
    return dry_run_document(document, given)
