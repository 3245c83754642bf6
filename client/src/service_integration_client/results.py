"""The result of running a workflow, and the error of one that failed."""

from __future__ import annotations

from typing import Any

from service_integration_client.exceptions import WorkflowExecutionError
from service_integration_client.requests import JsonObject

# Those of an execution that goes no further, or not without a person.
STOPPED = frozenset({"COMPLETED", "FAILED", "CANCELLED", "NEEDS_REVIEW"})


class WorkflowResult(dict[str, Any]):
    """The output of an execution as a mapping, with what is known about the execution beside it.

    An output that is no object is in `output` only, and the mapping is empty.
    """

    def __init__(self, execution: JsonObject, *, content: JsonObject | None = None) -> None:
        self.execution = execution
        self.output: Any = execution.get("output", execution.get("result"))
        if content is None:
            content = self.output if isinstance(self.output, dict) else {}
        super().__init__(content)

    @property
    def execution_id(self) -> str:
        return id_of(self.execution)

    @property
    def status(self) -> str:
        return str(self.execution.get("status", ""))

    @property
    def steps(self) -> list[JsonObject]:
        return list(self.execution.get("steps") or ())

    @property
    def errors(self) -> list[JsonObject]:
        return errors_of(self.execution)


def id_of(execution: JsonObject) -> str:
    return str(execution.get("execution_id") or execution.get("id") or "")


def errors_of(execution: JsonObject) -> list[JsonObject]:
    """Return the execution's errors as objects, each with what is known of step and code."""
    errors = execution.get("errors") or []
    if isinstance(errors, dict):
        errors = [errors]
    return [error if isinstance(error, dict) else {"message": str(error)} for error in errors]


def has_stopped(execution: JsonObject) -> bool:
    """Return whether an execution ended or needs a person."""
    return execution.get("status") in STOPPED


def failure_of(execution: JsonObject) -> WorkflowExecutionError:
    """Return the error for an execution that did not complete: its step, code and sentence."""
    first: JsonObject = next(iter(errors_of(execution)), {})
    step, code = first.get("step") or first.get("step_id"), first.get("code")
    name = execution.get("workflow_name") or execution.get("workflow_type") or "Workflow"
    state = f"{name}: execution {id_of(execution)} is {execution.get('status')}"
    position = f" at step {step}" if step else ""
    message = first.get("message") or first.get("error") or first.get("detail")
    reason = " ".join(str(part) for part in (f"({code})" if code else None, message) if part)
    return WorkflowExecutionError(
        f"{state}{position}{': ' + reason if reason else '.'}",
        execution=execution,
        step=None if step is None else str(step),
        code=None if code is None else str(code),
    )
