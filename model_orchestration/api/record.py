"""The record of requests to models, and what they used."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import django_filters
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.views import APIView

from core.api.pagination import GrowingListPagination
from core.api.query_filters import NameFilter, VocabularyFilter
from core.api.serializers import represent
from core.api.viewsets import ResourceViewSet
from core.exceptions import NotFound, ValidationFailed
from core.identifiers import read_id
from core.instants import InstantRefused, read_time
from core.suggestions import did_you_mean
from model_orchestration.api.serializers import RequestContentSerializer, RequestSerializer
from model_orchestration.content_store import read_content
from model_orchestration.models import ModelProvider, Request, RequestState, RequestType
from model_orchestration.services.usage import GROUPS, usage_by

USUAL_DAYS, MOST_DAYS = 30, 366


class RequestFilter(django_filters.FilterSet):
    """Filters of the list of requests."""

    state = VocabularyFilter(RequestState)
    request_type = VocabularyFilter(RequestType)
    provider = VocabularyFilter(ModelProvider)
    model = NameFilter("model_id")
    project = NameFilter("project_id")
    user = NameFilter("user_id")
    caller = NameFilter()


class RequestViewSet(ResourceViewSet):
    """`/models/requests`."""

    queryset = Request.objects.all()
    serializer_class = RequestSerializer
    filterset_class = RequestFilter
    pagination_class = GrowingListPagination
    ordering_fields = ("created_at",)
    scopes = {"list": "models:read", "retrieve": "models:read", "content": "audit:read"}

    def list(self, request: Any) -> Response:
        """The requests to models, the latest first; failed and refused ones too."""
        rows = Request.objects.defer("response_data", "held").order_by("-id")
        return self.answer_page(rows, RequestSerializer)

    def retrieve(self, request: Any, pk: str) -> Response:
        """One request, by its id."""
        return Response(represent(RequestSerializer, self._find(pk)))

    @extend_schema(responses=RequestContentSerializer)
    @action(detail=True, methods=["get"])
    def content(self, request: Any, pk: str) -> Response:
        """What is kept of what was said in a request: the policy of its project says what."""
        kept = read_content(self._find(pk).pk, now=timezone.now())
        return Response(represent(RequestContentSerializer, kept))

    def _find(self, pk: str) -> Request:
        key = read_id(pk)
        row = Request.objects.filter(pk=key).first() if key else None
        if row is None:
            raise NotFound(f"There is no request '{pk[:100]}'.")
        return row


class UsageView(APIView):
    """`/models/usage`."""

    scopes = {"GET": "models:read"}

    @extend_schema(
        parameters=[
            OpenApiParameter("group_by", str, description=f"By commas: {', '.join(GROUPS)}."),
            OpenApiParameter("from", str, description=f"A time; {USUAL_DAYS} days ago if left."),
            OpenApiParameter("to", str, description="A time; now if left."),
        ],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Any) -> Response:
        """Requests, tokens and cost of a time, by day, model, project, user, provider or caller."""
        query = request.query_params
        names = [name.strip() for name in query.get("group_by", "").split(",") if name.strip()]
        for name in names:
            if name not in GROUPS:
                sentence = f"There is no group '{name[:50]}'{did_you_mean(name, GROUPS)}"
                raise ValidationFailed.at("group_by", f"{sentence} Known: {', '.join(GROUPS)}.")
        until = _time(query.get("to"), "to", timezone.now())
        since = _time(query.get("from"), "from", until - timedelta(days=USUAL_DAYS))
        if not timedelta(0) < until - since <= timedelta(days=MOST_DAYS):
            raise ValidationFailed.at("from", f"Ask for a time of at most {MOST_DAYS} days.")
        groups = usage_by(
            Request.objects.all(), list(dict.fromkeys(names)), since=since, until=until
        )
        return Response({"from": since, "to": until, "items": groups})


def _time(text: str | None, name: str, otherwise: datetime) -> datetime:
    if not text:
        return otherwise
    try:
        return read_time(text)
    except InstantRefused as error:
        raise ValidationFailed.at(name, str(error)) from None
