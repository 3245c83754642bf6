"""Streams of events (Server-Sent Events, WHATWG HTML, section 9.2), all fed by one reader.

Django answers who may follow what, and what came since; what follows is read once for all.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar
from urllib.parse import parse_qs

import structlog
from django.db import DatabaseError, connection
from rest_framework.exceptions import APIException

from core.api.events import (
    STREAM_TYPE,
    Event,
    EventSources,
    Following,
    Marks,
    position_of,
    topics_for,
)
from core.api.exchange import WebAnswer, WebRequest, WebStream
from core.api.known_keys import NEWS as KEY_NEWS
from core.api.known_keys import KnownKeys, key_in
from core.api.stopping import on_stopping
from core.api.waiters import own_file
from core.cache import BoundedCache
from core.db.file_changes import FileChanges
from core.news import News
from integration_site.front.django_pool import DjangoPool

T = TypeVar("T")
logger = structlog.get_logger(__name__)

EXECUTIONS = "executions"
HEADERS = (
    ("Content-Type", STREAM_TYPE),
    ("Cache-Control", "no-store"),
    ("X-Accel-Buffering", "no"),  # nginx would collect it
)
# How long a client waits before it comes again.
AGAIN_MS = 2000
COMMENT_SECONDS, CHECK_SECONDS = 15.0, 30.0
# One that has not taken so many is cut; it comes again and is given what it missed.
MOST_QUEUED = 1000
# Where news are heard, one may be lost; where they are not, this is how late an event may be.
HEARING_SECONDS, LOOK_SECONDS = 2.0, 0.25
# Between looks, however much is told.
LEAST_SECONDS = 0.1
MOST_KNOWN = 20_000


class Listener:
    """What waits for one stream. For one event loop."""

    def __init__(
        self, topics: Collection[str], *, executions: Collection[str] = (), has_key: bool
    ) -> None:
        self.topics = frozenset(topics)
        # Of which it also takes how far they are.
        self.executions = frozenset(executions)
        self.has_key = has_key
        self.is_over = False
        self.must_check = False
        self._given: set[object] = set()
        self._passed: Marks = {}
        self._queue: deque[tuple[Event | None, str]] = deque()
        self._woken = asyncio.Event()

    def put(self, event: Event | None, text: str) -> None:
        """Queue an event, or the text of another message; one whose queue is full is over."""
        self._queue.append((event, text))
        if len(self._queue) > MOST_QUEUED:
            self.end()
        self._woken.set()

    def end(self) -> None:
        self.is_over = True
        self._woken.set()

    def check(self) -> None:
        """Have it asked again whether its caller may still follow."""
        self.must_check = True
        self._woken.set()

    async def wait(self, seconds: float) -> None:
        """Wait until there is something to do, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0)):
                await self._woken.wait()
        self._woken.clear()

    def skip(self, given: Following, passed: Marks) -> None:
        """Leave out what was given already, and what is up to these marks."""
        self._given = {event.key for _, event in given.events}
        self._passed = passed

    def take(self) -> bytes:
        """Return all that is queued."""
        texts = [text for event, text in self._queue if event is None or self._is_new(event)]
        self._queue.clear()
        return "".join(texts).encode()

    def _is_new(self, event: Event) -> bool:
        return event.key not in self._given and event.mark > self._passed.get(event.topic, -1)


class EventFeed:
    """Reads what happens, for all listeners of a process, while there are any.

    For one event loop; the database is asked by one thread.
    """

    def __init__(self, sources: EventSources, news: News) -> None:
        self._sources = sources
        self._news = news
        self._listeners: set[Listener] = set()
        self._marks: Marks = {}
        self._known: BoundedCache[object, bool] = BoundedCache(MOST_KNOWN)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="events")
        self._file: FileChanges | None = None
        self._reading: asyncio.Task[None] | None = None
        self._begun: asyncio.Future[None] | None = None
        self._told = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        for source in sources:
            news.hear(source.news, lambda _: self._call_soon(self._told.set))
        news.hear(KEY_NEWS, lambda _: self._call_soon(self._check_keys))
        on_stopping(self._stop)

    @property
    def position(self) -> str:
        """Return the position behind all that was handed out."""
        return position_of(self._marks)

    async def add(self, listener: Listener) -> None:
        """Hand out to a listener what happens from now on, at least.

        Raises:
            DatabaseError: nothing can be read now.
        """
        self._listeners.add(listener)
        if self._reading is None or self._reading.done():
            self._loop = asyncio.get_running_loop()
            self._begun = self._loop.create_future()
            self._reading = asyncio.create_task(self._read(self._begun))
        assert self._begun is not None
        await asyncio.shield(self._begun)

    def remove(self, listener: Listener) -> None:
        self._listeners.discard(listener)
        if not self._listeners and self._reading is not None:
            self._reading.cancel()
            self._reading = None

    async def follow(self, marks: Marks, topics: Collection[str]) -> Following:
        """Return what came after these marks."""
        return await self.in_thread(lambda: self._sources.follow(marks, topics))

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Do what asks the database in the thread of the feed."""

        def run() -> T:
            try:
                return work()
            finally:
                if connection.vendor != "sqlite":
                    connection.close()  # who waits must not use up the pool

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    def _stop(self) -> None:
        for listener in self._listeners:
            listener.end()

    def _check_keys(self) -> None:
        for listener in self._listeners:
            if listener.has_key:
                listener.check()

    def _call_soon(self, act: Callable[[], None]) -> None:
        """Have something done on the loop, if anybody listens there; from any thread."""
        if self._loop is not None and self._listeners:
            with suppress(RuntimeError):  # it was closed just now
                self._loop.call_soon_threadsafe(act)

    async def _read(self, begun: asyncio.Future[None]) -> None:
        try:
            self._marks = await self.in_thread(self._begin)
        except Exception as error:
            begun.set_exception(error)
            return
        begun.set_result(None)
        while True:
            await self._wait_until_due()
            try:
                followed = frozenset[str]().union(*(each.executions for each in self._listeners))
                following, progress = await self.in_thread(partial(self._look, followed))
                self._hand_out(following)
                self._hand_out_progress(progress)
            except Exception as error:  # whatever it is, it is looked for again
                logger.warning("events_not_read", error=str(error)[:300])
                await asyncio.sleep(LOOK_SECONDS)

    def _begin(self) -> Marks:
        self._file = own_file()
        if self._file is not None:
            self._file.are_new()
        marks = self._sources.newest()
        return self._remember(self._sources.follow(marks, marks)).marks

    def _look(self, executions: Collection[str]) -> tuple[Following, list[Event]]:
        found = self._sources.follow(self._marks, self._marks, known=self._known)
        progress: list[Event] = []
        if executions:
            reached = self._sources.progress_of({EXECUTIONS: executions})
            progress = [event for event in reached if event.key not in self._known]
            self._known.update({event.key: True for event in progress})
        return self._remember(found), progress

    def _remember(self, following: Following) -> Following:
        for _, event in following.events:
            self._known[event.key] = True
        return following

    async def _wait_until_due(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(LEAST_SECONDS)
        sees = self._file is not None
        is_told = (self._news.hears or sees) and not any(e.executions for e in self._listeners)
        ends = loop.time() + (HEARING_SECONDS if is_told else LOOK_SECONDS)
        while not self._told.is_set() and loop.time() < ends:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(LOOK_SECONDS, ends - loop.time())):
                    await self._told.wait()
            if self._file is not None and await self.in_thread(self._file.are_new):
                break
        self._told.clear()

    def _hand_out(self, following: Following) -> None:
        self._marks = following.marks
        for topic in following.lost:
            self._put(topic, reset_text([topic], self.position))
        for position, event in following.events:
            self._put(event.topic, event_text(event, position), event)

    def _hand_out_progress(self, events: Iterable[Event]) -> None:
        for event in events:
            text = event_text(event, self.position)
            for listener in self._listeners:
                if event.id in listener.executions:
                    listener.put(event, text)

    def _put(self, topic: str, text: str, event: Event | None = None) -> None:
        for listener in self._listeners:
            if topic in listener.topics:
                listener.put(event, text)


class EventStreams:
    """Answers `/events` with a stream to whoever takes one."""

    def __init__(
        self, sources: EventSources, feed: EventFeed, django: DjangoPool, keys: KnownKeys
    ) -> None:
        self._sources = sources
        self._feed = feed
        self._django = django
        self._keys = keys

    async def answer(self, request: WebRequest) -> WebAnswer | WebStream | None:
        if not _asks_for_stream(request):
            return None
        answer = await self._ask(request)
        if answer.status != 200:
            return answer
        page = json.loads(answer.body)
        rate = tuple(pair for pair in answer.headers if pair[0].startswith("RateLimit-"))
        return WebStream(self._parts(request, page), (*HEADERS, *rate))

    async def _ask(self, request: WebRequest) -> WebAnswer:
        """Have Django say what the caller may follow, and from where on that is."""
        headers = {k: v for k, v in request.headers.items() if k != "last-event-id"}
        asked = replace(request, headers={**headers, "accept": "application/json"})
        return await self._django.answer(asked, caller="events")

    async def _parts(self, request: WebRequest, page: dict[str, Any]) -> AsyncGenerator[bytes]:
        topics = page["topics"]
        clock = asyncio.get_running_loop().time
        listener = Listener(
            topics, executions=page["executions"], has_key=key_in(request.headers) is not None
        )
        try:
            await self._feed.add(listener)
            yield await self._first(request, page, listener)
            sent = checked = clock()
            while not listener.is_over:
                await listener.wait(min(sent + COMMENT_SECONDS, checked + CHECK_SECONDS) - clock())
                if listener.must_check or clock() >= checked + CHECK_SECONDS:
                    listener.must_check, checked = False, clock()
                    if not await self._still_may(request, topics):
                        return
                part = listener.take()
                if not part and clock() >= sent + COMMENT_SECONDS:
                    part = comment_text(self._feed.position).encode()
                if part and not listener.is_over:
                    sent = clock()
                    yield part
        finally:
            self._feed.remove(listener)

    async def _first(self, request: WebRequest, page: dict[str, Any], listener: Listener) -> bytes:
        """Return what came since the caller was here, or since Django was asked."""
        topics, given = page["topics"], request.headers.get("last-event-id", "")
        begun = self._sources.marks_in(page["last_event_id"]) or {}
        marks = self._sources.marks_in(given) if given else begun
        if marks is None:
            following = Following(lost=topics, marks=begun)
        else:
            following = await self._feed.follow({**begun, **marks}, topics)
        if not given:  # from now on, and not from before
            events = [pair for pair in following.events if pair[1].mark > begun[pair[1].topic]]
            following = replace(following, events=events)
        ordered = {source.topic for source in self._sources if source.is_ordered}
        reached = {t: mark for t, mark in following.marks.items() if t in ordered}
        listener.skip(following, reached)
        texts = [f"retry: {AGAIN_MS}\n"]
        if following.lost:
            texts.append(reset_text(following.lost, position_of(following.marks)))
        texts += [event_text(event, position) for position, event in following.events]
        texts.append(comment_text(position_of(following.marks)))
        return "".join(texts).encode()

    async def _still_may(self, request: WebRequest, topics: list[str]) -> bool:
        """Return whether the caller may still follow these topics.

        That nobody can say now ends nothing.
        """
        key = key_in(request.headers)
        try:
            if key is not None:
                may = await self._feed.in_thread(lambda: self._topics_of(key, request))
            else:
                answer = await self._ask(request)
                if answer.status in (401, 403):
                    return False
                may = json.loads(answer.body)["topics"] if answer.status == 200 else topics
        except DatabaseError as error:
            logger.warning("follower_not_checked", error=str(error)[:300])
            return True
        return may == topics

    def _topics_of(self, key: str, request: WebRequest) -> list[str]:
        asked = ",".join(parse_qs(request.query).get("topics", []))
        try:
            return [*topics_for(self._keys.find(key, request.address).caller, asked)]
        except APIException:  # it is not known any more, or may not
            return []


def _asks_for_stream(request: WebRequest) -> bool:
    """Return whether a request takes a stream, and can be given one."""
    accept = request.headers.get("accept", "*/*")
    takes = "json" not in accept and (STREAM_TYPE in accept or "*/*" in accept)
    return request.method == "GET" and takes and request.scope["http_version"] == "1.1"


def event_text(event: Event, position: str) -> str:
    """Return an event as a client reads it; its type is the topic."""
    return f"id: {position}\nevent: {event.topic}\ndata: {json.dumps(event.data())}\n\n"


def reset_text(topics: Collection[str], position: str) -> str:
    """Return the event that says what to read anew, as what came there is not known."""
    return f"id: {position}\nevent: reset\ndata: {json.dumps({'topics': [*topics]})}\n\n"


def comment_text(position: str) -> str:
    """Return what says that all is well, and moves on from where the client would come again."""
    return f": all is well\nid: {position}\n\n"
