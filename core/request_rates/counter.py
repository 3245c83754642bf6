"""Counts the requests of keys in this process, and shares the counts through Redis.

A request is decided by what this process knows, without waiting for anybody. A thread of its own
adds what was counted here to what others counted, ten times a second while there are requests;
between, others are taken to go on as they did. Beyond the limit, so at most what comes through a
process that was idle before. While Redis does not answer, and where there is none, each process
counts for itself.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from time import time
from typing import Protocol

import redis
import structlog
from django.conf import settings

from core.request_rates.sliding_window import WINDOW_SECONDS, RateDecision, decide

logger = structlog.get_logger(__name__)

# Where the environ of a request has what was decided about it.
RATE_DECISION = "hub.rate_decision"
SYNC_SECONDS = 0.1
# Redis is not asked for this long after it did not answer.
PAUSE_SECONDS = 2.0
ANSWER_SECONDS = 1.0
# So many keys are remembered; beyond, those that sent nothing in this minute and the last are not.
MOST_KEYS = 10_000

_ERRORS = (redis.RedisError, OSError, ValueError)  # the last where somebody wrote no number

Minute = int
Slot = tuple[str, Minute]


class SharedCounts(Protocol):
    """What all processes counted."""

    def add(self, counted: Mapping[Slot, int], asked: Iterable[Slot]) -> dict[Slot, int]:
        """Add what was counted here, and return what all counted of the slots that are asked."""


class RedisCounts:
    """One number for each key and minute, which expires with what it counts."""

    def __init__(self, url: str) -> None:
        self._prefix = f"{settings.SERVICE_NAME}:requests:"
        self._redis = redis.Redis.from_url(
            url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS
        )

    def add(self, counted: Mapping[Slot, int], asked: Iterable[Slot]) -> dict[Slot, int]:
        slots = list(asked)
        with self._redis.pipeline(transaction=False) as together:
            for slot, number in counted.items():
                together.incrby(self._name(slot), number)
                together.expire(self._name(slot), WINDOW_SECONDS * 3)
            together.mget([self._name(slot) for slot in slots])
            *_, numbers = together.execute()
        return {slot: int(number or 0) for slot, number in zip(slots, numbers, strict=True)}

    def _name(self, slot: Slot) -> str:
        return f"{self._prefix}{slot[0]}:{slot[1]}"


@dataclass(slots=True)
class _Window:
    """What is known of a key: all that was let through in the minute before, and in this one.

    `own` of this minute's were let through here, and `told` of those when it was last shared.
    """

    minute: Minute
    previous: int = 0
    current: int = 0
    own: int = 0
    told: int = 0

    def go_on_to(self, minute: Minute) -> None:
        if minute > self.minute:
            self.previous = self.current if minute == self.minute + 1 else 0
            self.minute, self.current, self.own, self.told = minute, 0, 0, 0

    @property
    def expected(self) -> int:
        """Return this minute's, with what others will have let through since it was last shared.

        They are taken to go on as they did in proportion to this process, so that a burst through
        many processes does not go beyond the limit by what none of them knows of the others yet.
        """
        others = self.current - self.own
        unheard = (self.own - self.told) * others // self.told if self.told else 0
        return self.current + unheard

    def add(self) -> None:
        self.current += 1
        self.own += 1


class RequestCounter:
    """Decides about requests of keys; threads and event loops may share it."""

    def __init__(self, shared: SharedCounts | None = None) -> None:
        self._shared = shared
        self._lock = threading.Lock()
        self._windows: dict[str, _Window] = {}
        self._uncounted: defaultdict[Slot, int] = defaultdict(int)
        self._touched: set[str] = set()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def admit(self, key_id: str, limit: int, now: float) -> RateDecision:
        """Decide about one request, and count it if it is let through; waits for nobody.

        `limit` is in requests a minute, `now` in seconds since 1970.
        """
        minute, elapsed = divmod(now, WINDOW_SECONDS)
        with self._lock:
            window = self._window_of(key_id, int(minute))
            decision = decide(
                limit, previous=window.previous, current=window.expected, elapsed=elapsed
            )
            if decision.allowed:
                window.add()
            if self._shared is not None:
                self._note((key_id, window.minute), counts=decision.allowed)
        return decision

    def _window_of(self, key_id: str, minute: Minute) -> _Window:
        window = self._windows.get(key_id)
        if window is None:
            if len(self._windows) >= MOST_KEYS:
                self._forget_idle(minute)
            window = self._windows[key_id] = _Window(minute)
        window.go_on_to(minute)
        return window

    def _forget_idle(self, minute: Minute) -> None:
        for key_id in [k for k, window in self._windows.items() if window.minute < minute - 1]:
            del self._windows[key_id]

    def _note(self, slot: Slot, *, counts: bool) -> None:
        if counts:
            self._uncounted[slot] += 1
        self._touched.add(slot[0])
        if self._thread is None:
            name = "request-counts"
            self._thread = threading.Thread(target=self._share_on, name=name, daemon=True)
            self._thread.start()
        self._wake.set()

    def _share_on(self) -> None:
        while not self._closing.is_set():
            self._wake.wait()
            self._wake.clear()
            pause = SYNC_SECONDS
            try:
                self.share()
            except _ERRORS as error:
                logger.warning("requests_counted_alone", error=str(error)[:300])
                pause = PAUSE_SECONDS
                self._wake.set()
            self._closing.wait(pause)

    def share(self) -> None:
        """Add what was counted here to what all counted, and learn what that is.

        Raises:
            redis.RedisError, OSError, ValueError: nothing was learnt; what was counted is added the
                next time.
        """
        if self._shared is None:
            return
        with self._lock:
            counted, self._uncounted = self._uncounted, defaultdict(int)
            touched, self._touched = self._touched & self._windows.keys(), set()
            minutes = {key_id: self._windows[key_id].minute for key_id in touched}
        asked = [(key_id, m) for key_id, at in minutes.items() for m in (at, at - 1)]
        try:
            totals = self._shared.add(counted, asked) if asked else {}
        except _ERRORS:
            with self._lock:
                self._keep_for_later(counted)
                self._touched |= touched
            raise
        with self._lock:
            for key_id in touched:
                self._learn(key_id, totals)

    def _keep_for_later(self, counted: Mapping[Slot, int]) -> None:
        newest = max((window.minute for window in self._windows.values()), default=0)
        for slot, number in counted.items():
            if slot[1] >= newest - 1:  # what is older counts for nothing any more
                self._uncounted[slot] += number

    def _learn(self, key_id: str, totals: Mapping[Slot, int]) -> None:
        """Take over what all counted, and what was counted here since it was asked."""
        window = self._windows.get(key_id)
        if window is None:
            return
        now = (key_id, window.minute)
        window.current = self._total(now, totals, window.current)
        if now in totals:
            window.told = window.own - self._uncounted.get(now, 0)
        window.previous = self._total((key_id, window.minute - 1), totals, window.previous)

    def _total(self, slot: Slot, totals: Mapping[Slot, int], here: int) -> int:
        return totals[slot] + self._uncounted.get(slot, 0) if slot in totals else here

    def close(self) -> None:
        """End the thread that shares the counts."""
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=PAUSE_SECONDS + 2 * ANSWER_SECONDS)


@cache
def request_counter() -> RequestCounter:
    """Return the counter of this process."""
    return RequestCounter(RedisCounts(settings.REDIS_URL) if settings.REDIS_URL else None)


def admit_key(key_id: str, own_limit: int | None) -> RateDecision | None:
    """Decide about one request of a key now; None where it has no limit.

    `own_limit` is the key's, in requests a minute: 0 is none, None stands for API_RATE_LIMIT.
    """
    limit = settings.API_RATE_LIMIT if own_limit is None else own_limit
    return request_counter().admit(key_id, limit, time()) if limit else None
