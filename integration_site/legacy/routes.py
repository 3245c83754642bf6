"""Every route of the earlier system, on the canonical paths of the API (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial

from integration_site.legacy import definitions, health, integrations, runs, services, workflows
from integration_site.legacy.model import LegacyRoute
from registry.api.integrations import IntegrationInput
from registry.api.service_serializers import ServiceInput
from workflows.api.execution_responses import REQUEST_TYPES

# The client of today says who it is; others say by a header that they speak as it does.
REMEMBERED_PATHS, LONGEST_REMEMBERED = 4096, 200
CLIENT_OF_TODAY = "service-integration-client"
DIALECT_HEADER, DIALECT_OF_TODAY = "x-api-dialect", "present"
_STREAM = "text/event-stream"

_SERVICE_FIELDS = frozenset((*ServiceInput().fields, *ServiceInput.other_names, "endpoints"))
_registration = partial(services.registration, _SERVICE_FIELDS)
_INTEGRATION_FIELDS = frozenset((*IntegrationInput().fields, *IntegrationInput.other_names))
_integration = partial(integrations.integration, _INTEGRATION_FIELDS)

ROUTES = (
    LegacyRoute("POST", "/services", _registration, services.one_service),
    LegacyRoute("GET", "/services", to_old=services.services_listed),
    LegacyRoute("GET", "/services/{service}", services.of_service, services.one_service),
    LegacyRoute("PUT", "/services/{service}", _registration, services.one_service),
    LegacyRoute("DELETE", "/services/{service}", services.removal),
    LegacyRoute("GET", "/services/{service}/health", services.of_service),
    LegacyRoute("POST", "/services/{service}/heartbeat", services.heartbeat, services.one_service),
    LegacyRoute("PUT", "/services/{service}/status", services.status, services.one_service),
    LegacyRoute(
        "GET", "/discovery/services", services.discovery, services.services_found, all_pages=True
    ),
    LegacyRoute(
        "POST",
        "/discovery/services/search",
        services.search,
        services.services_found,
        all_pages=True,
    ),
    LegacyRoute("GET", "/discovery/services/type/{type}", to_old=services.chosen_service),
    LegacyRoute("GET", "/discovery/health/{service}", services.of_service, services.bare_status),
    LegacyRoute("GET", "/health/system", to_old=health.system_health, with_fleet=True),
    LegacyRoute("GET", "/health/circuit-breakers", to_old=health.circuit_breakers, all_pages=True),
    LegacyRoute(
        "POST", "/workflows/execute", workflows.execution, workflows.one_execution, status=200
    ),
    *(
        LegacyRoute("POST", f"/workflows/{name}", to_old=workflows.one_execution, status=200)
        for name in REQUEST_TYPES
    ),
    LegacyRoute("POST", "/executions", workflows.start_of_workflow, workflows.started, status=200),
    LegacyRoute("GET", "/executions", to_old=workflows.executions_listed),
    LegacyRoute("GET", "/executions/{execution}", to_old=workflows.one_execution),
    LegacyRoute("GET", "/executions/{execution}/state", workflows.state, workflows.one_execution),
    LegacyRoute(
        "GET",
        "/executions/{execution}/history",
        workflows.history,
        runs.events_listed,
        all_pages=True,
    ),
    LegacyRoute("GET", "/executions/{execution}/steps", to_old=runs.steps_of_run),
    LegacyRoute("GET", "/executions/{execution}/events", to_old=runs.events_listed),
    LegacyRoute(
        "GET",
        "/executions/{execution}/steps/{step}/retries",
        runs.of_step,
        runs.retries,
        all_pages=True,
    ),
    LegacyRoute(
        "POST",
        "/executions/{execution}/steps/{step}/retry",
        runs.retry,
        workflows.one_execution,
    ),
    LegacyRoute("POST", "/executions/{execution}/retry", to_old=workflows.one_execution),
    LegacyRoute("GET", "/steps", to_old=runs.steps_of_run),
    LegacyRoute("GET", "/steps/{step}", to_old=runs.one_step),
    LegacyRoute("GET", "/workflows/{run}/steps", definitions.steps_of, runs.steps_of_run),
    LegacyRoute(
        "POST",
        "/workflows",
        definitions.new_workflow,
        definitions.one_workflow,
        is_old=definitions.has_definition,
    ),
    LegacyRoute(
        "POST", "/workflows/{workflow}/validate", definitions.validation, definitions.checked
    ),
    LegacyRoute(
        "POST",
        "/workflows/{workflow}/versions",
        definitions.new_version,
        definitions.one_workflow,
        status=201,
    ),
    LegacyRoute("POST", "/events", runs.event, runs.event_taken, status=202),
    LegacyRoute("GET", "/events", to_old=runs.events_listed, is_old=runs.is_of_events),
    LegacyRoute("GET", "/events/{event}", to_old=runs.one_event),
    *(
        LegacyRoute(
            "PUT",
            f"/executions/{{execution}}/{act}",
            workflows.control,
            workflows.one_execution,
        )
        for act in ("cancel", "pause", "resume")
    ),
    LegacyRoute("POST", "/integrations", _integration, integrations.one_integration),
    LegacyRoute("GET", "/integrations", integrations.listing, integrations.integrations_listed),
    LegacyRoute("GET", "/integrations/{integration}", to_old=integrations.one_integration),
    LegacyRoute("PUT", "/integrations/{integration}", _integration, integrations.one_integration),
    LegacyRoute("DELETE", "/integrations/{integration}"),
    LegacyRoute("POST", "/integrations/{integration}/execute"),
    LegacyRoute("GET", "/correlations/{correlation}/events", to_old=runs.events_listed),
    LegacyRoute("GET", "/"),
)
_PATTERNS = tuple((route, route.pattern) for route in ROUTES)


def find_route(method: str, path: str) -> tuple[LegacyRoute, str] | None:
    """Return the old route of a canonical path, and what its path names; None where it is none."""
    return (_remembered if len(path) <= LONGEST_REMEMBERED else _find)(method, path)


def _find(method: str, path: str) -> tuple[LegacyRoute, str] | None:
    for route, pattern in _PATTERNS:
        if route.method == method and (match := pattern.match(path)):
            return route, next(iter(match.groups()), "")
    return None


_remembered = lru_cache(REMEMBERED_PATHS)(_find)


def speaks_old(method: str, path: str, headers: Mapping[str, str]) -> bool:
    """Return whether a request is to one of these routes, and from nobody who says otherwise.

    `path` is canonical, names of `headers` in lower case.
    """
    if headers.get("user-agent", "").startswith(CLIENT_OF_TODAY):
        return False
    if headers.get(DIALECT_HEADER, "") == DIALECT_OF_TODAY:
        return False
    if path == "/" and "text/html" in headers.get("accept", ""):
        return False  # a browser, which is led to the console
    if path == "/events" and (_STREAM in headers.get("accept", "") or "last-event-id" in headers):
        return False  # who follows what happens, as nobody did before
    return find_route(method, path) is not None
