"""Counts calls of services by the minute, for objectives and figures of the whole hub."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import structlog
from django.db import Error, IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from registry.calls.database_threads import DatabaseThreads
from registry.calls.targets.resolver import ResolvedAction
from registry.exceptions import (
    CallError,
    CircuitOpenError,
    NoTimeLeftError,
    ServiceResponseError,
    ServiceTimeoutError,
    ServiceUnavailableError,
)
from registry.models import CallMinute

logger = structlog.get_logger(__name__)

# Under which of these a call was answered is kept, and not how long it took.
BOUNDS_MS = (
    5, 10, 25, 50, 75, 100, 150, 200, 250, 300, 400, 500, 750, 1000, 1500, 2000, 3000, 5000,
    10_000, 30_000, 60_000,
)  # fmt: skip
LONGER_MS = 2_000_000_000
# So late what was counted is written; that much is lost with a process that is killed.
WRITTEN_AFTER_SECONDS = 2.0
MOST_KEYS = 10_000
# Faults of the service; other errors are the caller's, or the hub's own.
_FAULTS = (
    CircuitOpenError, ServiceResponseError, ServiceTimeoutError, ServiceUnavailableError,
)  # fmt: skip


class CountedCalls(NamedTuple):
    """What calls have in common that are counted together."""

    service_id: str
    starts_at: datetime
    action: str
    is_good: bool
    at_most_ms: int


class CallMinuteCounter:
    """Counts in memory on the loop of a client, and adds that to the rows now and then."""

    def __init__(
        self, threads: DatabaseThreads, now: Callable[[], datetime] = timezone.now
    ) -> None:
        self._threads, self._now = threads, now
        self._counts: Counter[CountedCalls] = Counter()
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[Counter[CountedCalls]] | None = None

    def note(self, action: ResolvedAction, seconds: float, error: CallError | None = None) -> None:
        """Count a call that ended; not one whose end says nothing of the service."""
        is_good = error is None or _is_good_refusal(error)
        if action.kind != "service" or not action.subject_id:
            return
        if not (is_good or isinstance(error, _FAULTS)) or isinstance(error, NoTimeLeftError):
            return
        key = CountedCalls(
            action.subject_id,
            self._now().replace(second=0, microsecond=0),
            action.action[:100],
            is_good,
            bound_of(seconds * 1000),
        )
        if key in self._counts or len(self._counts) < MOST_KEYS:
            self._counts[key] += 1
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(WRITTEN_AFTER_SECONDS, self._write)

    async def close(self) -> None:
        """Write what was counted."""
        if self._timer is not None:
            self._timer.cancel()
        if self._writing is not None:
            await self._writing
        if self._counts:
            counts, self._counts = self._counts, Counter()
            await self._threads.run(add_counts, counts)

    def _write(self) -> None:
        self._timer = None
        if self._writing is not None and not self._writing.done():
            self._timer = asyncio.get_running_loop().call_later(WRITTEN_AFTER_SECONDS, self._write)
            return
        counts, self._counts = self._counts, Counter()
        self._writing = self._threads.run(add_counts, counts)
        self._writing.add_done_callback(self._take_back)

    def _take_back(self, writing: asyncio.Future[Counter[CountedCalls]]) -> None:
        """Keep what could not be written, for the next time."""
        if not writing.cancelled() and writing.exception() is None and (left := writing.result()):
            self._counts += left


def bound_of(milliseconds: float) -> int:
    """Return the least bound that is not below a time."""
    position = bisect_left(BOUNDS_MS, milliseconds)
    return BOUNDS_MS[position] if position < len(BOUNDS_MS) else LONGER_MS


def add_counts(counts: Counter[CountedCalls]) -> Counter[CountedCalls]:
    """Add to the rows; return what could not be added."""
    left = Counter(counts)
    try:
        for key, count in counts.items():
            _add(key, count)
            del left[key]
    except Error as error:
        logger.warning("calls_not_counted", error=str(error)[:300])
    return left


def _add(key: CountedCalls, count: int) -> None:
    rows = CallMinute.objects.filter(**key._asdict())
    if rows.update(total=F("total") + count):
        return
    try:
        with transaction.atomic():
            CallMinute.objects.create(**key._asdict(), total=count)
    except IntegrityError:
        rows.update(total=F("total") + count)


def _is_good_refusal(error: CallError) -> bool:
    """Return whether a service answered that its caller was at fault."""
    status = getattr(error, "upstream_status", None)
    return isinstance(error, ServiceResponseError) and status is not None and 400 <= status < 500
