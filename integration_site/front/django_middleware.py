"""What Django's middleware does with every request, for those that Django does not see.

Each of these asks Django's own code or settings, so that nothing is decided twice.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.http.request import split_domain_port, validate_host
from django.utils.module_loading import import_string

from core.api.exchange import Headers, WebAnswer, WebRequest
from core.api.middleware import PROBED
from core.peers import client_address, client_scheme

# Of settings.MIDDLEWARE, what adds headers whatever the request is.
_ADDS_HEADERS = (
    "django.middleware.security.SecurityMiddleware",
    "core.api.middleware.ContentSecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
)


def as_the_client_sent(scope: dict[str, Any], trusted: Sequence[str]) -> dict[str, Any]:
    """Return the scope with address and scheme of the client, and without `X-Forwarded-*`.

    What the `trusted` proxies say is believed.
    """
    forwarded: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        if raw_name.startswith(b"x-forwarded-"):
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            forwarded[name] = f"{forwarded[name]},{value}" if name in forwarded else value
    if not forwarded:
        return scope
    peer, port = scope["client"] or ("", 0)
    return {
        **scope,
        "headers": [pair for pair in scope["headers"] if not pair[0].startswith(b"x-forwarded-")],
        "client": (client_address(peer, forwarded, trusted), port),
        "scheme": client_scheme(peer, scope["scheme"], forwarded, trusted),
    }


def would_reach_view(request: WebRequest) -> bool:
    """Return whether Django would hand a request on: its host is ours, and it need not be HTTPS."""
    if PROBED.match(request.scope["path"]):
        return True
    if not _is_our_host(request.headers.get("host", "")):
        return False
    return request.scope["scheme"] == "https" or not _redirects(request.scope["path"])


@lru_cache(maxsize=256)
def _is_our_host(host: str) -> bool:
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


def _redirects(path: str) -> bool:
    exempt = settings.SECURE_REDIRECT_EXEMPT
    return settings.SECURE_SSL_REDIRECT and not any(
        re.search(pattern, path.lstrip("/")) for pattern in exempt
    )


@cache
def headers_of_every_answer(scheme: str) -> Headers:
    """Return what Django's middleware adds to any answer to a request of this scheme."""
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/health/alive",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "0",
        "wsgi.url_scheme": scheme,
        "wsgi.input": io.BytesIO(),
    }

    def handler(request: Any) -> HttpResponse:
        return HttpResponse()

    for name in reversed([each for each in settings.MIDDLEWARE if each in _ADDS_HEADERS]):
        handler = import_string(name)(handler)
    response = handler(WSGIRequest(environ))
    return tuple((name, value) for name, value in response.items() if name != "Content-Type")


def with_common_headers(answer: WebAnswer, scheme: str) -> WebAnswer:
    """Return the answer with what Django adds to each, unless Django did so."""
    headers = _merged(answer.headers, headers_of_every_answer(scheme))
    return WebAnswer(answer.status, headers, answer.body, answer.seconds)


@lru_cache(2048)  # answers of one kind have the same
def _merged(headers: Headers, common: Headers) -> Headers:
    names = {name.lower() for name, _ in headers}
    return (*headers, *(pair for pair in common if pair[0].lower() not in names))
