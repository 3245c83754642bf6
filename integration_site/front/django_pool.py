"""Runs Django's WSGI application in threads, for requests that are complete."""

from __future__ import annotations

import asyncio
import io
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any
from urllib.parse import unquote_to_bytes

from django.core.signals import request_finished

from core.api.errors import CONTENT_TYPE
from core.api.exchange import Headers, WebAnswer, WebRequest
from core.api.suspension import ENVIRON_KEY, Suspended, Suspension
from integration_site.front.fair_slots import FairSlots
from integration_site.front.quotas import Disconnected, Refused, Visit

# What two requests may differ in and still be answered alike.
_OF_ONE_REQUEST = frozenset({"x-request-id", "traceparent", "tracestate", "content-length"})


class DjangoPool:
    """A bounded number of threads that answer requests; those set aside hold none of them.

    No caller holds more than `share` of the threads.
    """

    def __init__(self, application: Callable[..., Any], *, threads: int, share: int) -> None:
        self._application = application
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="django")
        self._slots = FairSlots(threads, share=share)
        self._wakeups = _Wakeups()
        self._runs: dict[object, asyncio.Task[WebAnswer]] = {}
        self._closed_too: list[Callable[[], None]] = []

    async def answer(
        self, request: WebRequest, *, caller: str, visit: Visit | None = None, alike: bool = False
    ) -> WebAnswer:
        """Return the answer of Django; a request that has to wait gives up its thread meanwhile.

        `visit` bounds who waits, and ends when its caller leaves. With `alike`, the answer may be
        that to a like request which waits for a thread too.

        Raises:
            Refused: more wait than may.
            Disconnected: the caller is gone, and nothing was begun that has to be ended.
        """
        suspension, answer = request.suspension or Suspension(), SET_ASIDE
        if alike:
            answer = await self._run_once(request, suspension, caller)
        elif suspension.awaited is None:
            answer = await self._run(request, suspension, caller, visit)
        while suspension.awaited is not None:
            awaited, suspension.awaited = suspension.awaited, None
            try:
                with visit.set_aside() if visit else nullcontext():
                    await self._wakeups.wait_for(awaited)
            except (Refused, Disconnected):
                awaited.cancel()
                raise
            answer = await self._run_once(request, suspension, caller)
        return answer

    def close(self) -> None:
        """Take no more work; what runs is finished."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        for close in self._closed_too:
            close()

    def close_too(self, close: Callable[[], None]) -> None:
        """Have what stands in front of these threads closed with them."""
        self._closed_too.append(close)

    async def _run(
        self,
        request: WebRequest,
        suspension: Suspension,
        caller: str,
        visit: Visit | None = None,
    ) -> WebAnswer:
        """Run a request in its turn; with `visit`, only if its caller stays until then."""
        if not self._slots.take_free(caller):
            with visit.while_connected() if visit else nullcontext():
                await self._slots.take_turn(caller)
        try:
            return await self._in_thread(request, suspension)
        finally:
            self._slots.give_back(caller)

    async def _in_thread(self, request: WebRequest, suspension: Suspension) -> WebAnswer:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._executor, run_wsgi, self._application, request, suspension
        )

    async def _run_once(
        self, request: WebRequest, suspension: Suspension, caller: str
    ) -> WebAnswer:
        """Run a request; reads that are alike and wait for a thread together are run once.

        Two thousand who watch the same thing are answered by one look at it.
        """
        if request.method != "GET":
            return await self._run(request, suspension, caller)
        alike = _likeness(request)
        run = self._runs.get(alike)
        if run is None:
            run = asyncio.create_task(self._run_alike(alike, request, suspension, caller))
            self._runs[alike] = run
            return await asyncio.shield(run)
        answer = await asyncio.shield(run)
        if answer is not SET_ASIDE and not _is_of_one_request(answer):
            return answer
        return await self._run(request, suspension, caller)

    async def _run_alike(
        self, alike: object, request: WebRequest, suspension: Suspension, caller: str
    ) -> WebAnswer:
        try:
            if not self._slots.take_free(caller):
                await self._slots.take_turn(caller)
        finally:
            # Who comes from now on may have been told of something newer.
            del self._runs[alike]
        try:
            return await self._in_thread(request, suspension)
        finally:
            self._slots.give_back(caller)


def _likeness(request: WebRequest) -> object:
    scope = request.scope
    headers = ((k, v) for k, v in request.headers.items() if k not in _OF_ONE_REQUEST)
    return (
        scope["raw_path"], scope["query_string"], scope["scheme"], request.address, *sorted(headers)
    )  # fmt: skip


def _is_of_one_request(answer: WebAnswer) -> bool:
    """Return whether an answer names the request that it is for, as problem documents do."""
    return answer.status >= 400 and ("Content-Type", CONTENT_TYPE) in answer.headers


class _Wakeups:
    """Lets coroutines wait for futures that threads finish: many are woken by one call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._woken: list[asyncio.Future[None]] = []

    async def wait_for(self, future: Future[Any]) -> None:
        """Wait until a future is done, however it ends."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        future.add_done_callback(lambda _: self._wake_soon(turn, loop))
        await turn

    def _wake_soon(self, turn: asyncio.Future[None], loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            self._woken.append(turn)
            is_on_its_way = len(self._woken) > 1
        if not is_on_its_way and not loop.is_closed():
            loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        with self._lock:
            woken, self._woken = self._woken, []
        for turn in woken:
            if not turn.done():
                turn.set_result(None)


SET_ASIDE = WebAnswer(503)


def run_wsgi(
    application: Callable[..., Any], request: WebRequest, suspension: Suspension
) -> WebAnswer:
    """Have a WSGI application answer, and return its whole answer."""
    started = time.perf_counter()
    status = 500
    head: Headers = ()
    written: list[bytes] = []

    def start_response(line: str, headers: Any, exc_info: Any = None) -> Callable[..., Any]:
        nonlocal status, head
        status, head = int(line[:3]), tuple(headers)
        return written.append

    try:
        chunks = application(environ_of(request, suspension), start_response)
    except Suspended:
        request_finished.send(sender=run_wsgi)  # gives the database connection back
        return SET_ASIDE
    try:
        written.extend(chunks)
    finally:
        if hasattr(chunks, "close"):
            chunks.close()
    return WebAnswer(status, head, b"".join(written), seconds=time.perf_counter() - started)


def environ_of(request: WebRequest, suspension: Suspension) -> dict[str, Any]:
    """Return the WSGI environment (PEP 3333) of a request."""
    scope = request.scope
    host, port = scope.get("server") or ("localhost", 80)
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "RAW_URI": scope["raw_path"].decode("latin-1"),
        "QUERY_STRING": request.query,
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": str(host),
        "SERVER_PORT": str(port or 0),
        "REMOTE_ADDR": request.address,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        ENVIRON_KEY: suspension,
        **request.environ,
    }
    for name, value in request.headers.items():
        environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
    environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE", "")
    environ.pop("HTTP_CONTENT_LENGTH", None)
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    environ["CONTENT_LENGTH"] = str(len(request.body))
    environ["HTTP_X_REQUEST_ID"] = request.request_id
    return environ
