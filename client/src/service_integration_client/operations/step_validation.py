"""Checks the steps of a workflow before it is created."""

from __future__ import annotations

from typing import Any

from service_integration_client.exceptions import InvalidStepsError, ResourceNotFoundError
from service_integration_client.hub import Hub
from service_integration_client.operations.services import get_service
from service_integration_client.operations.workflows import validate_workflow
from service_integration_client.requests import JsonObject


async def validate_workflow_steps(hub: Hub, steps: list[JsonObject]) -> JsonObject:
    """Check that every service and action exists, and all that the hub checks besides.

    Answers the hub's ``{"valid", "errors", "warnings"}``, where `valid` is true.
    Raises: InvalidStepsError, a ValueError, with the path of each fault in `validation_errors`.
    """
    faults = await _missing(hub, steps)
    if not faults:
        answer = await validate_workflow(hub, steps)
        if answer.get("valid"):
            return answer
        faults = answer.get("errors") or {"steps": ["The hub does not accept these steps."]}
    raise _invalid(faults)


async def _missing(hub: Hub, steps: list[JsonObject]) -> dict[str, list[str]]:
    """Return the faults of steps whose service or action is missing; asks for each service once."""
    actions: dict[str, frozenset[str] | None] = {}
    faults: dict[str, list[str]] = {}
    for index, step in enumerate(steps):
        service = step.get("service") if isinstance(step, dict) else None
        if not isinstance(service, str) or not service:
            continue
        if service not in actions:
            actions[service] = await _actions_of(hub, service)
        service_actions, action = actions[service], step.get("action")
        if service_actions is None:
            faults[f"steps[{index}].service"] = [f"Service '{service}' not found"]
        elif isinstance(action, str) and action not in service_actions:
            sentence = f"Action '{action}' not found in service '{service}'"
            faults[f"steps[{index}].action"] = [sentence]
    return faults


async def _actions_of(hub: Hub, service: str) -> frozenset[str] | None:
    try:
        registered = await get_service(hub, service)
    except (ResourceNotFoundError, ValueError):
        return None
    return frozenset(action["name"] for action in registered.get("actions") or ())


def _invalid(faults: dict[str, Any]) -> InvalidStepsError:
    path, sentences = next(iter(faults.items()))
    first = sentences[0] if isinstance(sentences, list) else sentences
    missing = path.endswith((".service", ".action")) and "not found" in first
    sentence = first if missing else f"{path}: {first}"
    return InvalidStepsError(sentence, validation_errors=faults, code="validation_error")
