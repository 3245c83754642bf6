"""`/performance`: how well models do tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import django_filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from core.api.fields import NumberField, ObjectField, VocabularyField
from core.api.pagination import GrowingListPagination, PageNumberPagination, read_number
from core.api.query_filters import NameFilter, VocabularyFilter
from core.api.serializers import AnswerSerializer, StrictSerializer, represent
from core.api.viewsets import ResourceViewSet
from core.db.models import get_by_id
from core.exceptions import ValidationFailed
from core.json import strict
from model_orchestration.models import (
    ModelFeedback,
    ModelPerformance,
    ModelPerformanceHistory,
    PerformancePeriod,
)
from model_orchestration.services.models import get_model
from model_orchestration.services.performance import (
    LEAST_SAMPLES,
    Ranking,
    best_model_for,
    give_feedback,
    numbers_of,
    performance_of,
    reset_performance,
    told_of,
)

READ, WRITE, USE = "models:read", "models:write", "models:use"
NEEDED = ("request_id", "model_id", "success")
LONGEST_CONTENT = 200_000


class CorrectionsInput(StrictSerializer):
    """What an answer said, and what it should have said."""

    original = serializers.CharField(max_length=LONGEST_CONTENT, allow_blank=True, required=False)
    corrected = serializers.CharField(max_length=LONGEST_CONTENT, allow_blank=True, required=False)


class FeedbackInput(StrictSerializer):
    """What somebody says of an answer; `quality_rating` is from 0 to 1."""

    request_id = serializers.CharField(max_length=128)
    model_id = serializers.CharField(max_length=100)
    success = serializers.BooleanField()
    quality_rating = NumberField(min_value=0, max_value=1, required=False, allow_null=True)
    feedback = serializers.CharField(
        max_length=5000, allow_blank=True, allow_null=True, required=False
    )
    task_type = serializers.CharField(
        max_length=50, allow_blank=True, allow_null=True, required=False
    )
    corrections = CorrectionsInput(required=False, allow_null=True)
    user_id = serializers.CharField(max_length=100, allow_blank=True, required=False)
    metadata = ObjectField(required=False)


class FeedbackSerializer(AnswerSerializer):
    """What somebody said of an answer."""

    large = ("feedback_text",)
    whole_at = "/performance/feedback/{row.pk}"

    class Meta:
        model = ModelFeedback
        fields = (
            "id", "request_id", "model_id", "task_type", "quality_rating", "success",
            "feedback_text", "has_corrections", "user_id", "caller", "created_at",
        )  # fmt: skip


class HistorySerializer(AnswerSerializer):
    """How well a model did a task in a time."""

    period_type = VocabularyField(PerformancePeriod)
    quality_score = serializers.FloatField()
    success_rate = serializers.FloatField()
    rated_count = serializers.IntegerField(source="quality_count")

    class Meta:
        model = ModelPerformanceHistory
        fields = (
            "id", "model_id", "task_type", "period_type", "period_start", "period_end",
            "quality_score", "success_rate", "sample_count", "rated_count",
        )  # fmt: skip


class FeedbackFilter(django_filters.FilterSet):
    """Filters of what was said of answers."""

    model = NameFilter("model_id")
    task_type = NameFilter()
    request_id = NameFilter()


class FeedbackViewSet(ResourceViewSet):
    """`/performance/feedback`."""

    queryset = ModelFeedback.objects.all()
    serializer_class = FeedbackSerializer
    filterset_class = FeedbackFilter
    pagination_class = GrowingListPagination
    ordering_fields = ("created_at",)
    scopes = {"list": READ, "retrieve": READ, "give": USE}

    def list(self, request: Any) -> Response:
        """What was said of answers, the latest first."""
        return self.answer_page(ModelFeedback.objects.order_by("-id"), FeedbackSerializer)

    def retrieve(self, request: Any, pk: str) -> Response:
        """What was said of one answer."""
        row = get_by_id(ModelFeedback.objects.all(), pk, "feedback")
        return Response(represent(FeedbackSerializer, row))

    @extend_schema(request=FeedbackInput, responses={201: OpenApiTypes.OBJECT})
    def give(self, request: Any) -> Response:
        """Say of an answer whether it served, how good it was, and what would have been right."""
        if any(request.data.get(name) is None for name in NEEDED):
            sentence = f"Missing required fields: {', '.join(NEEDED)}"
            errors = {n: ["Needed."] for n in NEEDED if request.data.get(n) is None}
            raise ValidationFailed(sentence, errors=errors)
        known = FeedbackInput().fields.keys()
        # Other fields were always let pass.
        given = {name: value for name, value in request.data.items() if name in known}
        reader = FeedbackInput(data=given)
        reader.is_valid(raise_exception=True)
        fields = reader.validated_data
        fields.setdefault("user_id", _told(fields.get("metadata") or {}, "user_id"))
        row = give_feedback(fields, caller=self.actor)
        return Response({"feedback_id": str(row.pk), "status": "accepted"}, status=201)


class HistoryFilter(django_filters.FilterSet):
    """Filters of the history."""

    period = VocabularyFilter(PerformancePeriod, field_name="period_type")
    period_type = VocabularyFilter(PerformancePeriod)
    model = NameFilter("model_id")
    model_id = NameFilter()
    task_type = NameFilter()


class HistoryViewSet(ResourceViewSet):
    """`/performance/history`."""

    queryset = ModelPerformanceHistory.objects.all()
    serializer_class = HistorySerializer
    filterset_class = HistoryFilter
    pagination_class = PageNumberPagination
    ordering_fields = ("period_start", "model_id", "task_type")
    scopes = {"list": READ}

    def list(self, request: Any) -> Response:
        """How well models did tasks, by day, week and month; the latest first."""
        rows = ModelPerformanceHistory.objects.order_by("-period_start", "model_id", "task_type")
        return self.answer_page(rows, HistorySerializer)


_SELECTION = [
    OpenApiParameter("task_type", str, description="Of one task."),
    OpenApiParameter("min_samples", int, description=f"At least so many; {LEAST_SAMPLES} if left."),
]


class PerformanceView(APIView):
    """`/performance/models`."""

    scopes = {"GET": READ}

    @extend_schema(
        parameters=[OpenApiParameter("model_id", str, description="Of one model."), *_SELECTION],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Any) -> Response:
        """How well models do tasks: overall, weighted by their samples, and each task."""
        query = request.query_params
        listed = performance_of(
            model=query.get("model_id", ""),
            task_type=query.get("task_type", ""),
            min_samples=read_number(query, "min_samples", LEAST_SAMPLES),
        )
        return Response({"models": listed})


class BestModelView(APIView):
    """`/performance/best`."""

    scopes = {"GET": f"{READ}|{USE}"}

    @extend_schema(
        parameters=[
            *_SELECTION,
            OpenApiParameter("min_quality_score", float, description="From 0 to 1."),
            OpenApiParameter("min_success_rate", float, description="From 0 to 1."),
            OpenApiParameter("model_ids", str, description="Only these, by commas."),
        ],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Any) -> Response:
        """The model that does a task best: by quality, then success rate, then samples."""
        query = request.query_params
        task_type = query.get("task_type", "").strip()
        if not task_type:
            raise ValidationFailed.at("task_type", "Say which task.")
        names = [name.strip() for name in query.get("model_ids", "").split(",")]
        ranking = Ranking(
            _share(query, "min_quality_score"),
            _share(query, "min_success_rate"),
            read_number(query, "min_samples", LEAST_SAMPLES),
            [name for name in names if name],
        )
        row = best_model_for(task_type, ranking)
        return Response({"model_id": row.model_id, "task_type": row.task_type, **numbers_of(row)})


class ModelPerformanceView(APIView):
    """`/models/{id}/performance`."""

    scopes = {"GET": READ}

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Any, pk: str) -> Response:
        """How well one model does tasks, whatever the number of samples."""
        model = get_model(pk)
        rows = ModelPerformance.objects.filter(model_id__iexact=model.name).order_by("task_type")
        return Response(told_of(model.name, rows))


class ResetInput(StrictSerializer):
    """What is forgotten."""

    model_id = serializers.CharField(max_length=100)
    task_types = serializers.ListField(
        child=serializers.CharField(max_length=50), max_length=100, required=False
    )


class PerformanceUpkeepViewSet(ResourceViewSet):
    """`/performance/reset` and `/performance/update-history`."""

    queryset = ModelPerformance.objects.all()
    serializer_class = HistorySerializer
    scopes = {"reset": WRITE, "update_history": WRITE}

    @extend_schema(request=ResetInput, responses=OpenApiTypes.OBJECT)
    def reset(self, request: Any) -> Response:
        """Forget how well a model does some tasks, or all; the history stays."""
        fields = self.read(ResetInput)
        count = reset_performance(fields["model_id"], fields.get("task_types") or ())
        told = {"status": "success", "message": "Performance metrics reset", "tasks": count}
        return Response(told)

    @extend_schema(request=None, responses=OpenApiTypes.OBJECT)
    def update_history(self, request: Any) -> Response:
        """Say that the history is up to date: it is written with every answer."""
        return Response({"status": "success", "message": "Performance history is up to date"})


def _share(query: Mapping[str, str], name: str) -> float:
    text = query.get(name) or "0"
    try:
        value = float(strict.parse_number(text))
    except strict.JSONRefused:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValidationFailed.at(name, "Must be a number from 0 to 1.")
    return value


def _told(metadata: Mapping[str, Any], name: str) -> str:
    value = metadata.get(name)
    return value[:100] if isinstance(value, str) else ""
