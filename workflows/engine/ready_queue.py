"""What processes tell each other over Redis: rows that are ready, executions that ended.

All of it is hints: the database holds the truth, and what is lost costs latency only. Without
Redis, Celery messages carry the first kind and waiting callers look at the database.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import redis
import structlog
from django.conf import settings

from core.json import strict

logger = structlog.get_logger(__name__)

READY = f"{settings.SERVICE_NAME}:ready"
ENDED = f"{settings.SERVICE_NAME}:ended"
# Hints that no worker takes are for the sweep: they are not worth keeping.
MOST_HINTS = 1000
HINT_SECONDS = 10
HASTE_SECONDS = 0.2
LISTEN_SECONDS = 2.0
RETRY_SECONDS = 1.0
MOST_REMEMBERED = 1000


@lru_cache(maxsize=1)
def _redis() -> redis.Redis:
    """The client of this process; its sockets wait longer than a listener does."""
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=2, socket_timeout=LISTEN_SECONDS + 3
    )


# Rows that are ready: one worker hears of them


@lru_cache(maxsize=1)
def _hasty_redis() -> redis.Redis:
    """A client for callers that must not be held up."""
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=HASTE_SECONDS, socket_timeout=HASTE_SECONDS
    )


def tell_ready(step_ids: Sequence[str], *, in_haste: bool = False) -> None:
    """Tell one worker that these rows are ready, or give up soon if in haste. Raises RedisError."""
    client = _hasty_redis() if in_haste else _redis()
    untaken = client.rpush(READY, json.dumps(list(step_ids)))
    if untaken > 1:
        with client.pipeline(transaction=False) as together:
            together.ltrim(READY, -MOST_HINTS, -1)
            together.expire(READY, HINT_SECONDS)
            together.execute()


class ReadyListener:
    """Hands what this worker hears to `look`, from a thread of its own, until stopped."""

    def __init__(self, look: Callable[[list[str]], None]) -> None:
        self._look = look
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hints", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Hear nothing more; the thread ends by itself."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                found = _redis().blpop([READY], timeout=LISTEN_SECONDS)
                if found is not None:
                    # What is heard after the end was meant for another worker.
                    hear = tell_ready if self._stopping.is_set() else self._look
                    hear(_ids_in(found[1]))
            except (redis.RedisError, ValueError) as error:
                logger.warning("hints_unheard", error=str(error)[:300])
                self._stopping.wait(RETRY_SECONDS)


# Executions that ended: whoever waits for one hears of it


def tell_ended(execution_ids: Sequence[str]) -> None:
    """Tell every process that these executions ended, if it can be told."""
    if not settings.REDIS_URL:
        return
    try:
        _redis().publish(ENDED, json.dumps(list(execution_ids)))
    except redis.RedisError as error:
        logger.warning("end_untold", error=str(error)[:300])


def _ids_in(message: bytes | str) -> list[str]:
    """The ids of a message. Raises ValueError for anything but a list; what is no id is left out.

    Whoever reaches the server may write there, and no message must end the thread that hears it.
    """
    found = strict.parse(message)
    if not isinstance(found, list):
        raise ValueError("A message is not a list of ids.")
    return [value for value in found if isinstance(value, str)]


class Endings:
    """Wakes those who wait in this process; listens from the first one on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, list[threading.Event]] = {}
        # An execution may end before its caller gets to wait for it.
        self._recent: OrderedDict[str, None] = OrderedDict()
        self._thread: threading.Thread | None = None
        self._hears = False

    @contextlib.contextmanager
    def watch(self, execution_id: str) -> Iterator[threading.Event]:
        """An event that is set once the execution is heard to have ended."""
        event = threading.Event()
        with self._lock:
            self._listen()
            self._waiting.setdefault(execution_id, []).append(event)
            if execution_id in self._recent:
                event.set()
        try:
            yield event
        finally:
            with self._lock:
                self._waiting[execution_id].remove(event)
                if not self._waiting[execution_id]:
                    del self._waiting[execution_id]

    @property
    def hears(self) -> bool:
        """Whether an end would be heard now."""
        return self._hears

    def _listen(self) -> None:
        if settings.REDIS_URL and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=self._run, name="endings", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        """Listen until Redis fails; the next who waits begins anew."""
        try:
            with _redis().pubsub(ignore_subscribe_messages=False) as heard:
                heard.subscribe(ENDED)
                while True:
                    message = heard.get_message(timeout=LISTEN_SECONDS)
                    if message is not None:
                        self._take(message)
        except (redis.RedisError, ValueError) as error:
            logger.warning("endings_unheard", error=str(error)[:300])
        finally:
            self._hears = False

    def _take(self, message: dict[str, object]) -> None:
        if message["type"] == "subscribe":
            self._hears = True
        if message["type"] != "message":
            return
        with self._lock:
            for execution_id in _ids_in(message["data"]):  # type: ignore[arg-type]
                self._recent[execution_id] = None
                for event in self._waiting.get(execution_id, ()):
                    event.set()
            while len(self._recent) > MOST_REMEMBERED:
                self._recent.popitem(last=False)


endings = Endings()
