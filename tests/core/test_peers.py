"""Whose address and scheme a request has, when proxies stand between."""

from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from core.api.middleware import ForwardedMiddleware
from core.peers import client_address, client_scheme, is_in_networks
from tests import factories

TRUSTED = ["10.0.0.0/8", "fd00::/8"]


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        # Whoever is no proxy of ours says what it likes.
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("fd00::1", "2001:DB8::7", "2001:db8::7"),
        # The right-most that is not trusted, whatever was sent to it.
        ("10.0.0.1", "127.0.0.1, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "127.0.0.1, 198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("10.0.0.1", "198.51.100.7,::ffff:10.0.0.2", "198.51.100.7"),
        # All are ours: the one that began.
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        # With a port, as some proxies write it.
        ("10.0.0.1", "198.51.100.7:4711", "198.51.100.7"),
        ("10.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"),
        ("10.0.0.1", "[2001:db8::7]", "2001:db8::7"),
        # What cannot be read is not passed over: before it anything may stand.
        ("10.0.0.1", "198.51.100.7, unknown", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7, unknown, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "198.51.100.7,", "10.0.0.1"),
        ("10.0.0.1", ",".join(["1.1.1.1"] * 5000), "1.1.1.1"),
        ("", "198.51.100.7", ""),
        ("unix:", "198.51.100.7", "unix:"),
    ],
)
def test_the_client_is_the_right_most_that_is_no_proxy(
    peer: str, forwarded_for: str, client: str
) -> None:
    assert client_address(peer, {"x-forwarded-for": forwarded_for}, TRUSTED) == client
    assert client_address(peer, {"x-forwarded-for": forwarded_for}, []) == peer


@pytest.mark.parametrize(
    ("peer", "said", "scheme"),
    [
        ("10.0.0.1", "https", "https"),
        ("10.0.0.1", "HTTPS", "https"),
        ("10.0.0.1", "https, http", "http"),
        ("10.0.0.1", "http,https", "https"),
        ("10.0.0.1", "wss", "http"),
        ("10.0.0.1", "", "http"),
        ("192.0.2.1", "https", "http"),
    ],
)
def test_the_scheme_is_what_a_proxy_of_ours_says(peer: str, said: str, scheme: str) -> None:
    assert client_scheme(peer, "http", {"x-forwarded-proto": said}, TRUSTED) == scheme


def test_nothing_is_in_networks_that_is_no_address() -> None:
    assert not is_in_networks("unix:", ["0.0.0.0/0", "::/0"])
    assert not is_in_networks("10.0.0.1", [])


def _request_of(peer: str, **headers: str) -> HttpRequest:
    requests: list[HttpRequest] = []
    middleware = ForwardedMiddleware(lambda request: requests.append(request) or HttpResponse())  # type: ignore[func-returns-value]
    middleware(RequestFactory().get("/", REMOTE_ADDR=peer, headers=headers))
    return requests[0]


@pytest.mark.parametrize(
    ("peer", "address", "is_secure"),
    [("10.0.0.1", "198.51.100.7", True), ("192.0.2.1", "192.0.2.1", False)],
)
def test_what_follows_sees_the_client_and_no_header_of_it(
    settings: Any, peer: str, address: str, is_secure: bool
) -> None:
    settings.TRUSTED_PROXIES = TRUSTED
    request = _request_of(
        peer,
        **{
            "X-Forwarded-For": "198.51.100.7",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "evil.example",
        },
    )
    assert (request.META["REMOTE_ADDR"], request.is_secure()) == (address, is_secure)
    assert not [name for name in request.META if "FORWARDED" in name]


@pytest.mark.django_db
def test_a_key_is_bound_to_the_networks_of_clients_behind_a_proxy(settings: Any) -> None:
    client = factories.caller("VIEWER", networks=["198.51.100.0/24"])
    sent: Any = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "198.51.100.7"}
    assert client.get("/registry/services", **sent).status_code == 401
    settings.TRUSTED_PROXIES = TRUSTED
    assert client.get("/registry/services", **sent).status_code == 200
    sent["HTTP_X_FORWARDED_FOR"] = "198.51.100.7, 192.0.2.1"
    assert client.get("/registry/services", **sent).status_code == 401
