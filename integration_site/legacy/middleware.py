"""Where requests in the old shapes are translated, on their way to the views and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import structlog
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict

from core.api.errors import CONTENT_TYPE, problem
from core.api.idempotency import canonical_path
from core.api.parsers import MAX_BODY_BYTES
from core.exceptions import IntegrationError
from core.json import strict
from integration_site.legacy import lookups
from integration_site.legacy.calls import call_counter
from integration_site.legacy.health import circuit_instances
from integration_site.legacy.integrations import service_references
from integration_site.legacy.model import Exchange, KnownAs, LegacyRoute, OldRequest
from integration_site.legacy.routes import find_route, speaks_old
from integration_site.legacy.runs import correlation_in
from integration_site.legacy.services import given_id, instance_ids
from registry.models import Service
from registry.services.aliases import find_aliased, keep_alias, refuse_taken

logger = structlog.get_logger(__name__)

GetResponse = Callable[[HttpRequest], HttpResponse]
MOST_PAGES = 100
_URLS = "integration_site.legacy.urls"


class LegacyMiddleware:
    """Translates what is in an old shape, and counts it; all else passes untouched."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        path = canonical_path(request.path_info)
        if not speaks_old(str(request.method), path, headers):
            return self.get_response(request)
        try:
            old = read_old(request, path)
            return self.get_response(request) if old is None else self._translated(request, old)
        except (OperationalError, InterfaceError) as error:
            logger.warning("database_unavailable", error=str(error)[:500])
            sentence = "The database does not answer. Try again in a few seconds."
            return JsonResponse(
                problem(503, sentence),
                status=503,
                headers={"Retry-After": "5"},
                content_type=CONTENT_TYPE,
            )

    def _translated(self, http: HttpRequest, old: OldRequest) -> HttpResponse:
        route = find_route(old.method, canonical_path(http.path_info))
        assert route is not None
        if not route[0].is_old(old):
            return self.get_response(http)
        known = _known(route[0], old)
        try:
            old = _with_rows(route[0], old)
            present = route[0].to_present(old, known)
        except IntegrationError as error:
            return _refusal(error)
        response = self._send(http, present)
        call_counter.note(route[0].title, _caller_name(http))
        if response.status_code >= 400 or "json" not in response.get("Content-Type", ""):
            return response
        answer = json.loads(response.content)
        if route[0].all_pages:
            answer = self._with_all_pages(http, present, answer)
        try:
            return _answer(http, route[0], old, known, response, answer)
        except IntegrationError as error:
            return _refusal(error)

    def _send(self, http: HttpRequest, present: OldRequest) -> HttpResponse:
        rewrite(http, present)
        return self.get_response(http)

    def _with_all_pages(self, http: HttpRequest, present: OldRequest, first: Any) -> Any:
        items = [*first["items"]]
        for number in range(2, min(first["pages"] or 1, MOST_PAGES) + 1):
            page = present.with_query(page=str(number))
            if present.body:
                page = page.with_body({**present.body, "page": number})
            response = self._send(http, page)
            if response.status_code != 200:
                break
            items += json.loads(response.content)["items"]
        return {**first, "items": items, "next": None, "previous": None}


def read_old(http: HttpRequest, path: str) -> OldRequest | None:
    """Return what a request says; None where its body is none that can be read: the view tells."""
    body: Any = {}
    if http.method not in ("GET", "DELETE"):
        if int(http.META.get("CONTENT_LENGTH") or 0) > MAX_BODY_BYTES:
            return None
        try:
            body = strict.parse(http.body) if http.body.strip() else {}
        except strict.JSONRefused:
            return None
        if not isinstance(body, dict):
            return None
    route = find_route(str(http.method), path)
    assert route is not None
    subject = route[1]
    execution = lookups.execution_id(subject) if "{execution}" in route[0].path else ""
    if execution:
        path = path.replace(f"/{subject}", f"/{execution}", 1)
    key = http.META.get("HTTP_IDEMPOTENCY_KEY")
    return OldRequest(
        method=str(http.method),
        path=path,
        headers={"idempotency-key": key} if key else {},
        query={name: tuple(values) for name, values in http.GET.lists()},
        body=body,
        template=route[0].path,
        subject=subject,
        execution=execution,
    )


def rewrite(http: HttpRequest, present: OldRequest) -> None:
    """Make a request of Django one that says what the translated one does."""
    prefix = "/api" if http.path_info.startswith("/api/") else ""
    http.method = http.META["REQUEST_METHOD"] = present.method
    http.path = http.path_info = http.META["PATH_INFO"] = prefix + present.path
    query = urlencode([(name, text) for name, texts in present.query.items() for text in texts])
    http.META["QUERY_STRING"] = query
    http.GET = QueryDict(query)
    if present.method not in ("GET", "DELETE"):
        http._body = json.dumps(present.body).encode() if present.body else b""
        http.META["CONTENT_LENGTH"] = str(len(http.body))
        http.META["CONTENT_TYPE"] = http.content_type = "application/json"
    for name, value in present.headers.items():
        http.META["HTTP_" + name.upper().replace("-", "_")] = value
    http.__dict__.pop("headers", None)  # which Django made of them before
    http.urlconf = _URLS


def _refusal(error: IntegrationError) -> HttpResponse:
    errors = error.details.get("errors")
    body = problem(error.status_code, error.message, code=error.problem_code, errors=errors)
    return JsonResponse(body, status=error.status_code, content_type=CONTENT_TYPE)


def _with_rows(route: LegacyRoute, old: OldRequest) -> OldRequest:
    """Look up what the translation of a request goes by."""
    if route.path.startswith("/integrations") and old.method in ("POST", "PUT"):
        services = lookups.named_services(service_references(old))
        if old.method == "PUT":
            services |= lookups.target_so_far(old.subject)
        return replace(old, services=services)
    if route.path == "/workflows/{workflow}/validate":
        return replace(old, stored=lookups.definition_of(old.subject))
    if route.path == "/workflows/{run}/steps" and (found := lookups.find_execution(old.subject)):
        return replace(old, path=f"/executions/{found}/steps", execution=found)
    if route.title == "POST /events" and (given := correlation_in(old)):
        return replace(old, execution=lookups.execution_id(given))
    if route.path.endswith("/steps/{step}/retry"):
        return replace(old, stopped=lookups.stopped_at(old.execution))
    return old


def _known(route: LegacyRoute, old: OldRequest) -> KnownAs | None:
    if "{service}" not in route.path:
        return None
    known = lookups.known_as(old.subject)
    if known is None or old.method != "DELETE":
        return known
    return replace(known, is_kept=lookups.is_needed(known.service_id))


def _answer(
    http: HttpRequest,
    route: LegacyRoute,
    old: OldRequest,
    known: KnownAs | None,
    response: HttpResponse,
    answer: Any,
) -> HttpResponse:
    """Return the answer in the old shape; a service that registered has its own id from now on.

    Raises:
        Conflict: another one has it.
    """
    if route.title == "POST /services" and given_id(old):
        _keep_id(http, old, answer)
    fleet = lookups.read_fleet() if route.with_fleet else ()
    subjects: list[UUID] = [member.id for member in fleet]
    if not fleet:
        is_circuits = route.path == "/health/circuit-breakers"
        subjects = circuit_instances(answer) if is_circuits else [*instance_ids(answer)]
    exchange = Exchange(
        old, response.status_code, known, lookups.read_aliases(subjects), tuple(fleet)
    )
    translated = JsonResponse(
        route.to_old(answer, exchange), safe=False, status=route.status or response.status_code
    )
    for name, value in response.items():
        # What the tag of the API is of is another body.
        if name not in ("Content-Type", "Content-Length", "ETag"):
            translated[name] = value
    return translated


def _keep_id(http: HttpRequest, old: OldRequest, answer: Any) -> None:
    """Let the instance that registered be known by the id that it gave itself. Raises: Conflict."""
    alias = given_id(old)
    url = str(old.body.get("base_url") or old.body.get("url") or old.body.get("endpoint") or "")
    instances = answer.get("instances") or []
    same = [i for i in instances if i["url"].rstrip("/") == url.rstrip("/")] or instances[:1]
    if not same:
        return
    caller = http.user
    only_own = not (hasattr(caller, "may") and caller.may("registry:write"))
    holder = find_aliased(alias, or_id=True)
    others = Service.objects.find(alias)
    for owner, service_id in (
        *([(holder.owner, holder.service_id)] if holder else ()),
        *([(others.owner, others.pk)] if others else ()),
    ):
        if str(service_id) != answer["id"]:
            refuse_taken(alias, owner, actor=_caller_name(http), only_own=only_own)
    keep_alias(alias, UUID(same[0]["id"]))


def _caller_name(http: HttpRequest) -> str:
    """Return who the view found to be calling."""
    user: Any = getattr(http, "user", None)
    return str(getattr(user, "name", "") or getattr(user, "username", ""))
