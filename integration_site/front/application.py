"""The ASGI application: what the front answers itself, and Django for all the rest."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from starlette.routing import Route, Router

from core.api.errors import CONTENT_TYPE, problem
from core.api.exchange import WebAnswer, WebRequest
from core.api.middleware import log_answered
from integration_site.front.django_pool import DjangoPool
from integration_site.front.receiving import (
    BodyTooLarge,
    Disconnected,
    Receive,
    TooSlow,
    receive_body,
)

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Shortcut(Protocol):
    """A way to answer requests of one path without a thread each."""

    async def answer(self, request: WebRequest) -> WebAnswer | None:
        """Return the answer that Django would give, or None to have it asked."""


class Front:
    """An ASGI application in front of Django's.

    `shortcuts` are tried for their canonical path, written as Starlette writes paths.
    """

    def __init__(self, django: DjangoPool, shortcuts: dict[str, Shortcut]) -> None:
        self._django = django
        routes = [Route(path, _Endpoint(self, shortcut)) for path, shortcut in shortcuts.items()]
        self._router = Router(routes, default=_Endpoint(self, None), redirect_slashes=False)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            request = WebRequest.of(scope)
            routed = {**scope, "path": request.path, "hub.request": request}
            await self._router(routed, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._django.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def handle(
        self, request: WebRequest, shortcut: Shortcut | None, receive: Receive, send: Send
    ) -> None:
        """Answer a request."""
        try:
            request.body = await receive_body(request, receive)
            answer = await _shortened(request, shortcut) if shortcut else None
            if answer is None:
                answer = await self._django.answer(request, caller=caller_of(request))
        except Disconnected:
            return
        except BodyTooLarge:
            answer = refuse(request, 413, "The request is larger than 2 MiB.")
        except TooSlow:
            answer = refuse(request, 408, "The request did not come in time.")
        await send_answer(answer, request, send)


class _Endpoint:
    """What Starlette's router calls."""

    def __init__(self, front: Front, shortcut: Shortcut | None) -> None:
        self._front = front
        self._shortcut = shortcut

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._front.handle(scope["hub.request"], self._shortcut, receive, send)


async def _shortened(request: WebRequest, shortcut: Shortcut) -> WebAnswer | None:
    """Return the answer of a shortcut, which is logged as Django logs its own."""
    began = time.perf_counter()
    answer = await shortcut.answer(request)
    if answer is not None:
        seconds, path = time.perf_counter() - began, request.scope["path"]
        request_id = request.request_id
        log_answered(request.method, path, answer.status, seconds, request_id=request_id)
    return answer


def caller_of(request: WebRequest) -> str:
    """Return by what a request is counted with others of the same caller."""
    return request.headers.get("authorization") or request.address


def refuse(request: WebRequest, status: int, detail: str, **headers: str) -> WebAnswer:
    """Return a problem document of the front's own."""
    body = problem(status, detail) | {"request_id": request.request_id}
    return WebAnswer(
        status,
        (("Content-Type", CONTENT_TYPE), *headers.items()),
        json.dumps(body).encode(),
    )


async def send_answer(answer: WebAnswer, request: WebRequest, send: Send) -> None:
    """Send an answer under the id of its request."""
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in answer.headers
        if name.lower() not in ("x-request-id", "content-length")
    ]
    headers.append((b"x-request-id", request.request_id.encode("latin-1")))
    if answer.status not in (204, 304):
        headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
