"""Integrations: what one service asks of another, mapped, executed and remembered."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from core.api.actions import nested_list, post_action
from core.api.fields import AnyField, ObjectField, VocabularyField
from core.api.named_resource import NamedResourceViewSet
from core.api.patches import PatchSerializer
from core.api.query_filters import NameFilter, SearchFilter, TextFilter, VocabularyFilter
from core.api.serializers import AnswerSerializer, StrictSerializer
from core.api.suspension import result_of
from core.exceptions import NotFound
from core.unknown_fields import UnknownFields
from registry.api.grants import GrantsAnswer, show_grants
from registry.calls.headers import call_headers, dropped_fields, key_of_caller
from registry.integrations import lifecycle
from registry.integrations.execution import (
    Executed,
    IntegrationCall,
    begin_attempt,
    find_executable,
    find_integration,
    keep_attempt,
)
from registry.integrations.grants import allow_integration, lines_of_integration
from registry.models import (
    HttpMethod,
    Integration,
    IntegrationExecution,
    IntegrationOutcome,
    IntegrationStatus,
    IntegrationType,
    TargetKind,
)
from registry.services import get_service

MAPPING = {"type": ["object", "array", "string", "null"]}


@extend_schema_field(MAPPING)
class MappingField(AnyField):
    """A template, or null for none."""


class TargetInput(StrictSerializer):
    """What is called: an action of a service or of one of a type, or a path of a connection."""

    service = serializers.CharField(max_length=100, required=False)
    service_type = serializers.CharField(max_length=100, required=False)
    action = serializers.CharField(max_length=100, required=False)
    connection = serializers.CharField(max_length=100, required=False)
    method = VocabularyField(HttpMethod, required=False)
    path = serializers.CharField(max_length=500, required=False, allow_blank=True)
    other_names = {"type": "service_type"}


class IntegrationInput(StrictSerializer):
    """An integration as it is made or changed."""

    name = serializers.CharField(max_length=100)
    type = VocabularyField(IntegrationType, required=False)
    status = VocabularyField(IntegrationStatus, required=False)
    description = serializers.CharField(max_length=5000, allow_blank=True, required=False)
    source = serializers.CharField(  # type: ignore[assignment]
        max_length=100, allow_blank=True, required=False
    )
    target = TargetInput()
    request_mapping = MappingField(required=False, allow_null=True)
    response_mapping = MappingField(required=False, allow_null=True)
    unknown_fields = VocabularyField(UnknownFields, required=False)
    config = ObjectField(required=False)
    metadata = ObjectField(required=False, allow_null=True)
    other_names = {"integration_type": "type", "source_service": "source"}

    def validate_status(self, value: str) -> str:
        if value == IntegrationStatus.ERROR:
            raise serializers.ValidationError(
                "ERROR is what the hub says of an ACTIVE one. Use DRAFT, ACTIVE or INACTIVE."
            )
        return value


class IntegrationPatch(PatchSerializer, IntegrationInput):
    """A change of an integration; a target and mappings that are given replace the old ones."""

    model = Integration
    lasting = frozenset({"status"})
    merged = frozenset({"config", "metadata"})


class IntegrationSerializer(AnswerSerializer):
    """An integration in an answer."""

    type = VocabularyField(IntegrationType)
    status = VocabularyField(IntegrationStatus)
    target = serializers.SerializerMethodField()
    request_mapping = MappingField()
    response_mapping = MappingField()
    unknown_fields = VocabularyField(UnknownFields)
    config = ObjectField()
    metadata = ObjectField()
    last_executed_at = serializers.DateTimeField(allow_null=True)
    large = ("description", "request_mapping", "response_mapping", "config", "metadata")
    whole_at = "/registry/integrations/{row.pk}"

    class Meta:
        model = Integration
        fields = (
            "id", "name", "type", "status", "description", "source", "target", "request_mapping",
            "response_mapping", "unknown_fields", "config", "metadata", "failures_in_a_row",
            "last_error", "last_executed_at", "created_at", "updated_at",
        )  # fmt: skip

    @extend_schema_field({"type": "object", "additionalProperties": {"type": "string"}})
    def get_target(self, integration: Integration) -> dict[str, str]:
        if integration.connection is not None:
            return {
                "connection": integration.connection.name,
                "method": str(integration.method),
                "path": integration.path,
            }
        kind = TargetKind(integration.target_kind).lower()
        return {kind: integration.target, "action": integration.action}


class ExecuteIntegrationInput(StrictSerializer):
    """What an integration is executed with."""

    payload = ObjectField(default=dict)
    context = ObjectField(default=dict)  # type: ignore[assignment]
    other_names = {"input": "payload", "input_data": "payload", "data": "payload"}


class ExecutedAnswer(serializers.Serializer[Any]):
    """What came of an execution."""

    execution_id = serializers.UUIDField(source="id")
    integration = serializers.CharField()
    status = serializers.ChoiceField(choices=[IntegrationOutcome.COMPLETED.value])
    output = AnyField()
    warnings = serializers.ListField(child=ObjectField())
    service = serializers.CharField()
    instance = serializers.CharField()
    started_at = serializers.DateTimeField()
    duration_ms = serializers.FloatField()


class IntegrationExecutionSerializer(AnswerSerializer):
    """One execution in the history; what was sent and answered is not kept."""

    execution_id = serializers.UUIDField(source="id")
    status = VocabularyField(IntegrationOutcome)
    error = AnyField()
    warnings = serializers.ListField(child=ObjectField())

    class Meta:
        model = IntegrationExecution
        fields = (
            "id", "execution_id", "status", "actor", "request_id", "correlation_id", "service",
            "instance", "upstream_status", "error", "warnings", "started_at", "duration_ms",
        )  # fmt: skip


class IntegrationFilter(django_filters.FilterSet):
    """Filters of the list of integrations."""

    type = VocabularyFilter(IntegrationType)
    status = VocabularyFilter(IntegrationStatus)
    source = NameFilter()
    target = TextFilter(method="calling")
    search = SearchFilter()
    # What earlier clients call these; a service by its id too.
    integration_type = VocabularyFilter(IntegrationType, field_name="type")
    source_service_id = TextFilter(method="asked_by_service")
    target_service_id = TextFilter(method="calling_service")

    def asked_by_service(self, queryset: QuerySet[Integration], _: str, value: str) -> Any:
        return queryset.filter(source__iexact=_name_of(value))

    def calling_service(self, queryset: QuerySet[Integration], _: str, value: str) -> Any:
        return queryset.filter(target_kind=TargetKind.SERVICE, target__iexact=_name_of(value))

    def calling(self, queryset: QuerySet[Integration], _: str, value: str) -> Any:
        return queryset.filter(Q(target__iexact=value) | Q(connection__name__iexact=value))


def _name_of(reference: str) -> str:
    """Return the name of the service of that id, name or alias, or what was given."""
    try:
        return get_service(reference).name
    except NotFound:
        return reference


class IntegrationExecutionFilter(django_filters.FilterSet):
    """Filters of the history."""

    status = VocabularyFilter(IntegrationOutcome)


class IntegrationViewSet(NamedResourceViewSet):
    """`/registry/integrations`."""

    queryset = Integration.objects.all()
    serializer_class = IntegrationSerializer
    input_class = IntegrationInput
    patch_class = IntegrationPatch
    filterset_class = IntegrationFilter
    ordering_fields = ("name", "type", "status", "created_at", "updated_at")
    cursor_order = "-id"
    read_scope = "registry:read"
    write_scope = "registry:write"
    scopes = {
        "execute": "actions:execute",
        "executions": read_scope,
        "grants": read_scope,
        "allow": "credentials:use",
    }
    calls_out = frozenset({"execute"})
    takes_force = True

    def get_rows(self) -> Any:
        """The integrations, by name unless ordered otherwise."""
        return Integration.objects.with_parts().order_by("name")

    def find(self) -> Integration:
        """One integration, by id or name."""
        return find_integration(self.kwargs["pk"])

    def perform_create(self, fields: dict[str, Any]) -> Integration:
        """Make an integration; it is ACTIVE unless `status` says otherwise."""
        return lifecycle.create_integration(fields, may_use_credentials=self.may_use_credentials)

    def perform_update(
        self, row: Any, fields: dict[str, Any], *, if_unchanged: bool
    ) -> Integration:
        """Change what is given and leave the rest; null takes a field away."""
        return lifecycle.update_integration(
            row,
            fields,
            if_unchanged=if_unchanged,
            may_use_credentials=self.may_use_credentials,
        )

    def perform_destroy(self, row: Any, *, if_unchanged: bool) -> None:
        """Forget an integration with its history."""
        lifecycle.delete_integration(row, if_unchanged=if_unchanged, force=self.is_forced)

    @post_action(request=ExecuteIntegrationInput, responses=ExecutedAnswer)
    def execute(self, request: Any, pk: str) -> Response:
        """Map the payload, call the target now, and answer what the answer is mapped to."""
        data = self.read(ExecuteIntegrationInput)
        key = key_of_caller(self.caller.identity, request.headers.get("Idempotency-Key", ""))
        call = IntegrationCall(
            payload=data["payload"],
            context=data["context"],
            headers=call_headers(data["context"], key=key),
            actor=self.actor,
        )
        attempted = result_of(request, "attempt", lambda: begin_attempt(find_executable(pk), call))
        return _answer(keep_attempt(attempted))

    @extend_schema(responses=GrantsAnswer, filters=False)
    @action(detail=True, methods=["get"])
    def grants(self, request: Any, pk: str) -> Response:
        """The credentials that an integration reaches, and whether it may use them."""
        return Response(show_grants(lines_of_integration(self.find())))

    @extend_schema(request=None, responses=GrantsAnswer)
    @grants.mapping.post
    def allow(self, request: Any, pk: str) -> Response:
        """Let an integration use the credentials that it reaches, for what it sends now."""
        allow_integration(self.find(), actor=self.actor)
        return Response(show_grants(lines_of_integration(self.find())))

    @nested_list(
        IntegrationExecutionSerializer,
        queryset=IntegrationExecution.objects.all(),
        filterset_class=IntegrationExecutionFilter,
    )
    def executions(self, request: Any, pk: str) -> Response:
        """What became of its executions, the latest first."""
        rows = IntegrationExecution.objects.filter(integration=self.find())
        return self.answer_page(rows.order_by("-id"), IntegrationExecutionSerializer)


def _answer(executed: Executed) -> Response:
    body = {**ExecutedAnswer(_with_status(executed)).data}
    headers = {"X-Service-Instance": executed.instance, **dropped_fields(executed.warnings)}
    if executed.fail_open:
        headers["X-Fail-Open"] = "true"
    return Response(body, headers=headers)


def _with_status(executed: Executed) -> dict[str, Any]:
    names = (
        "id", "integration", "output", "warnings", "service", "instance", "started_at",
        "duration_ms",
    )  # fmt: skip
    made = {name: getattr(executed, name) for name in names}
    return {**made, "status": IntegrationOutcome.COMPLETED.value}
