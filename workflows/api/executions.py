"""Executions: what ran, what runs, and control over it."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response

from core.api.actions import post_action
from core.api.list_items import in_list
from core.api.pagination import GrowingListPagination
from core.api.serializers import represent
from core.api.viewsets import ResourceViewSet
from core.exceptions import NotFound
from core.expressions import json_type
from core.identifiers import read_id
from core.json import strict
from workflows import services
from workflows.api.dry_runs import EvaluateInput, EvaluationAnswer
from workflows.api.execution_responses import (
    OWN_OR_ANY,
    answer_start,
    await_end,
    list_executions,
    may_control,
    show,
    start_of,
)
from workflows.api.filters import EXECUTION_ORDERING, ExecutionFilter
from workflows.api.serializers import (
    LONGEST_WAIT,
    CancelInput,
    CompleteInput,
    DecisionInput,
    EventSerializer,
    ExecutionDetailSerializer,
    ExecutionSerializer,
    FailInput,
    RerunInput,
    SignalInput,
    StepSerializer,
)
from workflows.models import WorkflowExecution

STARTED = {200: ExecutionDetailSerializer, 202: ExecutionDetailSerializer}
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="Answers the execution that the same key started before.",
)
# A path has slashes inside branches and elements: each/17/check.
_STEP = r"steps/(?P<step>.+)"


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
        "step": "workflows:read",
        "event": "workflows:read",
        "evaluate": "workflows:read",
        "cancel": OWN_OR_ANY,
        "pause": OWN_OR_ANY,
        "resume": OWN_OR_ANY,
        "retry": OWN_OR_ANY,
        "rerun": OWN_OR_ANY,
        "signal": OWN_OR_ANY,
        "approve": OWN_OR_ANY,
        "reject": OWN_OR_ANY,
        "complete_step": "executions:control",
        "fail_step": "executions:control",
    }
    # The executions carry their keys themselves, for as long as they are kept.
    own_keys = frozenset({"rerun"})

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
        return Response(show(await_end(request, execution, seconds=_read_wait(request))))

    @extend_schema(responses=in_list(StepSerializer))
    @action(
        detail=True, methods=["get"], filterset_class=None, ordering_fields=(), cursor_order="id"
    )
    def steps(self, request: Any, pk: str) -> Response:
        """The steps of an execution, each attempt, in the order in which they began."""
        return self.answer_page(services.get_execution(pk).steps.order_by("id"), StepSerializer)

    @extend_schema(responses=in_list(EventSerializer))
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

    @extend_schema(responses=StepSerializer, filters=False)
    @action(detail=True, methods=["get"], url_path=r"steps/(?P<step>[^/]+)")
    def step(self, request: Any, pk: str, step: str) -> Response:
        """One attempt at a step, by its id, with all of its input and output."""
        rows = services.get_execution(pk).steps
        return Response(represent(StepSerializer, _find(rows, "step", step, pk=read_id(step))))

    @extend_schema(responses=EventSerializer, filters=False)
    @action(detail=True, methods=["get"], url_path=r"events/(?P<number>[0-9]{1,9})")
    def event(self, request: Any, pk: str, number: str) -> Response:
        """One event, by its number, with all of its payload."""
        rows = services.get_execution(pk).events
        return Response(represent(EventSerializer, _find(rows, "event", number, sequence=number)))

    @post_action(request=EvaluateInput, responses=EvaluationAnswer)
    def evaluate(self, request: Any, pk: str) -> Response:
        """Try an expression or a template on what the execution knew after one of its steps."""
        data = self.read(EvaluateInput)
        execution = services.get_execution(pk)
        if "expression" in data:
            value = services.evaluate_expression(execution, data["expression"], step=data["step"])
        else:
            value = services.evaluate_template(execution, data["template"], step=data["step"])
        return Response({"value": value, "type": json_type(value)})

    @post_action(request=CancelInput, responses=ExecutionDetailSerializer)
    def cancel(self, request: Any, pk: str) -> Response:
        """End an execution now."""
        reason = self.read(CancelInput)["reason"]
        execution = self._controlled(pk)
        services.cancel_execution(execution.pk, actor=self.actor, reason=reason)
        return Response(show(services.get_execution(pk)))

    @post_action(responses=ExecutionDetailSerializer)
    def retry(self, request: Any, pk: str) -> Response:
        """Go on from the step that failed; what completed is kept."""
        execution = self._controlled(pk)
        services.retry_execution(execution.pk, actor=self.actor)
        return Response(show(services.get_execution(pk)))

    @post_action(request=RerunInput, responses=STARTED, parameters=[IDEMPOTENCY_KEY])
    def rerun(self, request: Any, pk: str) -> Response:
        """Start a new execution from one of the steps; what came before is kept, and not called."""
        data = self.read(RerunInput)
        rerun = services.Rerun(
            from_step=data["from_step"],
            input=data["input_data"],
            step_input=data["step_input"],
            version=data["version"],
        )

        def begin() -> tuple[services.Started, float]:
            execution = self._controlled(pk)
            started = services.rerun_execution(execution.pk, rerun, start_of(request, {}))
            return started, data["wait"]

        return answer_start(request, begin)

    @post_action(responses=ExecutionDetailSerializer)
    def pause(self, request: Any, pk: str) -> Response:
        """Begin nothing more; calls under way finish and are recorded."""
        services.pause_execution(self._controlled(pk).pk, actor=self.actor)
        return self._shown(pk)

    @post_action(responses=ExecutionDetailSerializer)
    def resume(self, request: Any, pk: str) -> Response:
        """Go on with a paused execution."""
        services.resume_execution(self._controlled(pk).pk, actor=self.actor)
        return self._shown(pk)

    @post_action(request=SignalInput, responses=ExecutionDetailSerializer)
    def signal(self, request: Any, pk: str) -> Response:
        """Give an execution a signal; one that nothing waits for yet is kept."""
        data = self.read(SignalInput)
        services.signal_execution(
            self._controlled(pk).pk, name=data["name"], payload=data["payload"], actor=self.actor
        )
        return self._shown(pk)

    @post_action(
        request=DecisionInput, responses=ExecutionDetailSerializer, url_path=f"{_STEP}/approve"
    )
    def approve(self, request: Any, pk: str, step: str) -> Response:
        """Approve what an APPROVAL step asks."""
        return self._decide(pk, step, approve=True)

    @post_action(
        request=DecisionInput, responses=ExecutionDetailSerializer, url_path=f"{_STEP}/reject"
    )
    def reject(self, request: Any, pk: str, step: str) -> Response:
        """Reject what an APPROVAL step asks."""
        return self._decide(pk, step, approve=False)

    def _decide(self, pk: str, step: str, *, approve: bool) -> Response:
        data = self.read(DecisionInput)
        services.decide_approval(
            services.get_execution(pk).pk,
            step,
            approve=approve,
            actor=self.actor,
            comment=data["comment"],
            form=data["form"],
        )
        return self._shown(pk)

    @post_action(
        request=CompleteInput, responses=ExecutionDetailSerializer, url_path=f"{_STEP}/complete"
    )
    def complete_step(self, request: Any, pk: str, step: str) -> Response:
        """Say that a step which NEEDS_REVIEW did complete, and with what output."""
        output = self.read(CompleteInput)["output"]
        execution = services.get_execution(pk)
        services.settle_reviewed(execution.pk, step, output=output, actor=self.actor)
        return self._shown(pk)

    @post_action(request=FailInput, responses=ExecutionDetailSerializer, url_path=f"{_STEP}/fail")
    def fail_step(self, request: Any, pk: str, step: str) -> Response:
        """Say that a step which NEEDS_REVIEW failed, and why."""
        reason = self.read(FailInput)["reason"]
        execution = services.get_execution(pk)
        services.settle_reviewed(execution.pk, step, error=reason, actor=self.actor)
        return self._shown(pk)

    def _shown(self, pk: str) -> Response:
        return Response(show(services.get_execution(pk)))

    def _controlled(self, pk: str) -> WorkflowExecution:
        """The execution, if the caller may control it: its own, or any with the wider scope."""
        execution = services.get_execution(pk)
        if not may_control(self.caller, execution.started_by):
            raise PermissionDenied("This key may control only executions that it started itself.")
        return execution


def _find(rows: Any, noun: str, reference: str, **condition: Any) -> Any:
    row = rows.filter(**condition).first()
    if row is None:
        raise NotFound(f"The execution has no {noun} '{reference[:100]}'.")
    return row


def _read_wait(request: Any) -> float:
    text = request.query_params.get("wait", "0")
    try:
        seconds = strict.parse_number(text)
    except strict.JSONRefused:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_WAIT:
        raise ValidationError({"wait": [f"Use seconds from 0 to {LONGEST_WAIT}."]})
    return seconds
