"""A scripted hub behind the client: answers in order, and remembers what it was sent."""

from __future__ import annotations

import json
from typing import Any

import httpx2

from service_integration_client import (
    CircuitBreaker,
    ServiceIntegrationClient,
    SyncServiceIntegrationClient,
)
from service_integration_client.breaker import is_outage_of_hub

BASE_URL = "http://hub.test:8090/api"
NOT_OPERATIONS = {"close", "aclose"}
OPERATIONS = sorted(
    name
    for name in dir(ServiceIntegrationClient)
    if not name.startswith(("_", "awaits_")) and name not in NOT_OPERATIONS
)


class FakeHub:
    """`answers` are responses or errors to raise; the last one is repeated."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers) or [httpx2.Response(200, json={})]
        self.requests: list[httpx2.Request] = []
        self.slept: list[float] = []

    @property
    def transport(self) -> httpx2.MockTransport:
        return httpx2.MockTransport(self._answer)

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx2.Response(answer.status_code, headers=answer.headers, content=answer.content)

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.requests if request.content]

    def paths(self) -> list[str]:
        return [f"{request.method} {request.url.raw_path.decode()}" for request in self.requests]

    def client(self, kind: Any = SyncServiceIntegrationClient, **options: Any) -> Any:
        """Return a client of this hub; for its breaker, time passes by sleeping."""
        breaker = CircuitBreaker(is_failure=is_outage_of_hub, clock=lambda: sum(self.slept))
        defaults = {
            "base_url": BASE_URL,
            "transport": self.transport,
            "sleep": self.slept.append,
            "circuit_breaker": breaker,
        }
        return kind(**{**defaults, **options})


def answer(status: int, body: Any = None, **headers: str) -> httpx2.Response:
    content = b"" if body is None else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.Response(status, content=content, headers=named)


def problem(status: int, code: str, message: str, **more: Any) -> httpx2.Response:
    headers = more.pop("headers", {})
    body = {"status": status, "code": code, "detail": message, "message": message, **more}
    return answer(status, body, content_type="application/problem+json", **headers)
