"""Executions: what ran, what runs, and control over it."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response

from registry.api.base import ResourceViewSet
from registry.api.pagination import GrowingListPagination
from workflows import services
from workflows.api.answers import list_executions, show
from workflows.api.filters import EXECUTION_ORDERING, ExecutionFilter
from workflows.api.serializers import (
    LONGEST_WAIT,
    CancelInput,
    EventSerializer,
    ExecutionDetailSerializer,
    ExecutionSerializer,
    StepSerializer,
)
from workflows.models import WorkflowExecution


class ExecutionViewSet(ResourceViewSet):
    """`/executions`."""

    queryset = WorkflowExecution.objects.all()
    serializer_class = ExecutionSerializer
    filterset_class = ExecutionFilter
    ordering_fields = EXECUTION_ORDERING
    pagination_class = GrowingListPagination
    cursor_order = "-id"
    scopes = {
        "list": "workflows:read",
        "retrieve": "workflows:read",
        "steps": "workflows:read",
        "events": "workflows:read",
        "cancel": "workflows:execute|executions:control",
        "retry": "workflows:execute|executions:control",
    }

    def list(self, request: Any) -> Response:
        """Executions, newest first."""
        return list_executions(self, self.get_queryset())

    @extend_schema(
        parameters=[OpenApiParameter("wait", float, description="Seconds, at most 60.")],
        responses=ExecutionDetailSerializer,
    )
    def retrieve(self, request: Any, pk: str) -> Response:
        """One execution with its steps; with `?wait=20` as soon as it ends, or then."""
        execution = services.get_execution(pk)
        seconds = _read_wait(request)
        if seconds:
            execution = services.wait_for_end(execution, seconds=seconds)
        return Response(show(execution))

    @extend_schema(responses=StepSerializer(many=True))
    @action(
        detail=True, methods=["get"], filterset_class=None, ordering_fields=(), cursor_order="id"
    )
    def steps(self, request: Any, pk: str) -> Response:
        """The steps of an execution, each attempt, in the order in which they began."""
        return self.answer_page(services.get_execution(pk).steps.order_by("id"), StepSerializer)

    @extend_schema(responses=EventSerializer(many=True))
    @action(
        detail=True,
        methods=["get"],
        filterset_class=None,
        ordering_fields=(),
        cursor_order="sequence",
    )
    def events(self, request: Any, pk: str) -> Response:
        """What happened to an execution, in order."""
        events = services.get_execution(pk).events.order_by("sequence")
        return self.answer_page(events, EventSerializer)

    @extend_schema(request=CancelInput, responses=ExecutionDetailSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Any, pk: str) -> Response:
        """End an execution now."""
        reason = self.read(CancelInput)["reason"]
        execution = self._controlled(pk)
        services.cancel_execution(execution.pk, actor=self.actor, reason=reason)
        return Response(show(services.get_execution(pk)))

    @extend_schema(request=None, responses=ExecutionDetailSerializer)
    @action(detail=True, methods=["post"])
    def retry(self, request: Any, pk: str) -> Response:
        """Go on from the step that failed; what completed is kept."""
        execution = self._controlled(pk)
        services.retry_execution(execution.pk, actor=self.actor)
        return Response(show(services.get_execution(pk)))

    def _controlled(self, pk: str) -> WorkflowExecution:
        """The execution, if the caller may control it: its own, or any with the wider scope."""
        execution = services.get_execution(pk)
        if self.only_own("executions:control") and execution.started_by != self.actor:
            raise PermissionDenied("This key may control only executions that it started itself.")
        return execution


def _read_wait(request: Any) -> float:
    text = request.query_params.get("wait", "0")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_WAIT:
        raise ValidationError({"wait": [f"Use seconds from 0 to {LONGEST_WAIT}."]})
    return seconds
