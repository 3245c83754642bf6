"""Tells every process of the hub what changed, so that none goes by what it has kept from before.

News are told once the change is committed. This process hears them at once, the others over Redis
where there is one, otherwise over PostgreSQL; on SQLite nobody else hears. They are hints: whoever
keeps something keeps it for a short time only, which is what a lost one costs.
"""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cache
from time import monotonic
from typing import Any, Protocol

import psycopg
import redis
import structlog
from django.conf import settings
from django.db import DatabaseError, connection

from core.db.pipeline import has_own_session
from core.json import strict

logger = structlog.get_logger(__name__)

LISTEN_SECONDS = 2.0
# Who tells has a caller waiting; while others cannot be told, it is not tried for so long.
SEND_SECONDS, PAUSE_SECONDS = 0.2, 2.0


@dataclass(frozen=True, slots=True)
class NewsItem:
    """What is heard of a topic: of whom or what it is news; empty when that may be anything.

    `fields` are those of the subject that changed; empty when any may have. `is_own` says that this
    process told it, or is to take it as if.
    """

    subject: str
    fields: frozenset[str] = frozenset()
    is_own: bool = True


Hearer = Callable[[NewsItem], None]


class CarrierError(Exception):
    """Nothing can be sent or heard now."""


class Carrier(Protocol):
    """A way to the other processes; both methods may raise `CarrierError`."""

    def send(self, message: str) -> None:
        """Send a message to whoever listens."""

    def receive(self) -> Iterator[str | None]:
        """Give messages as they come, and None now and then.

        The first is empty: it says that it listens from now on.
        """


class RedisCarrier:
    """Publishes in one channel of Redis, for who has the same database of it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._sender = redis.Redis.from_url(
            url, socket_connect_timeout=SEND_SECONDS, socket_timeout=SEND_SECONDS
        )
        # Redis itself publishes to all of its databases.
        database = self._sender.get_connection_kwargs().get("db", 0)
        self._channel = f"{settings.SERVICE_NAME}:{database}:news"

    def send(self, message: str) -> None:
        try:
            self._sender.publish(self._channel, message)
        except redis.RedisError as error:
            raise CarrierError(str(error)) from error

    def receive(self) -> Iterator[str | None]:
        client = redis.Redis.from_url(
            self._url, socket_connect_timeout=2, socket_timeout=LISTEN_SECONDS + 3
        )
        try:
            with client, client.pubsub() as channel:
                channel.subscribe(self._channel)
                while True:
                    message = channel.get_message(timeout=LISTEN_SECONDS)
                    yield None if message is None else _text_of(message)
        except redis.RedisError as error:
            raise CarrierError(str(error)) from error


def _text_of(message: dict[str, Any]) -> str:
    """Return what was published; empty of the answer to a subscription."""
    is_news = message["type"] == "message"
    return message["data"].decode(errors="replace") if is_news else ""


class PostgresCarrier:
    """LISTEN and NOTIFY; behind a pooler that lends its sessions out nothing is heard."""

    channel = "hub_news"

    def send(self, message: str) -> None:
        try:
            with connection.cursor() as cursor:
                # A hint need not be durable: its commit waits for no disk.
                cursor.execute(
                    "SELECT set_config('synchronous_commit', 'off', true), pg_notify(%s, %s)",
                    [self.channel, message],
                )
        except DatabaseError as error:
            raise CarrierError(str(error)) from error

    def receive(self) -> Iterator[str | None]:
        try:
            params = connection.get_connection_params()
            with psycopg.connect(**params, autocommit=True) as listener:
                if not has_own_session(listener):
                    raise CarrierError("a pooler stands between")
                listener.execute(f"LISTEN {self.channel}")
                yield ""
                while True:
                    for notice in listener.notifies(timeout=LISTEN_SECONDS):
                        yield notice.payload
                    yield None
        except psycopg.Error as error:
            raise CarrierError(str(error)) from error


class News:
    """The news of one process: what it tells, and what it hears of others."""

    def __init__(self, carrier: Carrier | None) -> None:
        self._carrier = carrier
        self._hearers: defaultdict[str, list[Hearer]] = defaultdict(list)
        self._id = uuid.uuid4().hex
        self._silent_until = 0.0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._hears = False

    @property
    def hears(self) -> bool:
        """Return whether news of other processes would be heard now."""
        return self._hears

    def hear(self, topic: str, hearer: Hearer) -> None:
        """Call `hearer` with what is told of a topic, in the thread that tells or that listens.

        It has to be quick, and must not raise.
        """
        if hearer not in self._hearers[topic]:
            self._hearers[topic].append(hearer)

    def tell(self, topic: str, subject: str = "", fields: Collection[str] = ()) -> None:
        """Tell this process now, and then the others, as far as they can be told."""
        self._hand_out(topic, NewsItem(subject, frozenset(fields)))
        if self._carrier is None or monotonic() < self._silent_until:
            return
        try:
            self._carrier.send(json.dumps([self._own(), topic, subject, *sorted(fields)]))
        except CarrierError as error:
            self._silent_until = monotonic() + PAUSE_SECONDS
            logger.warning("news_untold", error=str(error)[:300])

    def _own(self) -> str:
        """Return the name of this process: forked ones have the same object."""
        return f"{self._id}-{os.getpid()}"

    def note(self, topic: str, subject: str = "") -> None:
        """Tell this process alone, of what another one did without its being heard."""
        self._hand_out(topic, NewsItem(subject))

    def listen(self) -> None:
        """Hear what other processes tell from now on, in a thread of its own."""
        with self._lock:
            if self._carrier is not None and self._thread is None:
                self._thread = threading.Thread(target=self._run, name="news", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Hear no more of others."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(timeout=LISTEN_SECONDS + 1)

    def _run(self) -> None:
        assert self._carrier is not None
        while not self._closing.is_set():
            try:
                for message in self._carrier.receive():
                    self._hears = True
                    if self._closing.is_set():
                        return
                    if message is not None:
                        self._take(message)
            except Exception as error:  # whatever it is, it is tried again
                logger.warning("news_unheard", error=str(error)[:300])
            finally:
                self._hears = False
            self._closing.wait(PAUSE_SECONDS)

    def _take(self, message: str) -> None:
        """Hand out a message of another process; what is none may be news of anything."""
        news = _read(message)
        if news is None:
            for topic in list(self._hearers):
                self._hand_out(topic, NewsItem("", is_own=False))
        elif news[0] != self._own():
            _, topic, subject, *fields = news
            self._hand_out(topic, NewsItem(subject, frozenset(fields), is_own=False))

    def _hand_out(self, topic: str, item: NewsItem) -> None:
        for hearer in self._hearers.get(topic, ()):
            hearer(item)


def _read(message: str) -> list[str] | None:
    """Return sender, topic, subject and fields; None where whoever reaches the server wrote it."""
    try:
        news: Any = strict.parse(message)
    except strict.JSONRefused:
        return None
    is_news = isinstance(news, list) and len(news) >= 3 and all(isinstance(n, str) for n in news)
    return news if is_news else None


@dataclass(frozen=True, slots=True)
class Concern:
    """What something changes with: any of the `subjects`, or any of the `fields` of anybody.

    Without either it changes with everything.
    """

    subjects: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()


EVERYTHING = Concern()


class Heard(Protocol):
    """Where news of a topic are heard."""

    def hear(self, topic: str, hearer: Hearer) -> None:
        """Call `hearer` with all that is told of it."""


class ChangeIndex:
    """Numbers the news of a topic that this process hears, to tell what changed since a number.

    Subjects are remembered for the last `MOST_SUBJECTS` of them; before, each may have changed.
    """

    MOST_SUBJECTS = 10_000

    def __init__(self, news: Heard, topic: str) -> None:
        self._lock = threading.Lock()
        self._all, self._own = _Numbers(), _Numbers()
        self.latest = 0
        news.hear(topic, self._note)

    def _note(self, item: NewsItem) -> None:
        with self._lock:
            number = self.latest + 1
            for numbers in (self._all, self._own) if item.is_own else (self._all,):
                numbers.note(item, number, most=self.MOST_SUBJECTS)
            self.latest = number

    def is_unchanged(self, since: int, concern: Concern = EVERYTHING, *, own: bool = False) -> bool:
        """Return whether nothing of concern was told since then; with `own`, by this process."""
        return since == self.latest or (self._own if own else self._all).are_until(since, concern)


class _Numbers:
    """The newest numbers of subjects and fields, of anything, and of any field of something."""

    def __init__(self) -> None:
        self._subjects: dict[str, int] = {}
        self._fields: dict[str, int] = {}
        self._newest = self._anything = self._any_field = 0

    def note(self, item: NewsItem, number: int, *, most: int) -> None:
        # The newest number is last: who reads it finds all else.
        if not item.subject or len(self._subjects) >= most:
            self._anything = number
            self._subjects.clear()
        else:
            self._subjects[item.subject] = number
            self._fields.update(dict.fromkeys(item.fields, number))
            self._any_field = self._any_field if item.fields else number
        self._newest = number

    def are_until(self, number: int, concern: Concern) -> bool:
        """Return whether nothing of concern has a later number."""
        if self._newest <= number:
            return True
        if concern == EVERYTHING or self._anything > number:
            return False
        if concern.fields and self._any_field > number:
            return False
        subjects, fields = self._subjects, self._fields
        return all(subjects.get(each, 0) <= number for each in concern.subjects) and all(
            fields.get(each, 0) <= number for each in concern.fields
        )


@cache
def own_news() -> News:
    """Return the news of this process."""
    if settings.REDIS_URL:
        return News(RedisCarrier(settings.REDIS_URL))
    return News(PostgresCarrier() if connection.vendor == "postgresql" else None)
