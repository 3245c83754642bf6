"""Definitions of workflows as the earlier reference documented them, and their checks (pure).

Its steps have a name, a place in the sequence, an endpoint and what they depend on. They run one
after the other here, in an order that satisfies both; each is given the input of the execution.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from core.db.names import fit_name
from core.exceptions import ValidationFailed
from integration_site.legacy.envelopes import list_envelope
from integration_site.legacy.model import Exchange, Json, KnownAs, OldRequest

_ABOUT = ("name", "description", "type", "status", "metadata")
_OLD_KEYS = frozenset({"step_type", "endpoint", "sequence", "depends_on", "retry_policy"})
_SERVICES = ("service", "service_id", "service_name")
_RETRY = {"max_attempts": "max_attempts", "backoff_base": "base_delay"}


def has_definition(request: OldRequest) -> bool:
    """Return whether a body has its definition where the earlier system had it."""
    return isinstance(request.body.get("definition"), dict)


def new_workflow(request: OldRequest, known: KnownAs | None) -> OldRequest:
    """Make a workflow of a documented definition."""
    body = {name: request.body[name] for name in _ABOUT if request.body.get(name) is not None}
    if isinstance(body.get("name"), str):
        body["name"] = fit_name(body["name"])
    return request.with_body({**body, **_document(request.body)})


def new_version(request: OldRequest, known: KnownAs | None) -> OldRequest:
    """Give a workflow another definition, which makes a version."""
    path = f"/workflows/{request.subject}"
    return replace(request, method="PUT", path=path, body=_document(request.body))


def validation(request: OldRequest, known: KnownAs | None) -> OldRequest:
    """Check a definition that is given, or the one that the workflow has."""
    document = _document(request.body) or dict(request.stored)
    if not document:  # there is no such workflow, as its own route tells
        return replace(request, method="GET", path=f"/workflows/{request.subject}", body={})
    return replace(request, path="/workflows/validate", body=document)


def steps_of(request: OldRequest, known: KnownAs | None) -> OldRequest:
    """Ask for the steps of the execution that has this id, or of the workflow."""
    if request.path.startswith("/executions/"):
        return request
    return replace(request, path=f"/workflows/{request.subject}")


def _document(body: Json) -> Json:
    """Return the definition in a body; empty without one. Raises: ValidationFailed."""
    given = body.get("definition") if isinstance(body.get("definition"), dict) else body
    assert isinstance(given, dict)
    document = {n: given[n] for n in ("output", "timeout", "retry", "defaults") if n in given}
    if "steps" not in given:
        return document
    steps = given["steps"]
    if isinstance(steps, list) and any(_is_old(step) for step in steps):
        return {**document, "steps": _translated(steps)}
    return {**document, "steps": steps}


def _is_old(step: Any) -> bool:
    return isinstance(step, dict) and bool(_OLD_KEYS & step.keys())


def _translated(steps: list[Any]) -> list[Json]:
    for place, step in enumerate(steps):
        if not isinstance(step, dict) or not isinstance(step.get("name"), str):
            raise ValidationFailed.at(f"definition.steps.{place}.name", "Give every step a name.")
    ordered = _in_order(steps)
    ids = [fit_name(step["name"]).replace(" ", "-") for step in ordered]
    followers = [*ids[1:], None]
    return [
        {
            "id": own, "name": step["name"][:200], "input": "$.input",
            **_target(step, own), **_retry(step), "next": follower,
        }
        for step, own, follower in zip(ordered, ids, followers, strict=True)
    ]  # fmt: skip


def _in_order(steps: list[Json]) -> list[Json]:
    """Return steps so that each comes after those that it depends on, else by their sequence."""
    waiting = sorted(steps, key=_place)
    ordered: list[Json] = []
    done: set[str] = set()
    names = {str(step["name"]) for step in steps}
    while waiting:
        ready = next((step for step in waiting if _needs(step) & names <= done), None)
        if ready is None:
            stuck = ", ".join(str(step["name"]) for step in waiting)[:200]
            sentence = f"These steps depend on each other: {stuck}."
            raise ValidationFailed.at("definition.steps", sentence)
        waiting.remove(ready)
        ordered.append(ready)
        done.add(str(ready["name"]))
    return ordered


def _place(step: Json) -> float:
    value = step.get("sequence")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and value is not None else float("inf")


def _needs(step: Json) -> set[str]:
    value = step.get("depends_on")
    listed = value if isinstance(value, list) else [value]
    return {str(name) for name in listed if name}


def _target(step: Json, own: str) -> Json:
    """Return whom a step calls: a service, and the method and path of its endpoint."""
    endpoint = step.get("endpoint")
    text = endpoint if isinstance(endpoint, str) else ""
    method, _, rest = text.rpartition(" ")
    parts = urlsplit(rest)
    service = next((step[name] for name in _SERVICES if step.get(name)), parts.hostname)
    if not isinstance(service, str) or not parts.path.startswith("/"):
        raise ValidationFailed.at(
            f"definition.steps.{own}.endpoint",
            "Say which endpoint of which service it calls: a 'service' with an 'endpoint' such as"
            " 'POST /plans', or an 'endpoint' such as 'http://planning-system/plans'.",
        )
    verb = method or (step["method"] if isinstance(step.get("method"), str) else "POST")
    return {"service": fit_name(service), "action": f"{verb.upper()} {parts.path}"}


def _retry(step: Json) -> Json:
    policy = step.get("retry_policy")
    if not isinstance(policy, Mapping):
        return {}
    retry = {new: policy[old] for old, new in _RETRY.items() if policy.get(old) is not None}
    if policy.get("backoff_multiplier") is not None:
        # Those of the hub stay as they are or double.
        retry["backoff"] = "FIXED" if policy["backoff_multiplier"] == 1 else "EXPONENTIAL"
    return {"retry": retry} if retry else {}


# --- Answers ---


def one_workflow(answer: Any, exchange: Exchange) -> Any:
    """Answer a workflow, by the id that the earlier client reads."""
    message = "Workflow stored successfully"
    return {**answer, "workflow_id": answer["id"], "success": True, "message": message}


def checked(answer: Any, exchange: Exchange) -> Any:
    """Answer whether a definition is sound, with the errors as texts too."""
    errors = answer.get("errors") or {}
    texts = [f"{where}: {' '.join(map(str, found))}" for where, found in errors.items()]
    message = "Workflow is valid" if answer["valid"] else texts[0] if texts else "It is not valid"
    return {
        **answer,
        "workflow_id": exchange.request.subject,
        "success": answer["valid"],
        "message": message,
        "errors": texts,
    }


def steps_listed(answer: Any, exchange: Exchange) -> Any:
    """Answer the steps of a definition in the envelope of lists."""
    steps = answer["steps"]
    page = {"total": len(steps), "page": 1, "per_page": len(steps), "pages": 1}
    return {**list_envelope(page, steps, exchange, noun="Steps"), "steps": steps}
