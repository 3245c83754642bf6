"""Executions as the earlier system starts, answers and controls them (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from core.exceptions import ValidationFailed
from integration_site.legacy.envelopes import list_envelope
from integration_site.legacy.model import Exchange, Json, KnownAs, OldRequest
from integration_site.legacy.vocabulary import EXECUTION_STATUSES, WORKFLOW_TYPES, old_value

LONGEST_WAIT = 60
# As long as the column of correlation ids.
LONGEST_ID = 100
_TYPE_NAMES = ("workflow_type", "type")
_FIELDS = frozenset({
    "workflow_type", "type", "workflow", "input_data", "input", "data", "context", "priority",
})  # fmt: skip
_ENDED_BADLY = ("FAILED", "CANCELLED")
EXECUTED = "Workflow executed successfully"


# --- Requests ---


def execution(request: OldRequest, known: KnownAs | None) -> OldRequest:
    """Start what stands for a type; `workflow_id` beside it is the execution's own id.

    It becomes the correlation id, and the key by which a repeated request is the same one. Of the
    options, those that mean nothing to the hub are kept in the context.
    """
    if not any(request.body.get(name) for name in _TYPE_NAMES):
        return request
    body = {name: value for name, value in request.body.items() if name in _FIELDS}
    options = request.body.get("options")
    taken, rest = _split(options if isinstance(options, dict) else {})
    context = body.get("context") if isinstance(body.get("context"), dict) else {}
    own_id = own_id_of(request)
    more = {"correlation_id": own_id} if own_id else {}
    body["context"] = {**({"options": rest} if rest else {}), **more, **(context or {})}
    if taken:
        body["options"] = taken
    return with_key(request.with_body(body), own_id)


def own_id_of(request: OldRequest) -> str:
    """Return the id that a caller gives an execution; empty without a usable one."""
    value = request.body.get("workflow_id")
    text = value.strip() if isinstance(value, str) else ""
    return text if len(text) <= LONGEST_ID and text.isprintable() else ""


def with_key(request: OldRequest, key: str) -> OldRequest:
    """Let a request that comes again with the same id be the same one."""
    if not key or "idempotency-key" in request.headers or not key.isascii():
        return request
    return replace(request, headers={**request.headers, "idempotency-key": key})


def start_of_workflow(request: OldRequest, known: KnownAs | None) -> OldRequest:
    """Start a workflow by its id; its context is what it works on."""
    body, reference = request.body, request.body.get("workflow_id")
    context = body.get("context") if isinstance(body.get("context"), dict) else {}
    given = next((body[n] for n in ("input", "input_data", "data") if body.get(n)), context)
    correlation = body.get("correlation_id")
    more = {"correlation_id": correlation} if isinstance(correlation, str) else {}
    if not _is_segment(reference):
        raise ValidationFailed.at("workflow_id", "Say which workflow is started, by id or name.")
    return replace(
        request,
        path=f"/workflows/{reference}/execute",
        body={"input_data": given, "context": {**(context or {}), **more}},
    )


def control(request: OldRequest, known: KnownAs | None) -> OldRequest:
    """Cancel, pause or resume by a POST."""
    names = ("reason",) if request.path.endswith("/cancel") else ()
    body = {name: request.body[name] for name in names if name in request.body}
    return replace(request, method="POST", body=body)


def state(request: OldRequest, known: KnownAs | None) -> OldRequest:
    return replace(request, path=request.path.removesuffix("/state"))


def history(request: OldRequest, known: KnownAs | None) -> OldRequest:
    query = {**request.query, "per_page": ("200",)}
    path = request.path.removesuffix("/history") + "/events"
    return replace(request, path=path, query=query)


def _split(options: Json) -> tuple[Json, Json]:
    """Return the options that mean something to the hub, and all others."""
    taken: Json = {}
    for name in ("wait", "timeout"):
        if _is_number(options.get(name)) and options[name] >= 0:
            taken["wait"] = min(options[name], LONGEST_WAIT)
    priority = options.get("priority")
    if isinstance(priority, int) and _is_number(priority) and -100 <= priority <= 100:
        taken["priority"] = priority
    known = {n for n in ("wait", "timeout") if "wait" in taken} | ({"priority"} & taken.keys())
    return taken, {name: value for name, value in options.items() if name not in known}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_segment(value: Any) -> bool:
    return isinstance(value, str) and value not in ("", ".", "..") and "/" not in value


# --- Answers ---


def one_execution(answer: Any, exchange: Exchange) -> Any:
    """Answer a WorkflowResponse, in an envelope and flat, beside what the API answers."""
    return workflow_response(answer, own_id=_own_id(answer, exchange))


def executions_listed(answer: Any, exchange: Exchange) -> Any:
    items = [_flat(item, str(item["id"])) for item in answer["items"]]
    return list_envelope(answer, items, exchange, noun="Executions")


def started(answer: Any, exchange: Exchange) -> Any:
    """Answer that an execution was started, as the reference documented it."""
    return {
        **answer,
        "workflow_id": exchange.request.body.get("workflow_id"),
        "status": "started",
        "started_at": answer.get("started_at") or answer.get("created_at"),
    }


def workflow_response(answer: Json, *, own_id: str) -> Json:
    """Return an execution in both of the shapes that were declared."""
    flat = _flat(answer, own_id)
    names = ("id", "workflow_id", "status", "execution_time", "result", "errors")
    errors = flat["errors"]
    return {
        **flat,
        "success": flat["status"] not in _ENDED_BADLY,
        "message": errors[0] if errors else _MESSAGES.get(flat["status"], EXECUTED),
        "data": {name: flat[name] for name in names},
    }


_MESSAGES = {"PENDING": "Workflow is waiting", "RUNNING": "Workflow is running",
             "CANCELLED": "Workflow was cancelled"}  # fmt: skip


def _flat(answer: Json, own_id: str) -> Json:
    return {
        **answer,
        "workflow_id": own_id,
        "workflow_type": old_value(WORKFLOW_TYPES, answer.get("workflow_type")),
        "status": old_value(EXECUTION_STATUSES, answer["status"]),
        "execution_time": float(answer.get("execution_time") or 0.0),
        "result": _as_object(answer.get("result")),
        "errors": [_as_text(error) for error in answer.get("errors") or ()],
    }


def _own_id(answer: Json, exchange: Exchange) -> str:
    """Return the id by which the caller knows an execution."""
    request = exchange.request
    if request.subject:
        return request.subject
    given = own_id_of(request) if any(request.body.get(name) for name in _TYPE_NAMES) else ""
    return given if given and answer.get("correlation_id") == given else str(answer["id"])


def _as_object(value: Any) -> Any:
    return value if value is None or isinstance(value, dict) else {"output": value}


def _as_text(error: Any) -> str:
    if not isinstance(error, Mapping):
        return str(error)
    return str(error.get("message") or error.get("code") or error)
