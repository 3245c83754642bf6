"""The ASGI application: what the front answers itself, and Django for all the rest."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from functools import lru_cache
from time import perf_counter
from typing import Any, Protocol

import structlog
from django.conf import settings
from starlette.routing import Match, Route

from core.api.errors import CONTENT_TYPE, problem
from core.api.exchange import WebAnswer, WebRequest, WebStream
from core.api.known_keys import known_keys
from core.api.middleware import PROBED, log_answered
from core.api.stopping import on_stopping
from core.api.suspension import Suspension
from core.peers import client_address
from integration_site.front.django_middleware import (
    as_the_client_sent,
    with_common_headers,
    would_reach_view,
)
from integration_site.front.django_pool import DjangoPool, run_wsgi
from integration_site.front.quotas import (
    Bounds,
    Disconnected,
    Lane,
    Quota,
    Receive,
    Refused,
    Visit,
)
from integration_site.front.receiving import Receiving
from integration_site.front.sending import Send, Sending
from registry.calls.loop_client import close_client_of_loop

logger = structlog.get_logger(__name__)

ALIVE = "/health/alive"
# What must be answered whatever else goes on, by canonical path.
VITAL = re.compile(r"/health/(alive|ready)|/services/[^/]+/heartbeat")
# Of paths asked for lately it is known where they lead.
REMEMBERED_PATHS, LONGEST_REMEMBERED = 4096, 200
MIB = 1024 * 1024
MOST_UNDER_WAY, MOST_WAITING = 8192, 8192
RECEIVED = Bounds("bytes of unfinished requests", 64 * MIB, 64 * MIB, 128 * MIB)


class Shortcut(Protocol):
    """A way to answer requests of one path without a thread each."""

    async def answer(self, request: WebRequest) -> WebAnswer | None:
        """Return the answer that Django would give, or None to have it asked."""


class StreamingShortcut(Protocol):
    """A shortcut that may also give a stream, which Django cannot: it has no end."""

    async def answer(self, request: WebRequest) -> WebAnswer | WebStream | None:
        """Return the answer of Django, a stream, or None to have Django asked."""


class Front:
    """An ASGI application in front of Django's.

    `shortcuts` are tried for their canonical path, written as Starlette writes paths. `vital` are
    threads for heartbeats and the health of the hub, which nobody else can use up. `on_start` are
    called on the loop before the first request.
    """

    def __init__(
        self,
        django: DjangoPool,
        shortcuts: Mapping[str, StreamingShortcut],
        *,
        vital: DjangoPool | None = None,
        on_start: Sequence[Callable[[], object]] = (),
    ) -> None:
        self._pools = {False: django, True: vital or django}
        self._lanes = {is_vital: _new_lane() for is_vital in self._pools}
        self._receiving = Receiving(Quota(RECEIVED))
        self._sending = Sending()
        self._on_start = on_start
        self._shortcuts = ShortcutsByPath(shortcuts)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            scope = as_the_client_sent(scope, settings.TRUSTED_PROXIES)
            request = WebRequest.of(scope)
            await self._handle(request, self._shortcuts.find(request.path), receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        for start in self._on_start:
            start()
        on_stopping(self._receiving.hurry)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for pool in self._pools.values():
            pool.close()
        await close_client_of_loop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _handle(
        self, request: WebRequest, shortcut: StreamingShortcut | None, receive: Receive, send: Send
    ) -> None:
        """Answer a request."""
        try:
            answer = await self._answer(request, shortcut, receive, send)
        except Disconnected:
            return
        except Refused as refusal:
            after = refusal.retry_after
            headers = {} if after is None else {"Retry-After": str(after)}
            answer = refuse(request, refusal.status, refusal.detail, **headers)
            _log(request, answer, 0.0)
        except asyncio.CancelledError:
            # uvicorn has waited for it as long as it may.
            text = "This process stops before it could answer. Try again."
            answer = refuse(request, 503, text, **{"Retry-After": "1"})
            _log(request, answer, 0.0)
        except Exception:
            logger.exception("request_failed", request_id=request.request_id)
            text = "Something went wrong here; it was logged."
            answer = refuse(request, 500, text)
        if answer is not None:
            await self._sending.send(
                with_common_headers(answer, request.scope["scheme"]), request, send
            )

    async def _answer(
        self, request: WebRequest, shortcut: StreamingShortcut | None, receive: Receive, send: Send
    ) -> WebAnswer | None:
        """Return the answer to a request; None where it was a stream, which is over."""
        request.body = await self._receiving.body_of(request, receive)
        is_vital = bool(VITAL.fullmatch(request.path))
        visit = Visit(request, caller_of(request), self._lanes[is_vital])
        request.set_aside = visit.set_aside
        visit.begin()
        try:
            self._receiving.keep(request)
        except Refused:
            visit.end()
            raise
        try:
            if shortcut is not None and would_reach_view(request):
                started = perf_counter()
                answer = await shortcut.answer(request)
                if isinstance(answer, WebStream):
                    await self._stream(answer, request, visit, send)
                    return None
                if answer is not None:
                    _log(request, answer, perf_counter() - started)
                    return answer
            is_health = is_vital and request.method == "GET"
            pool = self._pools[is_vital]
            return await pool.answer(request, caller=visit.caller, visit=visit, alike=is_health)
        finally:
            self._receiving.let_go(request)
            visit.end()

    async def _stream(
        self, stream: WebStream, request: WebRequest, visit: Visit, send: Send
    ) -> None:
        """Send a stream until it ends or the caller leaves; it counts as one that waits.

        Raises:
            Refused: more wait than may, and nothing was sent.
            Disconnected: the caller is gone.
        """
        head = with_common_headers(WebAnswer(200, stream.headers), request.scope["scheme"])
        async with aclosing(stream.parts) as parts:
            # Others have to hear at once that nobody takes it any more.
            with visit.set_aside(), visit.while_connected():
                started = perf_counter()
                try:
                    await self._sending.stream(head, parts, request, send)
                except Exception:
                    # What was begun cannot become another answer.
                    logger.exception("stream_failed", request_id=request.request_id)
                _log(request, head, perf_counter() - started)


def _new_lane() -> Lane:
    return Lane(
        Quota(
            Bounds(
                "requests under way",
                settings.REQUESTS_PER_CALLER,
                settings.REQUESTS_PER_ADDRESS,
                MOST_UNDER_WAY,
                "REQUESTS_PER_CALLER",
                "REQUESTS_PER_ADDRESS",
            )
        ),
        Quota(
            Bounds(
                "waiting requests",
                settings.WAITS_PER_CALLER,
                settings.WAITS_PER_ADDRESS,
                MOST_WAITING,
                "WAITS_PER_CALLER",
                "WAITS_PER_ADDRESS",
            )
        ),
    )


class ShortcutsByPath:
    """Finds the shortcut of a canonical path; those asked for lately are remembered."""

    def __init__(self, shortcuts: Mapping[str, StreamingShortcut]) -> None:
        self._routes = [(Route(path, _is_routed), each) for path, each in shortcuts.items()]
        self._remembered = lru_cache(REMEMBERED_PATHS)(self._match)

    def find(self, path: str) -> StreamingShortcut | None:
        return (self._remembered if len(path) <= LONGEST_REMEMBERED else self._match)(path)

    def _match(self, path: str) -> StreamingShortcut | None:
        scope = {"type": "http", "path": path, "method": "GET"}
        found = (each for route, each in self._routes if route.matches(scope)[0] is Match.FULL)
        return next(found, None)


def _is_routed(_: object) -> None:
    """Stand for the endpoint of a route, which is matched and not called."""


def _log(request: WebRequest, answer: WebAnswer, seconds: float) -> None:
    """Log an answer that is not Django's; one that is fine for DEBUG only.

    Writing the line would cost more than such an answer does.
    """
    path = request.scope["path"]
    fine = logging.DEBUG if answer.status < 400 else logging.INFO
    log_answered(
        request.method, path, answer.status, seconds, fine=fine, request_id=request.request_id
    )


class Alive:
    """Answers `/health/alive` as Django did at the start, whatever its threads are busy with."""

    def __init__(self, application: Callable[..., Any]) -> None:
        self._answers = {
            scheme: run_wsgi(application, _request_of(ALIVE, scheme), Suspension())
            for scheme in ("http", "https")
        }

    async def answer(self, request: WebRequest) -> WebAnswer | None:
        if request.method not in ("GET", "HEAD") or not PROBED.match(request.scope["path"]):
            return None
        return self._answers[request.scope["scheme"]]


def _request_of(path: str, scheme: str) -> WebRequest:
    scope = {
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "http_version": "1.1",
        "scheme": scheme,
        "headers": [],
    }
    return WebRequest.of(scope)


def caller_of(request: WebRequest) -> str:
    """Return by what a request is counted with others of the same caller; notes its key, if known.

    That is its key, if it is known here: who makes keys up is known by address.
    """
    request.known = known_keys().recall(request.headers, request.address)
    if request.known is not None:
        return request.known.caller.id
    return client_address(request.address, request.headers, settings.TRUSTED_PROXIES)


def refuse(request: WebRequest, status: int, detail: str, **headers: str) -> WebAnswer:
    """Return a problem document of the front's own."""
    body = problem(status, detail) | {"request_id": request.request_id}
    return WebAnswer(
        status,
        (("Content-Type", CONTENT_TYPE), *headers.items()),
        json.dumps(body).encode(),
    )
