"""Starting and showing executions, shared by the views."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from django.db.models import Prefetch, QuerySet
from rest_framework.response import Response

from registry.api.base import represent
from registry.exceptions import ValidationFailed
from workflows import services
from workflows.api.serializers import (
    SHOWN_STEPS,
    ExecutionDetailSerializer,
    ExecutionSerializer,
)
from workflows.models import OPEN_STEP, StepStatus, WorkflowExecution, WorkflowStep
from workflows.services import Start, Started

LONGEST_KEY = 255


def start_of(request: Any, data: Mapping[str, Any]) -> Start:
    """What a request asks an execution to be started with.

    Raises:
        ValidationFailed: the Idempotency-Key is too long.
    """
    key = request.headers.get("Idempotency-Key", "").strip()
    if len(key) > LONGEST_KEY:
        sentence = f"The Idempotency-Key may have at most {LONGEST_KEY} characters."
        raise ValidationFailed(sentence, errors={"Idempotency-Key": [sentence]})
    if not key.isprintable():
        sentence = "The Idempotency-Key may have printable characters only."
        raise ValidationFailed(sentence, errors={"Idempotency-Key": [sentence]})
    context = dict(data["context"])
    context.setdefault("request_id", _request_id())
    return Start(
        input=data["input_data"],
        context=context,
        idempotency_key=key or None,
        actor=request.user.name,
    )


def _request_id() -> str:
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))


def answer_start(request: Any, started: Started, *, wait: float) -> Response:
    """200 with the execution once it ended within `wait` seconds, else 202 with where to look."""
    execution = started.execution
    if wait > 0:
        execution = services.wait_for_end(execution, seconds=wait)
    location = request.build_absolute_uri(f"{_prefix(request)}/executions/{execution.pk}")
    status = 200 if execution.has_ended else 202
    return Response(show(execution), status=status, headers={"Location": location})


def _prefix(request: Any) -> str:
    return "/api" if request.path.startswith("/api/") else ""


def show(execution: WorkflowExecution) -> Any:
    """An execution with its latest steps, as the API answers it."""
    latest = list(execution.steps.order_by("-id")[:SHOWN_STEPS])
    execution.shown_steps = latest[::-1]  # type: ignore[attr-defined]
    return represent(ExecutionDetailSerializer, execution)


def list_executions(view: Any, queryset: QuerySet[WorkflowExecution]) -> Response:
    """A page of executions, newest first, at a constant number of queries."""
    open_steps = WorkflowStep.objects.filter(status__in=(*OPEN_STEP, StepStatus.NEEDS_REVIEW)).only(
        "execution_id", "step_id", "status"
    )
    found = queryset.select_related("version").prefetch_related(
        Prefetch("steps", queryset=open_steps.order_by("id"), to_attr="open_steps")
    )
    return view.answer_page(found.order_by("-created_at", "-id"), ExecutionSerializer)
