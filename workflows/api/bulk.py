"""Bulk operations: one action on every execution that a filter selects."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.response import Response

from core.api.actions import post_action
from core.api.fields import ObjectField, VocabularyField
from core.api.instants import InstantField
from core.api.list_items import in_list, represent_items, without_columns
from core.api.pagination import GrowingListPagination
from core.api.query_filters import LONGEST_TEXT
from core.api.serializers import AnswerSerializer, StrictSerializer, represent
from core.api.viewsets import ResourceViewSet
from core.db.vocabulary import Vocabulary
from workflows import services
from workflows.api.execution_responses import with_open_steps
from workflows.api.serializers import ExecutionSerializer
from workflows.models import (
    BulkAction,
    BulkOperation,
    ExecutionStatus,
    WorkflowType,
)
from workflows.services import BulkOrder

CONTROL = "executions:control"
_OWN_OR_ANY = f"workflows:execute|{CONTROL}"
SAMPLE = 5


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "description": "One, or several by commas."},
            {"type": "array", "items": {"type": "string"}},
        ]
    }
)
class VocabularyListField(serializers.Field[Any, Any, Any, Any]):
    """Values of an enum in any case: a list, or a text with commas as in the query of a list."""

    def __init__(self, vocabulary: type[Vocabulary], **kwargs: Any) -> None:
        self.vocabulary = vocabulary
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> list[str]:
        words = data.split(",") if isinstance(data, str) else data
        if not isinstance(words, list) or len(words) > len(self.vocabulary.values):
            raise serializers.ValidationError("Use a text, or a list of texts.")
        try:
            return sorted({self.vocabulary.parse(word).value for word in words})
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from None

    def to_representation(self, value: Any) -> Any:
        return value


class BulkFilterInput(StrictSerializer):
    """Which executions: as the query of GET /executions."""

    status = VocabularyListField(ExecutionStatus, required=False)
    type = VocabularyListField(WorkflowType, required=False)
    workflow = serializers.CharField(max_length=LONGEST_TEXT, required=False)
    correlation_id = serializers.CharField(max_length=LONGEST_TEXT, required=False)
    created_after = InstantField(required=False)
    created_before = InstantField(required=False)
    search = serializers.CharField(max_length=LONGEST_TEXT, required=False)


class BulkInput(StrictSerializer):
    """What is to be done, to which executions, and how many the caller expects them to be."""

    action = VocabularyField(BulkAction)
    filter = BulkFilterInput()
    reason = serializers.CharField(max_length=500, allow_blank=True, default="")
    dry_run = serializers.BooleanField(default=False)
    expected_count = serializers.IntegerField(min_value=0, max_value=2**31 - 1, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs["dry_run"] and "expected_count" not in attrs:
            raise serializers.ValidationError(
                {"expected_count": ['Give the count that "dry_run": true answered.']}
            )
        return attrs


class BulkPreviewAnswer(serializers.Serializer[Any]):
    """What an order would be about."""

    dry_run = serializers.BooleanField()
    action = serializers.ChoiceField(BulkAction.choices)
    filter = ObjectField()
    count = serializers.IntegerField()
    sample = in_list(ExecutionSerializer)


class BulkOperationSerializer(AnswerSerializer):
    """A bulk operation and how far it is."""

    filter = ObjectField()
    refusals = serializers.ListField(child=ObjectField())
    percent = serializers.IntegerField(read_only=True)

    class Meta:
        model = BulkOperation
        fields = (
            "id", "action", "filter", "reason", "actor", "status", "total", "done", "succeeded",
            "refused", "refusals", "percent", "created_before", "created_at", "started_at",
            "completed_at", "cancelled_by",
        )  # fmt: skip


class BulkOperationViewSet(ResourceViewSet):
    """`/executions/bulk`."""

    queryset = BulkOperation.objects.all()
    serializer_class = BulkOperationSerializer
    pagination_class = GrowingListPagination
    cursor_order = "-id"
    scopes = {
        "list": "workflows:read",
        "retrieve": "workflows:read",
        "create": _OWN_OR_ANY,
        "cancel": _OWN_OR_ANY,
    }

    def list(self, request: Any) -> Response:
        """Bulk operations, newest first."""
        return self.answer_page(self.get_queryset().order_by("-id"), BulkOperationSerializer)

    @extend_schema(
        request=BulkInput,
        responses={
            200: OpenApiResponse(BulkPreviewAnswer, description="Of a dry run."),
            202: BulkOperationSerializer,
        },
    )
    def create(self, request: Any) -> Response:
        """Retry, cancel, pause or resume all executions that a filter selects; count them first."""
        data = self.read(BulkInput)
        order = self._order(data)
        if data["dry_run"]:
            return Response(_preview(order))
        operation = services.start_bulk(order, expected_count=data["expected_count"])
        prefix = "/api" if request.path.startswith("/api/") else ""
        location = request.build_absolute_uri(f"{prefix}/executions/bulk/{operation.pk}")
        shown = represent(BulkOperationSerializer, operation)
        return Response(shown, status=202, headers={"Location": location})

    def retrieve(self, request: Any, pk: str) -> Response:
        """One bulk operation: how many are done, and why some were refused."""
        return Response(represent(BulkOperationSerializer, services.get_bulk(pk)))

    @post_action(responses=BulkOperationSerializer)
    def cancel(self, request: Any, pk: str) -> Response:
        """Stop a bulk operation; what was done stays done."""
        operation = services.get_bulk(pk)
        if self.only_own(CONTROL) and operation.actor != self.actor:
            raise PermissionDenied("This key may cancel only its own bulk operations.")
        operation = services.cancel_bulk(operation.pk, actor=self.actor)
        return Response(represent(BulkOperationSerializer, operation))

    def _order(self, data: dict[str, Any]) -> BulkOrder:
        return BulkOrder(
            action=BulkAction(data["action"]),
            filter=stored_filter(data["filter"]),
            actor=self.actor,
            reason=data["reason"],
            only_started_by=self.actor if self.only_own(CONTROL) else "",
        )


def stored_filter(given: dict[str, Any]) -> dict[str, Any]:
    """Return a checked filter as it is kept: times as texts, the workflow by its id."""
    kept = {k: v.isoformat() if hasattr(v, "isoformat") else v for k, v in given.items()}
    if "workflow" in kept:
        kept["workflow"] = services.resolve_workflow(kept["workflow"])
    return kept


def _preview(order: BulkOrder) -> dict[str, Any]:
    newest = services.covered_executions(order).order_by("-created_at", "-id")
    return {
        "dry_run": True,
        "action": order.action,
        "filter": order.filter,
        "count": services.count_bulk(order),
        "sample": represent_items(
            without_columns(with_open_steps(newest), ExecutionSerializer)[:SAMPLE],
            ExecutionSerializer,
        ),
    }
