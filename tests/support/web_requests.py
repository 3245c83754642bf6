"""Requests as the front has them, and how Django answers them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections

from core.api.exchange import WebAnswer, WebRequest
from core.api.suspension import Suspension
from integration_site.front.django_pool import run_wsgi

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def web_request(
    path: str,
    body: Any = None,
    *,
    key: str = "",
    method: str = "POST",
    query: str = "",
    headers: Mapping[str, str] | None = None,
    scheme: str = "http",
    peer: str = "127.0.0.1",
) -> WebRequest:
    """A request with a body of JSON; of bytes, they are the body."""
    sent = {
        "host": "localhost:8000",
        "content-type": "application/json",
        "x-request-id": "request-1",
        **({"authorization": f"Bearer {key}"} if key else {}),
        **(headers or {}),
    }
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in sent.items()],
        "client": (peer, 40000),
        "server": ("127.0.0.1", 8000),
        "scheme": scheme,
        "http_version": "1.1",
    }
    request = WebRequest.of(scope)
    request.body = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    return request


@cache
def django() -> Any:
    """Django's WSGI application."""
    return get_wsgi_application()


def by_django(request: WebRequest) -> WebAnswer:
    """What the front would be answered by Django."""
    # As the test client does: the connection is that of the test.
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    try:
        return run_wsgi(django(), request, Suspension())
    finally:
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)


def comparable(answer: WebAnswer) -> tuple[int, list[tuple[str, str]], str]:
    """An answer without what differs of two rows that were made alike: ids and times."""
    numbers: dict[str, str] = {}

    def number(match: re.Match[str]) -> str:
        return numbers.setdefault(match[0], f"id-{len(numbers)}")

    def plain(text: str) -> str:
        return _TIME.sub("time", _ID.sub(number, text))

    body = plain(answer.body.decode())
    skipped = ("x-request-id", "content-length", "retry-after")
    headers = [
        (name.lower(), plain(value))
        for name, value in answer.headers
        if name.lower() not in skipped
    ]
    return answer.status, sorted(headers), body
