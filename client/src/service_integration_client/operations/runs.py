"""Run a workflow, by itself or again, and wait until the execution has ended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from service_integration_client.exceptions import CircuitOpenError, MaxRetriesExceededError
from service_integration_client.hub import Hub
from service_integration_client.operations.collection import answered
from service_integration_client.operations.executions import EXECUTIONS, poll_request
from service_integration_client.operations.workflows import WORKFLOWS
from service_integration_client.requests import JsonObject, Request
from service_integration_client.results import WorkflowResult, failure_of, has_stopped, id_of

FIRST_WAIT_SECONDS = 60
POLL_WAIT_SECONDS = 20
TYPE_WAIT_SECONDS = 30
OUTAGE_ATTEMPTS = 10
OUTAGE_PAUSE_SECONDS = 2.0
SHORTEST_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Waiting:
    """The arguments that say whether a run is waited for, how long, and what a failure does."""

    wait: bool
    timeout: float | None
    raise_on_failure: bool

    @property
    def first_seconds(self) -> float:
        """Return how long the hub is to wait before it answers the start."""
        if not self.wait:
            return 0
        if self.timeout is None:
            return FIRST_WAIT_SECONDS
        return max(0.0, min(FIRST_WAIT_SECONDS, self.timeout))


async def execute_workflow(
    hub: Hub,
    workflow_id: str,
    input_data: JsonObject | None = None,
    context: JsonObject | None = None,
    *,
    version: int | None = None,
    wait: bool = True,
    timeout: float | None = None,
    raise_on_failure: bool = True,
    priority: int | None = None,
    idempotency_key: str | None = None,
) -> WorkflowResult:
    """Run a workflow, by its id or name, and answer its output.

    Without a `version`, the current one.

    The answer is a mapping of the output with `execution_id`, `status`, `steps` and `errors` as
    attributes. It waits until the execution ends, or for `timeout` seconds at most; outages of the
    hub are waited out for a minute and more. With ``wait=False`` it answers at once, with the
    execution as the mapping. Higher `priority`, from -100 to 100, comes first. A program that may
    itself be started again gives an `idempotency_key`: the same key is the same execution.
    Raises: WorkflowExecutionError when the execution ended otherwise than COMPLETED or needs a
    person, unless `raise_on_failure` is false; and when `timeout` passed (code ``wait_timeout``).
    """
    waiting = Waiting(wait, timeout, raise_on_failure)
    fields = {
        "workflow_id": workflow_id,
        "input_data": input_data or {},
        "context": context or {},
        "wait": waiting.first_seconds,
        "version": version,
        "priority": priority,
    }
    request = WORKFLOWS.request(
        "POST /{workflow_id}/execute", fields, wait_seconds=waiting.first_seconds
    )
    return await _run(hub, request, waiting, key=idempotency_key)


async def execute_workflow_type(
    hub: Hub,
    workflow_type: str,
    input_data: JsonObject | None = None,
    context: JsonObject | None = None,
    *,
    wait: bool = True,
    timeout: float | None = None,
    raise_on_failure: bool = True,
    priority: int | None = None,
    idempotency_key: str | None = None,
) -> WorkflowResult:
    """Run the workflow of a type, such as PROJECT_PLANNING; all else as `execute_workflow`.

    Raises: ResourceNotFoundError, ValidationError, WorkflowExecutionError.
    """
    fields = {
        "workflow_type": workflow_type,
        "data": input_data or {},
        "context": context or {},
        "priority": priority,
    }
    request = WORKFLOWS.request("POST /execute", fields, wait_seconds=TYPE_WAIT_SECONDS)
    request = replace(request, about=(WORKFLOWS.kind, str(workflow_type)))
    waiting = Waiting(wait, timeout, raise_on_failure)
    return await _run(hub, request, waiting, key=idempotency_key)


async def rerun_execution(
    hub: Hub,
    execution_id: str,
    *,
    from_step: str | None = None,
    input_data: JsonObject | None = None,
    step_input: JsonObject | None = None,
    version: int | Literal["newest"] | None = None,
    wait: bool = True,
    timeout: float | None = None,
    raise_on_failure: bool = True,
) -> WorkflowResult:
    """Run an execution that ended again, as a new one, from one of its steps.

    What came before `from_step` (the first step unless given) is kept, and not called again.
    `input_data` replaces the execution's input, `step_input` what `from_step` is given. It runs in
    the same version, in the one with that number, or in the ``"newest"``. All else as
    `execute_workflow`. Raises: ConflictError, ValidationError, WorkflowExecutionError.
    """
    waiting = Waiting(wait, timeout, raise_on_failure)
    fields = {
        "execution_id": execution_id,
        "from_step": from_step,
        "input_data": input_data,
        "step_input": step_input,
        "version": version,
        "wait": waiting.first_seconds,
    }
    request = EXECUTIONS.request(
        "POST /{execution_id}/rerun", fields, wait_seconds=waiting.first_seconds
    )
    return await _run(hub, request, waiting)


async def _run(
    hub: Hub, request: Request, waiting: Waiting, *, key: str | None = None
) -> WorkflowResult:
    deadline = None if waiting.timeout is None else hub.now() + waiting.timeout
    key = request.idempotency_key if key is None else key
    request = replace(request, deadline=deadline, idempotency_key=key)
    if not waiting.wait:
        execution = await answered(hub, request)
        return WorkflowResult(execution, content=execution)
    execution = await _call_through_outages(hub, request, is_start=True)
    execution = await _wait_until_stopped(hub, execution, deadline=deadline)
    if waiting.raise_on_failure and execution.get("status") != "COMPLETED":
        raise failure_of(execution)
    return WorkflowResult(execution)


async def _wait_until_stopped(
    hub: Hub, execution: JsonObject, *, deadline: float | None
) -> JsonObject:
    """Return the execution once it ended or needs a person."""
    while not has_stopped(execution):
        seconds = POLL_WAIT_SECONDS if deadline is None else deadline - hub.now()
        if seconds <= 0:
            error = failure_of(execution)
            error.code = "wait_timeout"
            raise error
        wait = max(SHORTEST_POLL_SECONDS, min(POLL_WAIT_SECONDS, seconds))
        poll = replace(poll_request(id_of(execution), seconds=wait), deadline=deadline)
        execution = await _call_through_outages(hub, poll)
    return execution


async def _call_through_outages(
    hub: Hub, request: Request, *, is_start: bool = False
) -> JsonObject:
    """Return the answer of a hub that restarts meanwhile, unless that takes too long.

    A start goes on only when its answer was lost: asked again with the same key, the hub answers
    with the same execution. One that never reached the hub is given up.
    """
    attempts_left = OUTAGE_ATTEMPTS + is_start
    while True:
        attempts_left -= 1
        try:
            return await answered(hub, request)
        except (MaxRetriesExceededError, CircuitOpenError) as error:
            pause = _outage_pause(error)
            is_late = request.deadline is not None and hub.now() + pause >= request.deadline
            never_arrived = is_start and not error.may_have_happened
            if is_late or never_arrived or not attempts_left:
                raise
        is_start = False
        await hub.sleep(pause)


def _outage_pause(error: MaxRetriesExceededError | CircuitOpenError) -> float:
    """Return the seconds until a hub that is down is asked again: a breaker says when it may be."""
    if isinstance(error, CircuitOpenError):
        return max(OUTAGE_PAUSE_SECONDS, error.retry_after or 0.0)
    return OUTAGE_PAUSE_SECONDS
