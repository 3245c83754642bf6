"""Requests of programs in their common form, answered as Django would without asking it.

A function that answers them takes a `WebRequest`, reads it by `read_request`, and leaves to Django
whatever is unusual; `render` gives an answer the headers that Django's middleware adds.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port, validate_host
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.security import SecurityMiddleware
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.renderers import JSONRenderer

from core.api.caller import Caller
from core.api.exchange import Headers, WebAnswer, WebRequest
from core.api.known_keys import KnownKey, given_key, known_keys
from core.api.middleware import ContentSecurityMiddleware
from core.api.plain_reading import MOST_BYTES
from core.json import strict
from core.media_types import is_json
from core.peers import client_address, client_scheme
from core.request_rates.counter import RATE_DECISION, admit_key

# Whoever sends one of these may want something that is for Django to know.
_UNUSUAL = frozenset({"cookie", "content-encoding", "expect"})
_JSON = JSONRenderer()


@dataclass(frozen=True, slots=True)
class PlainRequest:
    """A POST of a program that may do what it asks for; `prefix` is of URLs in answers."""

    web: WebRequest
    caller: Caller
    body: dict[str, Any]
    prefix: str
    is_secure: bool

    def render(
        self,
        status: int,
        data: Any,
        headers: Headers = (),
        *,
        content_type: str = "application/json",
    ) -> WebAnswer:
        """Return an answer."""
        decision = self.web.environ.get(RATE_DECISION)
        return WebAnswer(
            status,
            (
                ("Content-Type", content_type),
                *headers,
                *_added_headers(self.is_secure),
                *(decision.headers().items() if decision is not None else ()),
            ),
            _JSON.render(data),
        )


def read_request(request: WebRequest, scopes: str) -> PlainRequest | None:
    """Return a POST whose caller has one of the `scopes`, which `|` joins; None if Django is to.

    It may ask the database about the key. What is counted against a limit of the key is not counted
    again by Django.
    """
    headers = request.headers
    if request.method != "POST" or request.query or not _UNUSUAL.isdisjoint(headers):
        return None
    body = _read_body(request)
    place = _place_of(request) if body is not None else None
    known = _known_key(request) if place is not None else None
    if body is None or place is None or known is None:
        return None
    if not any(known.caller.may(scope) for scope in scopes.split("|")):
        return None
    decision = admit_key(str(known.key.pk), known.key.requests_per_minute)
    if decision is not None:
        request.environ[RATE_DECISION] = decision
        if not decision.allowed:
            return None
    return PlainRequest(request, known.caller, body, *place)


def _known_key(request: WebRequest) -> KnownKey | None:
    headers = request.headers
    text = given_key(headers.get("authorization", ""), headers.get("x-api-key"))
    if text is None:
        return None
    address = client_address(request.address, headers, settings.TRUSTED_PROXIES)
    try:
        return known_keys().find(text, address)
    except AuthenticationFailed:
        return None


def _read_body(request: WebRequest) -> dict[str, Any] | None:
    if len(request.body) > MOST_BYTES or not is_json(request.headers.get("content-type")):
        return None
    if not request.body.strip():
        return {}
    try:
        value = strict.parse(request.body)
    except strict.JSONRefused:
        return None
    return value if isinstance(value, dict) else None


def _place_of(request: WebRequest) -> tuple[str, bool] | None:
    """Return the prefix of URLs in answers and whether it is https; None where Django refuses."""
    host, scope = request.headers.get("host", ""), request.scope
    path = scope["path"].rstrip("/")
    is_api = path.startswith("/api/")
    if path.removeprefix("/api") != request.path or not _is_allowed(host):
        return None
    scheme = client_scheme(
        request.address, scope.get("scheme", "http"), request.headers, settings.TRUSTED_PROXIES
    )
    is_secure = scheme == "https"
    if settings.SECURE_SSL_REDIRECT and not is_secure:
        return None
    return f"{scheme}://{host}{'/api' if is_api else ''}", is_secure


def _is_allowed(host: str) -> bool:
    return _is_among(host, tuple(settings.ALLOWED_HOSTS))


@lru_cache(256)
def _is_among(host: str, allowed: tuple[str, ...]) -> bool:
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, allowed)


@lru_cache(4)
def _added_headers(is_secure: bool) -> Headers:
    """Return the headers that Django's middleware adds to every answer, by asking it."""
    scheme = "https" if is_secure else "http"
    environ = {"REQUEST_METHOD": "POST", "wsgi.input": io.BytesIO(), "wsgi.url_scheme": scheme}
    request, response = WSGIRequest(environ), HttpResponse()
    del response.headers["Content-Type"]

    def answer(_: HttpRequest) -> HttpResponse:
        return response

    for middleware in (XFrameOptionsMiddleware, ContentSecurityMiddleware, SecurityMiddleware):
        middleware(answer)(request)
    return tuple(response.items())
