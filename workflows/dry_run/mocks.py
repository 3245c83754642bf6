"""Mocks: the outcomes of steps, by their ids; one outcome, or one for each time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.exceptions import IntegrationError, SchemaViolation, ValidationFailed
from core.expressions import did_you_mean, join_path
from registry.exceptions import (
    CallError,
    CircuitOpenError,
    ServiceNotFoundError,
    ServiceResponseError,
    ServiceTimeoutError,
    ServiceUnavailableError,
)
from workflows.definition import Definition, Step
from workflows.exceptions import WorkflowError

MOCKED_KINDS = ("ACTION", "EVENT", "APPROVAL", "WORKFLOW")
MOST_OUTCOMES = 1_000
_KEYS = ("code", "message", "status", "retry_after")
_CALL_ERRORS: dict[str, type[IntegrationError]] = {
    kind.code: kind
    for kind in (
        CircuitOpenError,
        SchemaViolation,
        ServiceNotFoundError,
        ServiceResponseError,
        ServiceTimeoutError,
        ServiceUnavailableError,
    )
}
_USUAL_CODES = {
    "ACTION": "service_error",
    "EVENT": "event_timeout",
    "APPROVAL": "rejected",
    "WORKFLOW": "child_failed",
}


@dataclass(frozen=True, slots=True)
class MockedOutcome:
    """One outcome of a mock: an output, or the description of an error."""

    output: Any = None
    error: Mapping[str, Any] | None = None


class Mocks:
    """Hands out the outcomes of each step in turn; the last one stays."""

    def __init__(self, mocks: Mapping[str, tuple[MockedOutcome, ...]]) -> None:
        self._outcomes = mocks
        self._taken: dict[str, int] = {}

    def take(self, step_id: str) -> MockedOutcome | None:
        """Return the next outcome of a step; None without a mock."""
        outcomes = self._outcomes.get(step_id)
        if outcomes is None:
            return None
        position = self._taken.get(step_id, 0)
        self._taken[step_id] = position + 1
        return outcomes[min(position, len(outcomes) - 1)]


def read_mocks(document: Mapping[str, Any], definition: Definition) -> Mocks:
    """Read the mocks of a definition's steps.

    Raises:
        ValidationFailed: naming every mock that is for no such step, or that cannot be read.
    """
    errors: dict[str, list[str]] = {}
    mocks: dict[str, tuple[MockedOutcome, ...]] = {}
    for name, value in document.items():
        path = join_path("mocks", name)
        problem = _unmockable(name, definition)
        if problem:
            errors[path] = [problem]
            continue
        outcomes = value if isinstance(value, list) else [value]
        if not 1 <= len(outcomes) <= MOST_OUTCOMES:
            errors[path] = [f"Give from 1 to {MOST_OUTCOMES} outcomes."]
            continue
        for index, outcome in enumerate(outcomes):
            location = f"{path}[{index}]" if isinstance(value, list) else path
            errors.update({where: [sentence] for where, sentence in _problems(outcome, location)})
        if path not in errors:
            mocks[name] = tuple(_read(outcome) for outcome in outcomes if isinstance(outcome, dict))
    if errors:
        first = next(iter(errors.values()))[0]
        raise ValidationFailed(f"The mocks cannot be used: {first}", errors=errors)
    return Mocks(mocks)


def _unmockable(name: str, definition: Definition) -> str:
    step = definition.steps.get(name)
    if step is None:
        mockable = [s.id for s in definition.steps.values() if s.kind in MOCKED_KINDS]
        return f"There is no step '{name[:100]}'{did_you_mean(name, mockable)}"
    if step.kind not in MOCKED_KINDS:
        return f"'{name}' is a {step.kind}, which runs as it is; only {_either()} can be mocked."
    return ""


def _either() -> str:
    return f"{', '.join(MOCKED_KINDS[:-1])} and {MOCKED_KINDS[-1]}"


def _problems(outcome: Any, path: str) -> list[tuple[str, str]]:
    if not isinstance(outcome, dict) or outcome.keys() not in ({"output"}, {"error"}):
        return [(path, 'Write {"output": ...}, {"error": {"code", "message"}}, or a list of them.')]
    if "output" in outcome:
        return []
    error = outcome["error"]
    if not isinstance(error, dict):
        return [(f"{path}.error", 'Write an object such as {"code": "service_timeout"}.')]
    problems = []
    for key, value in error.items():
        location = join_path(f"{path}.error", key)
        if key not in _KEYS:
            problems.append(
                (
                    location,
                    f"There is no such field{did_you_mean(key, _KEYS)} Known: {', '.join(_KEYS)}.",
                )
            )
        elif key in ("code", "message") and not (isinstance(value, str) and value):
            problems.append((location, "Must be a text."))
        elif key == "status" and not _is_number(value, 100, 599, whole=True):
            problems.append((location, "Must be a status code from 100 to 599."))
        elif key == "retry_after" and not _is_number(value, 0, 86_400):
            problems.append((location, "Must be seconds from 0 to 86400."))
    return problems


def _is_number(value: Any, least: float, most: float, *, whole: bool = False) -> bool:
    kinds = (int,) if whole else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool) and least <= value <= most


def _read(outcome: Mapping[str, Any]) -> MockedOutcome:
    return MockedOutcome(outcome.get("output"), outcome.get("error"))


def error_of(described: Mapping[str, Any], step: Step, service: str) -> IntegrationError:
    """Return the error that a mock means, as a call or a wait would raise it."""
    code = described.get("code") or _USUAL_CODES[step.kind]
    message = described.get("message") or f"The dry run lets '{step.id}' fail with {code}."
    if step.kind != "ACTION":
        return WorkflowError(message, code=code)
    about: dict[str, Any] = {"service": service, "action": step.action}
    kind = _CALL_ERRORS.get(code, ServiceResponseError)
    if code not in _CALL_ERRORS:
        about["code"] = code
    if issubclass(kind, CallError):
        about["retry_after"] = described.get("retry_after")
        about["upstream_status"] = described.get("status") or _usual_status(kind)
    return kind(message, **{key: value for key, value in about.items() if value is not None})


def _usual_status(kind: type[IntegrationError]) -> int | None:
    return 500 if kind is ServiceResponseError else None
