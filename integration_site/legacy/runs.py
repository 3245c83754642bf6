"""Steps and events of executions as the earlier system told of them (pure)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core.exceptions import Conflict, ValidationFailed
from integration_site.legacy.definitions import steps_listed
from integration_site.legacy.envelopes import list_envelope
from integration_site.legacy.model import Exchange, Json, KnownAs, OldRequest
from integration_site.legacy.vocabulary import STEP_STATUSES, old_value

_NAMES = ("event_type", "name", "type")
_PAYLOADS = ("payload", "data", "body")
_OF_TODAY = frozenset({"topics", "executions"})


# --- Requests ---


def of_step(request: OldRequest, known: KnownAs | None) -> OldRequest:
    """Ask for all attempts of an execution, of which those at one step are answered."""
    return replace(request, path=_before(request.path, "/steps/") + "/steps")


def retry(request: OldRequest, known: KnownAs | None) -> OldRequest:
    """Go on from the step that failed, which has to be the one that is named. Raises: Conflict."""
    step = _step_in(request.path)
    if request.stopped and step not in request.stopped:
        stopped = ", ".join(sorted(request.stopped)[:3])
        raise Conflict(f"The step '{step[:100]}' is not where it stopped: that is {stopped}.")
    return replace(request, path=_before(request.path, "/steps/") + "/retry", body={})


def is_of_events(request: OldRequest) -> bool:
    """Return whether events are asked for as they were: not after a position, nor by topics."""
    return not _OF_TODAY & request.query.keys()


def event(request: OldRequest, known: KnownAs | None) -> OldRequest:
    """Take a published event for a signal to the execution of its correlation id."""
    body = request.body
    name = next((body[n] for n in _NAMES if isinstance(body.get(n), str) and body[n]), "")
    if not name:
        raise ValidationFailed.at("event_type", "Say what happened, such as 'order.paid'.")
    if not request.execution:
        sentence = "Name the execution that it is for, by its correlation id or its own id."
        raise ValidationFailed.at("correlation_id", sentence)
    payload = next((body[n] for n in _PAYLOADS if body.get(n) is not None), None)
    path = f"/executions/{request.execution}/signal"
    return replace(request, path=path, body={"name": name, "payload": payload})


def correlation_in(request: OldRequest) -> str:
    """Return by which id a published event names its execution; empty where it names none."""
    names = ("correlation_id", "execution_id", "workflow_id")
    values = (request.body.get(name) for name in names)
    return next((value for value in values if isinstance(value, str) and value), "")


def _before(path: str, part: str) -> str:
    return path.partition(part)[0]


def _step_in(path: str) -> str:
    return path.partition("/steps/")[2].rpartition("/")[0]


# --- Answers ---


def old_step(step: Json, execution: str = "") -> Json:
    """Return an attempt at a step with the columns that steps had, beside its own fields."""
    error = step.get("error")
    message = error.get("message") if isinstance(error, dict) else error
    return {
        **step,
        "workflow_id": step.get("execution_id") or execution,
        "description": "",
        "status": old_value(STEP_STATUSES, step["status"]),
        "start_time": step.get("started_at"),
        "end_time": step.get("completed_at"),
        "execution_time": step.get("duration"),
        "result": step.get("output"),
        "errors": [str(message)] if message else [],
    }


def one_step(answer: Any, exchange: Exchange) -> Any:
    """Answer a step in the envelope of one thing, and flat."""
    step = old_step(answer, exchange.request.execution)
    return {**step, "success": True, "message": "Step retrieved successfully", "data": dict(step)}


def steps_of_run(answer: Any, exchange: Exchange) -> Any:
    """Answer a page of steps; where a workflow was meant, those of its definition."""
    if "items" not in answer:
        return steps_listed(answer, exchange)
    steps = [old_step(step, exchange.request.execution) for step in answer["items"]]
    return {**list_envelope(answer, steps, exchange, noun="Steps"), "steps": steps}


def retries(answer: Any, exchange: Exchange) -> Any:
    """Answer the attempts at one step, by its id in the definition, its path or its own id."""
    step = _step_in(exchange.request.path)
    names = {item["path"] for item in answer["items"] if item["id"] == step} | {step}
    kept = [i for i in answer["items"] if i["path"] in names or i["step_id"] in names]
    own = exchange.request.execution
    attempts = [{**old_step(i, own), "retry_count": i["attempt"] - 1} for i in kept]
    page = {"total": len(kept), "page": 1, "per_page": len(kept), "pages": 1}
    return {**list_envelope(page, attempts, exchange, noun="Retries"), "retries": attempts}


def old_event(event: Json) -> Json:
    """Return an event under the names that published ones had."""
    return {
        **event,
        "event_id": event.get("id"),
        "event_type": f"workflow.{str(event['kind']).lower()}",
        "timestamp": event["created_at"],
        "data": event.get("payload"),
    }


def events_listed(answer: Any, exchange: Exchange) -> Any:
    """Answer a page of events in the envelope of lists."""
    events = [old_event(each) for each in answer["items"]]
    return {**list_envelope(answer, events, exchange, noun="Events"), "events": events}


def one_event(answer: Any, exchange: Exchange) -> Any:
    told = old_event(answer)
    return {**told, "success": True, "message": "Event retrieved successfully", "data": dict(told)}


def event_taken(answer: Any, exchange: Exchange) -> Any:
    """Answer that a published event reached its execution."""
    return {
        "success": True,
        "message": "Event accepted",
        "status": "accepted",
        "event_type": next((exchange.request.body[n] for n in _NAMES
                            if exchange.request.body.get(n)), ""),
        "correlation_id": answer.get("correlation_id") or correlation_in(exchange.request),
        "execution_id": answer["execution_id"],
    }  # fmt: skip
