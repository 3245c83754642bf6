"""Services as the earlier system registers, finds and answers them (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from core.db.names import fit_name
from core.identifiers import read_id
from integration_site.legacy.envelopes import list_envelope
from integration_site.legacy.model import Exchange, Json, KnownAs, OldRequest
from integration_site.legacy.vocabulary import SERVICE_STATUSES, SERVICE_TYPES, old_value

MOST_OF_A_PAGE = "200"
KEPT = "earlier"  # where metadata has what a service said otherwise


# --- Requests ---


def registration(fields: frozenset[str], request: OldRequest, known: KnownAs | None) -> OldRequest:
    """Take a registration, or a change, without the fields that nobody knows.

    They were ignored; `service_id` is kept beside (see `given_id`).
    """
    body = {name: value for name, value in request.body.items() if name in fields}
    if body.get("version") is not None:
        body["version"] = str(body["version"])
    return of_service(request.with_body(with_fitted_name(body)), known)


def with_fitted_name(body: Json) -> Json:
    """Return a body with a name that the hub takes; what it was stays in the metadata."""
    name = body.get("name")
    if not isinstance(name, str) or not name or (fitted := fit_name(name)) == name:
        return body
    metadata = body.get("metadata")
    kept = metadata if isinstance(metadata, dict) else {}
    return {**body, "name": fitted, "metadata": {**kept, KEPT: {"name": name}}}


def _by_name(request: OldRequest) -> OldRequest:
    """Ask for what has a name, as that was fitted when it came."""
    reference = request.subject
    name = reference if read_id(reference) is not None else fit_name(reference)
    return replace(request, path=request.template.replace("{service}", name))


def given_id(request: OldRequest) -> str:
    """Return the id that a service gives itself; empty where it leaves that to the hub."""
    value = request.body.get("service_id")
    return value.strip() if isinstance(value, str) else ""


def heartbeat(request: OldRequest, known: KnownAs | None) -> OldRequest:
    """Take the id in the body for what the path says, and the instance from either."""
    names = ("status", "instance_id", "url", "metadata")
    body = {n: request.body[n] for n in names if request.body.get(n) is not None}
    if known is not None and not body.keys() & {"instance_id", "url"}:
        body["instance_id"] = known.instance_id
    return of_service(request.with_body(body), known)


def status(request: OldRequest, known: KnownAs | None) -> OldRequest:
    """Set the status of the instance that is known by this id; of a service by its own."""
    if known is None:
        return _by_name(request)
    path = f"/services/{known.service_id}/instances/{known.instance_id}/status"
    return replace(request, path=path)


def removal(request: OldRequest, known: KnownAs | None) -> OldRequest:
    """Remove the instance of this id, and its service if it was the last that anybody needs."""
    if known is None:
        return _by_name(request)
    own = f"/services/{known.service_id}"
    return replace(request, path=f"{own}/instances/{known.instance_id}" if known.is_kept else own)


def of_service(request: OldRequest, known: KnownAs | None) -> OldRequest:
    """Ask for the service whose instance has this id."""
    if known is None:
        return _by_name(request)
    return replace(request, path=request.template.replace("{service}", known.service_id))


def discovery(request: OldRequest, known: KnownAs | None) -> OldRequest:
    """Ask for all at once, and not for what no service can have."""
    query = {n: v for n, v in request.query.items() if n not in ("page", "per_page")}
    return replace(request, query={**query, "per_page": (MOST_OF_A_PAGE,)})


def search(request: OldRequest, known: KnownAs | None) -> OldRequest:
    """The same for a search, whose criteria may be null."""
    criteria = {name: value for name, value in request.body.items() if value is not None}
    request = replace(request, query={"per_page": (MOST_OF_A_PAGE,)})
    return request.with_body({**criteria, "per_page": int(MOST_OF_A_PAGE)})


# --- Answers ---


def one_service(answer: Any, exchange: Exchange) -> Any:
    """Answer a ServiceInfo beside what the API answers of a service."""
    known = exchange.known
    given = given_id(exchange.request) or (known.reference if known else "")
    chosen = known.instance_id if known else ""
    url = exchange.request.body.get("base_url") or exchange.request.body.get("url")
    return service_info(answer, chosen=chosen, url=url, given=given, aliases=exchange.aliases)


def chosen_service(answer: Any, exchange: Exchange) -> Any:
    """The same for the instance that discovery chose."""
    instance = answer.get("instance") or {}
    return service_info(answer, chosen=str(instance.get("id", "")), aliases=exchange.aliases)


def services_found(answer: Any, exchange: Exchange) -> Any:
    """Answer a list envelope with an item for each instance, as each was registered for itself."""
    items = [
        service_info(service, chosen=instance["id"], aliases=exchange.aliases)
        for service in answer["items"]
        for instance in _usable(service) or [{"id": ""}]
    ]
    return list_envelope(answer, items, exchange, noun="Services")


def services_listed(answer: Any, exchange: Exchange) -> Any:
    """Answer a page of services, one item each."""
    items = [service_info(service, aliases=exchange.aliases) for service in answer["items"]]
    return list_envelope(answer, items, exchange, noun="Services")


def bare_status(answer: Any, exchange: Exchange) -> Any:
    """Answer a status as a bare text."""
    chosen = exchange.known.instance_id if exchange.known else ""
    statuses = {i["id"]: i["status"] for i in _instances(answer)}
    return old_value(SERVICE_STATUSES, statuses.get(chosen, answer["status"]))


def service_info(
    service: Json,
    *,
    chosen: str = "",
    url: Any = None,
    given: str = "",
    aliases: Mapping[UUID, str],
) -> Json:
    """Return what the API answers of a service, with the fields and values of a ServiceInfo.

    It is of the instance of the id `chosen`, or at this URL; without either, the preferred one.
    """
    instance = _instance_of(service, chosen, url)
    key = str(instance.get("id", ""))
    alias = aliases.get(UUID(key)) if key else None
    address = instance.get("url") or service.get("url") or ""
    health_url = instance.get("health_url") or service.get("health_url") or ""
    registered_at = instance.get("registered_at") or service.get("registered_at")
    metadata = dict(service.get("metadata") or {})
    kept = metadata.pop(KEPT, None)
    return {
        **service,
        "name": (kept.get("name") if isinstance(kept, dict) else None) or service["name"],
        "metadata": metadata,
        "service_id": given or alias or key or str(service["id"]),
        "type": old_value(SERVICE_TYPES, service["type"]),
        "version": instance.get("version") or service.get("version") or "",
        "url": address,
        "base_url": address,
        "health_check_url": health_url,
        "endpoints": [_endpoint(action) for action in _listed(service.get("actions"))],
        "status": old_value(SERVICE_STATUSES, instance.get("status") or service["status"]),
        "last_heartbeat": instance.get("last_heartbeat") or registered_at,
        "registered_at": registered_at,
    }


def instance_ids(answer: Any) -> Iterator[UUID]:
    """Give the ids of the instances in an answer, whichever it is."""
    if not isinstance(answer, Mapping):
        return
    services = answer["items"] if isinstance(answer.get("items"), list) else [answer]
    for service in services:
        for instance in _instances(service) if isinstance(service, Mapping) else ():
            yield UUID(instance["id"])


def _instances(service: Mapping[str, Any]) -> list[Json]:
    """Return the instances in an answer; a list that is too long leaves out those of some."""
    return _listed(service.get("instances"))


def _usable(service: Json) -> list[Json]:
    """Return the instances that were found: those that are alive, or all where none is."""
    instances = _instances(service)
    alive = [i for i in instances if i["status"] in ("ONLINE", "DEGRADED", "UNKNOWN")]
    return alive or instances


def _instance_of(service: Json, chosen: str, url: Any) -> Json:
    instances = _instances(service)
    wanted = str(url or "").rstrip("/")
    by_url = (i for i in instances if wanted and i["url"].rstrip("/") == wanted)
    by_id = (i for i in instances if i["id"] == chosen)
    preferred = (i for i in instances if i["url"] == service.get("url"))
    return next(by_id, None) or next(by_url, None) or next(preferred, None) or {}


def _listed(value: Any) -> list[Json]:
    return value if isinstance(value, list) else []


def _endpoint(action: Json) -> Json:
    return {
        "path": action.get("path") or f"/{action['name']}",
        "method": action.get("method") or "POST",
        "description": action.get("description") or "",
        "required_permissions": [],
    }
