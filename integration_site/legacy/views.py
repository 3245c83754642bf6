"""What the earlier system answers and the API has no route for."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from rest_framework.generics import ListAPIView
from rest_framework.response import Response
from rest_framework.views import APIView

from core.api.pagination import GrowingListPagination
from core.api.serializers import AnswerSerializer, represent
from core.api.viewsets import ResourceViewSet
from core.exceptions import NotFound
from core.identifiers import read_id
from workflows.api.serializers import EventSerializer, StepSerializer
from workflows.models import WorkflowEvent, WorkflowStep


class CorrelatedEventSerializer(EventSerializer):
    """An event, and the execution that it is of."""

    class Meta(EventSerializer.Meta):
        fields = ("id", "execution_id", *EventSerializer.Meta.fields)  # type: ignore[assignment]


class RunStepSerializer(StepSerializer):
    """An attempt at a step, and the execution that it is of."""

    class Meta(StepSerializer.Meta):
        fields = ("execution_id", *StepSerializer.Meta.fields)  # type: ignore[assignment]


class CorrelationEventsView(ListAPIView[Any]):
    """`/correlations/{id}/events`."""

    scopes = {"GET": "workflows:read"}
    serializer_class = CorrelatedEventSerializer
    filter_backends = ()

    def get_queryset(self) -> Any:
        """What happened to all executions of a correlation id, in order."""
        key = self.kwargs["correlation"].replace("\x00", "")
        rows = WorkflowEvent.objects.filter(execution__correlation_id=key)
        return rows.order_by("created_at", "sequence", "pk")


class _AllOf(ResourceViewSet):
    """Rows of all executions, the newest first; one by its id."""

    scopes = {"list": "workflows:read", "retrieve": "workflows:read"}
    pagination_class = GrowingListPagination
    filter_backends = ()
    cursor_order = "-id"
    shown: type[AnswerSerializer]
    noun = ""

    def list(self, request: Any) -> Response:
        """A page of them."""
        return self.answer_page(self.get_queryset().order_by("-id"), self.shown)

    def retrieve(self, request: Any, pk: str) -> Response:
        """One of them."""
        row = self.get_queryset().filter(pk=read_id(pk)).first()
        if row is None:
            raise NotFound(f"There is no {self.noun} '{pk[:100]}'.")
        return Response(represent(self.shown, row))


class AllEvents(_AllOf):
    """`/events`, as it was."""

    queryset = WorkflowEvent.objects.all()
    shown = CorrelatedEventSerializer
    noun = "event"


class AllSteps(_AllOf):
    """`/steps`."""

    queryset = WorkflowStep.objects.all()
    shown = RunStepSerializer
    noun = "step"


class DescriptionView(APIView):
    """`/`, for programs."""

    authentication_classes = ()
    permission_classes = ()

    def get(self, request: Any) -> Response:
        """The name of the hub, and where its documentation is."""
        return Response(
            {
                "service": settings.SERVICE_NAME,
                "version": settings.SPECTACULAR_SETTINGS["VERSION"],
                "status": "running",
                "documentation": "/docs",
            }
        )
