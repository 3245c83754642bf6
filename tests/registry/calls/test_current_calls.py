"""What was committed before a call came holds for it, in whatever process and memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rest_framework.test import APIClient

from registry.models import Service, ServiceInstance
from tests import factories
from tests.support.credentials import fields_of
from tests.support.integrations import echoing, own_client

pytestmark = pytest.mark.django_db(transaction=True)


class EchoService:
    """A service that is called by name and over a connection, and what it was sent last."""

    def __init__(self, service: Service, told: dict[str, Any]) -> None:
        self.api: APIClient = factories.caller(role="OPERATOR", scopes=_SCOPES)
        self.service: Service = service
        self.told: dict[str, Any] = told
        self.url: str = service.instances.get().url
        made = fields_of("BEARER_TOKEN", name="key", allowed_origins=[self.url])
        self._must(self.api.post("/registry/credentials", made), 201)
        self.change("service", {"credential": "key"})
        body = {"name": "line", "type": "HTTP", "base_url": self.url, "credential": "key"}
        self._must(self.api.post("/registry/connections", body), 201)
        target = {"connection": "line", "path": "/echo"}
        self._must(self.api.post("/integrations", {"name": "over", "target": target}), 201)

    def _must(self, answer: Any, status: int = 200) -> None:
        assert answer.status_code == status, answer.content

    def change(self, kind: str, body: dict[str, Any]) -> None:
        name = {"service": self.service.name, "connection": "line", "credential": "key"}[kind]
        self._must(self.api.patch(f"/registry/{kind}s/{name}", body))

    def put_status(self, status: str) -> None:
        self._must(self.api.put(f"/registry/services/{self.service.pk}/status", {"status": status}))

    def order(self, path: str, body: dict[str, Any]) -> None:
        self._must(self.api.post(path, body))

    def call(self, way: str) -> Any:
        path = {
            "service": f"/registry/services/{self.service.name}/actions/echo/execute",
            "connection": "/integrations/over/execute",
        }[way]
        return self.api.post(path, {"input_data": {}} if way == "service" else {"payload": {}})


_SCOPES = [
    "registry:read", "registry:write", "actions:execute", "credentials:read", "credentials:use",
    "credentials:write", "workflows:execute",
]  # fmt: skip


@pytest.fixture
def echo() -> Iterator[EchoService]:
    with own_client(), echoing() as (service, told):
        yield EchoService(service, told)


def _circuit(echo: EchoService) -> str:
    return f"/health/circuit-breakers/{ServiceInstance.objects.get(service=echo.service).pk}"


def _token(echo: EchoService) -> str:
    return str(echo.told["headers"].get("Authorization"))


# By what is changed: how it is called, the change, and how one sees that it holds.
CHANGES: dict[str, tuple[str, Callable[[EchoService], Any], Callable[[EchoService, Any], bool]]] = {
    "maintenance": (
        "service", lambda p: p.put_status("maintenance"), lambda p, a: a.status_code == 503,
    ),
    "an instance in maintenance": (
        "service",
        lambda p: p.api.put(
            f"/registry/services/{p.service.pk}/instances/{p.service.instances.get().pk}/status",
            {"status": "maintenance"},
        ),
        lambda p, a: a.status_code == 503,
    ),
    "a circuit is forced open": (
        "service",
        lambda p: p.order(f"{_circuit(p)}/open", {"reason": "x"}),
        lambda p, a: a.json().get("code") == "circuit_open",
    ),
    "the actions": (
        "service",
        lambda p: p.change("service", {"actions": ["other"]}),
        lambda p, a: a.status_code == 404,
    ),
    "the secret of a service": (
        "service",
        lambda p: p.change("credential", {"secret": {"token": "the-new-one-1234567890"}}),
        lambda p, a: _token(p) == "Bearer the-new-one-1234567890",
    ),
    "no credential any more": (
        "service", lambda p: p.change("service", {"credential": None}),
        lambda p, a: _token(p) == "None",
    ),
    "the secret of a connection": (
        "connection",
        lambda p: p.change("credential", {"secret": {"token": "the-new-one-1234567890"}}),
        lambda p, a: _token(p) == "Bearer the-new-one-1234567890",
    ),
    "a connection is switched off": (
        "connection",
        lambda p: p.order("/registry/connections/line/disable", {"reason": "x"}),
        lambda p, a: a.status_code == 503,
    ),
    "the address of a connection": (
        "connection",
        lambda p: p.change("connection", {"base_url": f"{p.url}/nowhere"}),
        lambda p, a: a.status_code == 502,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_call_goes_by_what_was_committed_before_it(echo: EchoService, name: str) -> None:
    way, change, holds = CHANGES[name]
    for _ in range(2):
        before = echo.call(way)
        assert before.status_code == 200, before.content
        assert not holds(echo, before)
    change(echo)
    after = echo.call(way)
    assert holds(echo, after), after.content
