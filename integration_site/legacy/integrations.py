"""Integrations as the earlier client makes, changes and reads them (pure).

What has no field of its own in the API is kept in the metadata, under `earlier`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from core.db.names import fit_name
from integration_site.legacy.envelopes import list_envelope
from integration_site.legacy.model import Exchange, Json, KnownAs, OldRequest
from integration_site.legacy.services import KEPT
from registry.models import IntegrationType

_SERVICE_NAMES = {"source_service_id": "source", "target_service_id": "target"}
_CONFIG_OF_TODAY = ("timeout_seconds", "error_after")


def integration(fields: frozenset[str], request: OldRequest, known: KnownAs | None) -> OldRequest:
    """Make or change an integration: its target is that of `target_service_id` and `config`."""
    body = {name: value for name, value in request.body.items() if name in fields}
    kept = {n: request.body[n] for n in _SERVICE_NAMES if request.body.get(n)}
    if "source_service_id" in kept:
        body["source"] = _name_of(request, "source_service_id")
    config = request.body.get("config")
    config = config if isinstance(config, dict) else {}
    target = _target_of(request, config)
    if target and "target" not in body:
        body["target"] = target
    if config:
        body["config"], rest = _split(config)
        kept |= {"config": rest} if rest else {}
    kept |= _typed(body)
    name = body.get("name")
    if isinstance(name, str) and name and (fitted := fit_name(name)) != name:
        body["name"], kept["name"] = fitted, name
    metadata = body.get("metadata")
    if kept:
        body["metadata"] = {**(metadata if isinstance(metadata, dict) else {}), KEPT: kept}
    return request.with_body(body)


def listing(request: OldRequest, known: KnownAs | None) -> OldRequest:
    """List those of a type; one that the hub does not know is kept as CUSTOM."""
    words = request.query.get("integration_type", ())
    if not words or all(_is_type(word) for word in words):
        return request
    return replace(request, query={**request.query, "integration_type": ("CUSTOM",)})


def service_references(request: OldRequest) -> list[str]:
    """Return what the body says of services, by id or name."""
    values = (request.body.get(name) for name in _SERVICE_NAMES)
    return [value for value in values if isinstance(value, str) and value]


def one_integration(answer: Any, exchange: Exchange) -> Any:
    """Answer an integration with the fields that the client reads, beside those of the API."""
    return old_integration(answer)


def integrations_listed(answer: Any, exchange: Exchange) -> Any:
    items = [old_integration(item) for item in answer["items"]]
    return list_envelope(answer, items, exchange, noun="Integrations")


def old_integration(answer: Json) -> Json:
    """Return an integration as it was given: with all of its config, and its own metadata."""
    metadata = answer.get("metadata")
    metadata = dict(metadata) if isinstance(metadata, dict) else {}
    kept = metadata.pop(KEPT, None)
    kept = kept if isinstance(kept, dict) else {}
    target = answer.get("target") or {}
    return {
        **answer,
        "name": kept.get("name") or answer["name"],
        "metadata": metadata,
        "config": {**(answer.get("config") or {}), **(kept.get("config") or {})},
        "integration_type": kept.get("integration_type") or answer["type"],
        "source_service_id": kept.get("source_service_id") or answer.get("source") or "",
        "target_service_id": kept.get("target_service_id") or next(iter(target.values()), ""),
    }


def _target_of(request: OldRequest, config: Json) -> Json | None:
    """Return whom an integration calls; None where nothing of that is given."""
    action = _action_in(config)
    if request.body.get("target_service_id"):
        name = _name_of(request, "target_service_id")
        service = request.services.get(str(request.body["target_service_id"]))
        only = service.actions[0] if service and len(service.actions) == 1 else "POST /"
        return {"service": name, "action": action or only}
    present = request.services.get("")  # whom it calls so far
    return {"service": present.name, "action": action} if present and action else None


def _action_in(config: Json) -> str:
    """Return the action in a config: by its name, or as a method and a path."""
    if isinstance(config.get("action"), str) and config["action"]:
        return str(config["action"])
    where = config.get("endpoint") or config.get("path") or config.get("url")
    if not isinstance(where, str) or not where:
        return ""
    method = config.get("method")
    path = urlsplit(where).path if "://" in where else where.partition("?")[0]
    return f"{str(method).upper() if method else 'POST'} /{path.lstrip('/')}"


def _split(config: Json) -> tuple[Json, Json]:
    """Return what the hub knows of a config, and all that it does not."""
    today = {name: config[name] for name in _CONFIG_OF_TODAY if name in config}
    return today, {name: value for name, value in config.items() if name not in today}


def _typed(body: Json) -> Json:
    """Take a type that the hub does not know for CUSTOM, and return what it was."""
    for name in ("integration_type", "type"):
        word = body.get(name)
        if isinstance(word, str) and word and not _is_type(word):
            body[name] = IntegrationType.CUSTOM.value
            return {"integration_type": word}
    return {}


def _is_type(word: str) -> bool:
    try:
        IntegrationType.parse(word)
    except ValueError:
        return False
    return True


def _name_of(request: OldRequest, field: str) -> str:
    reference = str(request.body[field])
    service = request.services.get(reference)
    return service.name if service else reference
