"""Starting and showing executions, shared by the views."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import Prefetch, QuerySet
from rest_framework.response import Response

from core.api.caller import Caller
from core.api.idempotency import digest_of, read_key
from core.api.list_items import fit
from core.api.serializers import represent
from core.api.suspension import Suspension, once, result_of
from core.db.rows import read_rows
from core.request_ids import current_request_id
from workflows import services
from workflows.api.serializers import (
    SHOWN_RERUNS,
    SHOWN_STEPS,
    ExecutionDetailSerializer,
    ExecutionSerializer,
    StepSerializer,
)
from workflows.execution_rows import check_context
from workflows.models import OPEN_STEP, StepStatus, WorkflowExecution, WorkflowStep, WorkflowType
from workflows.services import Start, Started

# How long the endpoints wait that existing callers expect to answer the result.
REQUEST_WAIT_SECONDS = 30.0
# The types that have a path of their own, which a request is posted to.
REQUEST_TYPES = {
    kind.lower().replace("_", "-"): kind
    for kind in (
        WorkflowType.PROJECT_PLANNING,
        WorkflowType.PROJECT_CREATION,
        WorkflowType.AGENT_TASK_EXECUTION,
        WorkflowType.HUMAN_INTERACTION,
    )
}
# The scopes of who controls executions: those that it started itself, or any.
OWN_OR_ANY = "workflows:execute|executions:control"
# By what a request that is set aside remembers these.
STARTED, ENDED = "start", "end"


def start_of(request: Any, data: Mapping[str, Any]) -> Start:
    """Return what a request asks an execution to be started with.

    Raises:
        ValidationFailed: the Idempotency-Key is too long, or not printable; or as of `start_by`.
    """
    key = read_key(request)
    digest = digest_of(request) if key else ""
    known = RequestKey(key, digest) if key else None
    return start_by(data, caller=request.user, key=known, request_id=current_request_id())


@dataclass(frozen=True, slots=True)
class RequestKey:
    """An Idempotency-Key, and the digest of the request that it stands for."""

    text: str
    digest: str


def start_by(
    data: Mapping[str, Any], *, caller: Caller, key: RequestKey | None, request_id: str
) -> Start:
    """Return what a checked body asks an execution to be started with, by whom.

    Raises:
        ValidationFailed: its context says what only the hub may say.
    """
    context = data.get("context") or {}
    check_context(context)
    return Start(
        input=data.get("input_data") or {},
        context=context,
        noted={"request_id": request_id},
        version=data.get("version"),
        idempotency_key=key.text if key else None,
        caller=caller.identity,
        request_digest=key.digest if key else "",
        actor=caller.name,
        priority=data.get("priority", 0),
        may_operate=caller.may(services.OPERATE),
    )


def answer_start(request: Any, begin: Callable[[], tuple[Started, float]]) -> Response:
    """Answer 200 with the execution once it ended, else 202; `begin` starts it.

    It returns how many seconds to wait for the end, too, and is called once for each request,
    however often its view runs.
    """
    started, wait = once(request, STARTED, begin)
    execution = await_end(request, started.execution, seconds=wait)
    location = request.build_absolute_uri(f"{_prefix(request)}/executions/{execution.pk}")
    if wait > 0:
        started = replace(started, execution=execution, first=None)
    return Response(show_started(started), status_of(execution), headers={"Location": location})


def started_before(started: Started, *, wait: float) -> Suspension:
    """Return what `answer_start` finds where it need not start an execution, but wait for it."""
    suspension = Suspension()
    suspension.results[STARTED] = started, wait
    execution = started.execution
    if not execution.has_ended:
        suspension.awaited = services.when_ended(execution.pk, seconds=wait)
        suspension.results[ENDED] = suspension.awaited
    return suspension


def show_started(started: Started) -> Any:
    """Return an execution as the answer to its start."""
    return show(started.execution, None if started.first is None else [started.first])


def status_of(execution: WorkflowExecution) -> int:
    """Return the status of the answer to a start."""
    return 200 if execution.has_ended else 202


def await_end(request: Any, execution: WorkflowExecution, *, seconds: float) -> WorkflowExecution:
    """Return the execution once it has ended, or as it is when so many seconds are over.

    Raises:
        Suspended: neither is so yet.
    """
    if execution.has_ended or seconds <= 0:
        return execution
    result_of(request, ENDED, lambda: services.when_ended(execution.pk, seconds=seconds))
    return services.read_again(execution)


def _prefix(request: Any) -> str:
    return "/api" if request.path.startswith("/api/") else ""


def may_control(caller: Any, started_by: str) -> bool:
    """Return whether a caller may control an execution: its own, or any with the wider scope."""
    return bool(caller.may("executions:control")) or started_by == caller.name


def show(execution: WorkflowExecution, steps: list[WorkflowStep] | None = None) -> Any:
    """Return an execution as the API answers it, with its latest steps, or with `steps`."""
    if steps is None:
        steps = _latest_steps(execution)
    execution.shown_steps = steps  # type: ignore[attr-defined]
    execution.shown_reruns = _reruns_of(execution)  # type: ignore[attr-defined]
    shown = represent(ExecutionDetailSerializer, execution)
    fit(shown["steps"], steps, StepSerializer)
    return shown


def _latest_steps(execution: WorkflowExecution) -> list[WorkflowStep]:
    where = "WHERE execution_id = %s ORDER BY id DESC LIMIT %s"
    return read_rows(WorkflowStep, where, [execution.pk, SHOWN_STEPS])[::-1]


def _reruns_of(execution: WorkflowExecution) -> list[Any]:
    if not execution.has_ended:
        return []  # only what has ended can be rerun
    reruns = execution.reruns.order_by("-created_at").values_list("pk", flat=True)
    return list(reruns[:SHOWN_RERUNS])


def list_executions(view: Any, queryset: QuerySet[WorkflowExecution]) -> Response:
    """Return a page of executions, newest first, at a constant number of queries."""
    found = with_open_steps(queryset)
    return view.answer_page(found.order_by("-created_at", "-id"), ExecutionSerializer)


def with_open_steps(queryset: QuerySet[WorkflowExecution]) -> QuerySet[WorkflowExecution]:
    """Return executions with what their serializer asks for."""
    open_steps = WorkflowStep.objects.filter(status__in=(*OPEN_STEP, StepStatus.NEEDS_REVIEW)).only(
        "execution_id", "step_id", "status"
    )
    # Of the version its number alone is shown; the rest of it may be large.
    numbered = queryset.select_related("version").defer(
        "version__steps", "version__options", "version__bindings"
    )
    return numbered.prefetch_related(
        Prefetch("steps", queryset=open_steps.order_by("id"), to_attr="open_steps")
    )
