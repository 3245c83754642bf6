"""Every route of the earlier system, on the canonical paths of the API (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial

from integration_site.legacy import health, services
from integration_site.legacy.model import LegacyRoute
from registry.api.service_serializers import ServiceInput

# The client of today says who it is; others say by a header that they speak as it does.
CLIENT_OF_TODAY = "service-integration-client"
DIALECT_HEADER, DIALECT_OF_TODAY = "x-api-dialect", "present"

_SERVICE_FIELDS = frozenset((*ServiceInput().fields, *ServiceInput.other_names, "endpoints"))
_registration = partial(services.registration, _SERVICE_FIELDS)

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
    LegacyRoute("GET", "/"),
)
_PATTERNS = tuple((route, route.pattern) for route in ROUTES)


@lru_cache(4096)
def find_route(method: str, path: str) -> tuple[LegacyRoute, str] | None:
    """Return the old route of a canonical path, and what its path names; None where it is none."""
    for route, pattern in _PATTERNS:
        if route.method == method and (match := pattern.match(path)):
            return route, next(iter(match.groups()), "")
    return None


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
    return find_route(method, path) is not None
