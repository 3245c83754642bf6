"""Reads that wait on the event loop: for a change of the registry, or for an execution's end.

None of them costs a thread or a question of its own: what is waited for is looked for together, and
those who are answered alike are answered by one run of their view.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from math import inf
from typing import Generic, TypeVar
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
# Begins to wait for something, and returns what is True once it is there, False if nobody waits on.
Begin = Callable[[K, float], Future[bool]]
Ask = Callable[[], Awaitable[WebAnswer | None]]

_WHOLE = re.compile(r"(0|[1-9][0-9]{0,18})\Z")
_SECONDS = re.compile(r"(0|[1-9][0-9]?)(\.[0-9]{1,6})?\Z")
_UNCHANGED = b'"changed":false'
# Between looks at an answer that does not tell of the change that was heard of.
AGAIN_SECONDS = 0.05


class _Group:
    """Those who wait for the same and are answered alike."""

    def __init__(self) -> None:
        self.turns: set[asyncio.Future[WebAnswer | None]] = set()
        self.task: asyncio.Task[None] | None = None


class SharedWaits(Generic[K]):
    """Those who wait in coroutines: who are alike cost one future of `begin`, and one answer.

    For one event loop.
    """

    def __init__(self, begin: Begin[K]) -> None:
        self._begin = begin
        self._groups: dict[tuple[K, Hashable], _Group] = {}

    async def wait(self, key: K, alike: Hashable, ask: Ask, *, seconds: float) -> WebAnswer | None:
        """Return what `ask` of one of those who are alike gives once that is there.

        Raises:
            TimeoutError: it does not come so soon, or the process stops.
            Anything that `ask` raises.
        """
        loop = asyncio.get_running_loop()
        group = self._groups.get((key, alike))
        if group is None:
            group = self._groups[key, alike] = _Group()
            group.task = loop.create_task(self._lead(group, key, alike, ask))
        turn = loop.create_future()
        group.turns.add(turn)
        timer = loop.call_later(seconds, _end, turn)
        try:
            return await turn
        finally:
            timer.cancel()
            group.turns.discard(turn)
            if not group.turns and group.task is not None:
                self._close(group, key, alike)
                group.task.cancel()

    async def _lead(self, group: _Group, key: K, alike: Hashable, ask: Ask) -> None:
        answer: WebAnswer | None = None
        error: BaseException | None = None
        try:
            is_there = await asyncio.wrap_future(self._begin(key, inf))
            # Who comes from now on may know of something newer.
            self._close(group, key, alike)
            if is_there:
                answer = await ask()
            else:
                error = TimeoutError()
        except Exception as failure:
            error = failure
        finally:
            self._close(group, key, alike)
            group.task = None
        for turn in group.turns:
            if turn.done():
                continue
            if error is None:
                turn.set_result(answer)
            else:
                turn.set_exception(error)

    def _close(self, group: _Group, key: K, alike: Hashable) -> None:
        if self._groups.get((key, alike)) is group:
            del self._groups[key, alike]


def _end(turn: asyncio.Future[WebAnswer | None]) -> None:
    if not turn.done():
        turn.set_exception(TimeoutError())


class Watches:
    """Answers `/discovery/watch` with an index: as Django does where the wait is over."""

    def __init__(
        self, cached: CachedReads, django: DjangoPool, reads: Reads, waits: SharedWaits[int]
    ) -> None:
        self._cached = cached
        self._django = django
        self._reads = reads
        self._waits = waits

    async def answer(self, request: WebRequest) -> WebAnswer | None:
        query = _values(request, {"index": _WHOLE, "wait": _WHOLE})
        if query is None or "index" not in query or "if-none-match" in request.headers:
            return None
        index, seconds = int(query["index"]), int(query.get("wait", LONGEST_UNASKED))
        if seconds > LONGEST_WATCH or index >= 2**63:
            return None
        await self._reads.learn_key(request)
        over = f"index={index}&wait=0"
        read = self._reads.admit(request, over)
        if read is None:
            return None
        answer = await self._cached.read_for_all(_asking(request, over), read)
        if seconds and not _is_over(answer):
            ask = partial(self._ask, request, over, read)
            try:
                with request.set_aside():
                    answer = await self._waits.wait(index, read.key, ask, seconds=seconds)
            except TimeoutError:
                answer = await self._cached.read_for_all(_asking(request, over), read)
            if not await self._reads.still_admits(request, read):
                return await self._django.answer(_asking(request, over), caller="reads")
        return None if answer is None else with_rate(answer, read.decision)

    async def _ask(self, request: WebRequest, query: str, read: AdmittedRead) -> WebAnswer | None:
        """Return the answer that tells of the change; None where Django tells each another."""
        over = _asking(request, query)
        while True:
            answer = await self._cached.read_for_all(over, read)
            if _is_over(answer):
                return answer if answer is not None and answer.status == 200 else None
            await asyncio.sleep(AGAIN_SECONDS)


def _is_over(answer: WebAnswer | None) -> bool:
    return answer is None or answer.status != 200 or _UNCHANGED not in answer.body[:100]


class EndWaits:
    """Answers `/executions/{id}?wait=`: as Django does where the wait is over."""

    def __init__(self, django: DjangoPool, reads: Reads, waits: SharedWaits[UUID]) -> None:
        self._django = django
        self._reads = reads
        self._waits = waits
        self._runs: dict[Hashable, asyncio.Task[WebAnswer]] = {}

    async def answer(self, request: WebRequest) -> WebAnswer | None:
        query = _values(request, {"wait": _SECONDS})
        execution_id = _uuid_in(request.path)
        if not query or execution_id is None or float(query["wait"]) > LONGEST_WAIT:
            return None
        await self._reads.learn_key(request)
        read = self._reads.admit(request, "")
        if read is None or not read.known.caller.may("workflows:read"):
            return None
        seconds, key = float(query["wait"]), read.key
        try:
            with request.set_aside():
                ask = partial(self._ask_for_all, key, request)
                answer = await self._waits.wait(execution_id, key, ask, seconds=seconds)
        except TimeoutError:
            answer = await self._run(key, request)
        if not await self._reads.still_admits(request, read):
            return await self._django.answer(_asking(request, ""), caller="reads")
        return None if answer is None else with_rate(answer, read.decision)

    async def _ask_for_all(self, key: Hashable, request: WebRequest) -> WebAnswer | None:
        answer = await self._run(key, request)
        return answer if answer is not None and answer.status == 200 else None

    async def _run(self, key: Hashable, request: WebRequest) -> WebAnswer | None:
        """Have Django answer, once for those who are woken together and asked alike.

        None where the answer is one to somebody else, as problem documents are.
        """
        run = self._runs.get(key)
        if run is None:
            self._runs[key] = asyncio.ensure_future(self._ask(key, _asking(request, "")))
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


def _asking(request: WebRequest, query: str) -> WebRequest:
    """Return the request with another query."""
    scope = {**request.scope, "query_string": query.encode()}
    return replace(request, scope=scope)


def _uuid_in(path: str) -> UUID | None:
    try:
        return UUID(path.rpartition("/")[2])
    except ValueError:
        return None
