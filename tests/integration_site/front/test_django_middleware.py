"""What the front does in place of Django's middleware is what Django does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.wsgi import get_wsgi_application

from core.api.exchange import WebAnswer, WebRequest
from core.api.suspension import Suspension
from integration_site.front import django_middleware
from integration_site.front.application import ALIVE, Alive, refuse
from integration_site.front.django_middleware import (
    as_the_client_sent,
    with_common_headers,
    would_reach_view,
)
from integration_site.front.django_pool import run_wsgi
from tests.integration_site.front.running import head, read_to_end, running_front

pytestmark = pytest.mark.once
Wsgi = Callable[..., Any]


@pytest.fixture
def production(settings: Any) -> Iterator[None]:
    settings.ALLOWED_HOSTS = ["localhost", ".example.org"]
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_REDIRECT_EXEMPT = [r"^(api/)?health/(alive|ready)/?$"]
    settings.SECURE_HSTS_SECONDS = 1000
    django_middleware.headers_of_every_answer.cache_clear()
    yield
    django_middleware.headers_of_every_answer.cache_clear()


@pytest.fixture
def django(production: None) -> Wsgi:
    return get_wsgi_application()  # its middleware reads the settings when it is made


def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call as the front does: in a thread without a connection that a test has opened."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(function, *arguments).result()


def answer_of(django: Wsgi, request: WebRequest) -> WebAnswer:
    answer: WebAnswer = in_thread(run_wsgi, django, request, Suspension())
    return answer


def request_for(path: str, *, host: str = "localhost", scheme: str = "https") -> WebRequest:
    scope = {
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "http_version": "1.1",
        "scheme": scheme,
        "client": ("127.0.0.1", 1),
        "headers": [(b"host", host.encode())],
    }
    return WebRequest.of(scope)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_own_answers_have_the_headers_of_djangos(django: Wsgi, scheme: str) -> None:
    request = request_for("/api/health/ready/nothing", scheme="https")
    request.scope["scheme"] = scheme
    theirs = dict(answer_of(django, request_for("/api/health/alive", scheme=scheme)).headers)
    ours = dict(with_common_headers(refuse(request, 429, "Wait."), scheme).headers)
    own = {"Content-Type", "Content-Length", "Allow", "X-Request-ID"}
    assert {k: v for k, v in ours.items() if k not in own} == {
        k: v for k, v in theirs.items() if k not in own
    }
    assert ("Strict-Transport-Security" in ours) == (scheme == "https")


@pytest.mark.parametrize("path", ["/health/alive", "/api/health/alive/", "/api/services"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "host", ["localhost:8090", "a.example.org", "example.org.", "evil.org", "", "[::1", "a b", "_"]
)
def test_request_reaches_a_view_where_django_lets_it(
    django: Wsgi, path: str, scheme: str, host: str
) -> None:
    request = request_for(path, host=host, scheme=scheme)
    status = answer_of(django, request).status
    assert would_reach_view(request) == (status not in (301, 400))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/health/alive", "/api/health/alive/"])
def test_alive_is_answered_as_by_django(django: Wsgi, path: str, method: str) -> None:
    def without_django(environ: dict[str, Any], start_response: Wsgi) -> list[bytes]:
        raise AssertionError("Django was asked")

    fields = ("Host: 10.1.2.3", "X-Request-ID: one", "Connection: close")
    sent = head(path, *fields, method=method).replace(b"Host: localhost\r\n", b"")
    answers = []
    for application, shortcuts in (
        (django, {}),
        (without_django, {ALIVE: in_thread(Alive, django)}),
    ):
        with running_front(application, shortcuts) as front, front.connect(sent) as peer:
            lines = read_to_end(peer).split(b"\r\n")
            answers.append(sorted(line for line in lines if not line.startswith(b"date:")))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("path", ["/registry/health/alive", "/health/alive"])
def test_what_is_not_alive_is_left_to_django(django: Wsgi, path: str) -> None:
    method = "GET" if path.startswith("/registry") else "POST"
    with running_front(django, {ALIVE: in_thread(Alive, django)}) as front:
        assert front.get(path, method=method).split(b" ")[1] in (b"404", b"405", b"301")


@pytest.mark.parametrize(
    ("peer", "address", "scheme"),
    [("10.0.0.1", "198.51.100.7", "https"), ("192.0.2.1", "192.0.2.1", "http")],
)
def test_forwarded_fields_count_if_a_trusted_proxy_sent_them(
    peer: str, address: str, scheme: str
) -> None:
    headers = [
        (b"x-forwarded-for", b"203.0.113.1"),
        (b"host", b"a"),
        (b"x-forwarded-for", b"198.51.100.7"),
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-host", b"evil"),
    ]
    scope = {"client": (peer, 7), "scheme": "http", "headers": headers}
    seen = as_the_client_sent(scope, ["10.0.0.0/8"])
    assert seen == {"client": (address, 7), "scheme": scheme, "headers": [(b"host", b"a")]}
