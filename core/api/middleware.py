"""What every request passes: who sent it, its id, and one form of its path."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Any

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from core.api.exchange import request_id_of
from core.audit import Actor, acting
from core.models.audit import ActorKind
from core.peers import FORWARDED_FOR, FORWARDED_PROTO, client_address, client_scheme
from core.request_rates.counter import RATE_DECISION
from core.suggestions import few_suggestions

logger = structlog.get_logger("request")
_levels = logging.getLogger("request")

GetResponse = Callable[[HttpRequest], HttpResponse]
PROBED = re.compile(r"/(api/)?((health/)?(alive|ready)|health/(liveness|readiness))/?\Z")


class ForwardedMiddleware:
    """Sets the address and the scheme of the client, and takes `X-Forwarded-*` out of the request.

    What TRUSTED_PROXIES say is believed, what others say is not; nothing further down has to ask.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        meta, trusted = request.META, settings.TRUSTED_PROXIES
        headers = {
            name: meta.get(_meta_name(name), "") for name in (FORWARDED_FOR, FORWARDED_PROTO)
        }
        peer, scheme = meta.get("REMOTE_ADDR", ""), request.scheme or "http"
        meta["REMOTE_ADDR"] = client_address(peer, headers, trusted)
        meta["wsgi.url_scheme"] = client_scheme(peer, scheme, headers, trusted)
        for name in [name for name in meta if name.startswith("HTTP_X_FORWARDED_")]:
            del meta[name]
        return self.get_response(request)


def _meta_name(header: str) -> str:
    return "HTTP_" + header.upper().replace("-", "_")


class RequestIdMiddleware:
    """Takes `X-Request-ID` from the caller or makes one, logs with it and returns it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = request_id_of(request.headers.get("X-Request-ID"))
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        started = time.perf_counter()
        # One budget for all that a request names which is not there.
        with few_suggestions():
            response = self.get_response(request)
        response["X-Request-ID"] = request_id
        seconds = time.perf_counter() - started
        if not request.path.startswith("/static/") and not request.path.endswith("/health/alive"):
            log_answered(request.method or "", request.path, response.status_code, seconds)
        return response


def log_answered(
    method: str,
    path: str,
    status: int,
    seconds: float,
    *,
    fine: int = logging.INFO,
    **more: Any,
) -> None:
    """Log that a request was answered: at the level `fine`, if it was no fault of the hub."""
    level = logging.WARNING if status >= 500 else fine
    if _levels.isEnabledFor(level):  # rendering what is dropped costs as much as a small answer
        milliseconds = round(seconds * 1000, 1)
        if "/push/" in path:  # what follows lets whoever reads it call
            path = f"{path.partition('/push/')[0]}/push/***"
        fields = {"method": method, "path": path, "status": status, "milliseconds": milliseconds}
        logger.log(level, "answered", **fields, **more)


class RateLimitMiddleware:
    """Tells callers what is left of the limit of their key."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        decision = request.META.get(RATE_DECISION)
        if decision is not None:
            for name, value in decision.headers().items():
                response[name] = value
        return response


# The theme's components evaluate expressions and set styles; nothing else runs inline.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; font-src 'self' data:; object-src 'none'; base-uri 'self';"
    " form-action 'self'; frame-ancestors 'none'"
)


class ContentSecurityMiddleware:
    """Tells browsers to run nothing that does not come from here."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        return response


class ProbeHostMiddleware:
    """Lets platforms probe by whatever address: the open health paths answer any host name."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if PROBED.match(request.path_info):
            request.META["HTTP_HOST"] = "localhost"
        return self.get_response(request)


class ActorMiddleware:
    """Lets what a request does be recorded under the person who is logged in to the admin.

    API views say themselves who calls. Nothing of it outlasts the request.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        is_act = request.method == "POST" and request.path_info.startswith("/admin/")
        with acting(_person(request) if is_act else None):
            return self.get_response(request)


def _person(request: HttpRequest) -> Actor | None:
    user = request.user
    if not user.is_authenticated:
        return None
    return Actor(kind=ActorKind.USER, id=str(user.pk), name=user.get_username())


class TrailingSlashMiddleware:
    """Lets API paths end with a slash or not: the routes are written without."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        path = request.path_info
        if len(path) > 1 and path.endswith("/") and not path.startswith(("/admin/", "/static/")):
            request.path_info = path.rstrip("/") or "/"
        return self.get_response(request)
