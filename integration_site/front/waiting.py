"""Reads that wait on the event loop: for a change of the registry, or for an execution's end.

None of them costs a thread or a question of its own: what is waited for is looked for together, and
those who are answered alike are answered by one run of their view.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import replace
from math import inf
from typing import Generic, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from core.api.exchange import WebAnswer, WebRequest
from integration_site.front.django_pool import DjangoPool
from integration_site.front.keeping import (
    AdmittedRead,
    CachedReads,
    Reads,
    for_everybody,
    with_rate,
)
from registry.api.discovery import LONGEST_UNASKED, LONGEST_WATCH
from workflows.api.serializers import LONGEST_WAIT

K = TypeVar("K", bound=Hashable)
# Begins to wait for something, and returns what is done once it is there.
Begin = Callable[[K, float], Future[bool]]

_WHOLE = re.compile(r"(0|[1-9][0-9]{0,18})\Z")
_SECONDS = re.compile(r"(0|[1-9][0-9]?)(\.[0-9]{1,6})?\Z")
_UNCHANGED = b'"changed":false'
# Between looks at an answer that does not tell of the change that was heard of.
AGAIN_SECONDS = 0.05


class LoopWaits(Generic[K]):
    """Those who wait in coroutines, by what for: one future of `begin` stands for all of a key.

    For one event loop.
    """

    def __init__(self, begin: Begin[K]) -> None:
        self._begin = begin
        self._waiting: dict[K, set[asyncio.Future[None]]] = {}
        self._futures: dict[K, Future[bool]] = {}

    async def wait(self, key: K, *, seconds: float) -> None:
        """Wait until it is there, at most so many seconds."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.setdefault(key, set()).add(turn)
        if key not in self._futures:
            self._follow(key, loop)
        timer = loop.call_later(seconds, _let_go, turn)
        try:
            await turn
        finally:
            timer.cancel()
            self._leave(key, turn)

    def _follow(self, key: K, loop: asyncio.AbstractEventLoop) -> None:
        future = self._futures[key] = self._begin(key, inf)
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._wake, key, future))

    def _wake(self, key: K, future: Future[bool]) -> None:
        if self._futures.get(key) is not future:
            return
        del self._futures[key]
        for turn in self._waiting.pop(key, ()):
            _let_go(turn)

    def _leave(self, key: K, turn: asyncio.Future[None]) -> None:
        waiting = self._waiting.get(key)
        if waiting is None:
            return
        waiting.discard(turn)
        if not waiting:
            del self._waiting[key]
            self._futures.pop(key).cancel()


def _let_go(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)


class Watches:
    """Answers `/discovery/watch` with an index: as Django does where the wait is over."""

    def __init__(self, cached: CachedReads, reads: Reads, waits: LoopWaits[int]) -> None:
        self._cached = cached
        self._reads = reads
        self._waits = waits

    async def answer(self, request: WebRequest) -> WebAnswer | None:
        query = _values(request, {"index": _WHOLE, "wait": _WHOLE})
        if query is None or "index" not in query or "if-none-match" in request.headers:
            return None
        index, seconds = int(query["index"]), int(query.get("wait", LONGEST_UNASKED))
        if seconds > LONGEST_WATCH or index >= 2**63:
            return None
        over = _asking(request, index=str(index), wait="0")
        read = self._reads.admit(over)
        if read is None:
            return None
        async with over.set_aside():
            return await self._answer(over, read, index, seconds)

    async def _answer(
        self, over: WebRequest, read: AdmittedRead, index: int, seconds: float
    ) -> WebAnswer | None:
        clock = asyncio.get_running_loop().time
        ends = clock() + seconds
        while True:
            answer = await self._cached.read(over, read)
            is_over = answer is None or answer.status != 200 or _UNCHANGED not in answer.body[:100]
            began = clock()
            if is_over or began >= ends:
                return answer
            await self._waits.wait(index, seconds=ends - began)
            if clock() - began < AGAIN_SECONDS:
                # What it was woken by is not in the answer that is cached.
                await asyncio.sleep(AGAIN_SECONDS)


class EndWaits:
    """Answers `/executions/{id}?wait=`: as Django does where the wait is over."""

    def __init__(self, django: DjangoPool, reads: Reads, waits: LoopWaits[UUID]) -> None:
        self._django = django
        self._reads = reads
        self._waits = waits
        self._runs: dict[Hashable, asyncio.Task[WebAnswer]] = {}

    async def answer(self, request: WebRequest) -> WebAnswer | None:
        query = _values(request, {"wait": _SECONDS})
        execution_id = _uuid_in(request.path)
        if not query or execution_id is None or float(query["wait"]) > LONGEST_WAIT:
            return None
        over = _asking(request)
        read = self._reads.admit(over)
        if read is None or not read.known.caller.may("workflows:read"):
            return None
        async with over.set_aside():
            await self._waits.wait(execution_id, seconds=float(query["wait"]))
            answer = await self._run(read.key, over)
        return None if answer is None else with_rate(answer, read.decision)

    async def _run(self, key: Hashable, over: WebRequest) -> WebAnswer | None:
        """Have Django answer, once for those who are woken together and asked alike.

        None where the answer is one to somebody else, as problem documents are.
        """
        run = self._runs.get(key)
        if run is None:
            self._runs[key] = asyncio.ensure_future(self._ask(key, over))
            return await asyncio.shield(self._runs[key])
        answer = await asyncio.shield(run)
        return answer if answer.status == 200 else None

    async def _ask(self, key: Hashable, over: WebRequest) -> WebAnswer:
        try:
            return for_everybody(await self._django.answer(over, caller="reads"))
        finally:
            del self._runs[key]


def _values(request: WebRequest, forms: dict[str, re.Pattern[str]]) -> dict[str, str] | None:
    """Return what a query has under these names; None where it is another one."""
    values: dict[str, str] = {}
    for pair in request.query.split("&"):
        name, _, value = pair.partition("=")
        if name in values or name not in forms or not forms[name].match(value):
            return None
        values[name] = value
    return values


def _asking(request: WebRequest, **query: str) -> WebRequest:
    """Return the request with another query."""
    scope = {**request.scope, "query_string": urlencode(query).encode()}
    return replace(request, scope=scope)


def _uuid_in(path: str) -> UUID | None:
    try:
        return UUID(path.rpartition("/")[2])
    except ValueError:
        return None
