"""What the earlier system answers and the API has no route for."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from rest_framework.generics import ListAPIView
from rest_framework.response import Response
from rest_framework.views import APIView

from workflows.api.serializers import EventSerializer
from workflows.models import WorkflowEvent


class CorrelatedEventSerializer(EventSerializer):
    """An event, and the execution that it is of."""

    class Meta(EventSerializer.Meta):
        fields = ("execution_id", *EventSerializer.Meta.fields)  # type: ignore[assignment]


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
