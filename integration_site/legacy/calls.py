"""Counts calls in the old shapes by route and caller, so that one sees when nobody makes any."""

from __future__ import annotations

import threading
from collections import Counter
from time import monotonic

import structlog
from django.db import Error, IntegrityError, connections, transaction
from django.db.models import F
from django.utils import timezone

from core.models import LegacyCall

logger = structlog.get_logger(__name__)

# A process that is killed loses the counts of as long.
FLUSH_SECONDS = 5.0
Counts = dict[tuple[str, str], int]


class CallCounter:
    """Counts in memory, and now and then adds that to the table."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._flush_at = 0.0

    def note(self, route: str, caller: str) -> None:
        """Count a call; the first one is stored at once, others with those of some seconds.

        Of those that are not stored yet, the first has them stored together soon.
        """
        with self._lock:
            self._counts[route[:100], caller[:100]] += 1
            is_due = monotonic() >= self._flush_at
            is_waited_for = len(self._counts) > 1 or self._counts.total() > 1
            if is_due:
                self._flush_at = monotonic() + FLUSH_SECONDS
        if is_due:
            self.flush()
        elif not is_waited_for:
            self._flush_soon()

    def _flush_soon(self) -> None:
        """Store in a thread of its own what comes meanwhile, as nobody may call after that."""
        timer = threading.Timer(FLUSH_SECONDS, self._flush_apart)
        timer.daemon = True
        timer.start()

    def _flush_apart(self) -> None:
        try:
            self.flush()
        finally:
            connections.close_all()

    def flush(self) -> None:
        """Store what was counted; where that fails it is kept for the next time."""
        with self._lock:
            counts, self._counts = dict(self._counts), Counter()
        try:
            with transaction.atomic():
                for key, number in sorted(counts.items()):
                    _add(*key, number)
        except Error as error:
            logger.warning("legacy_calls_not_stored", error=str(error)[:300])
            with self._lock:
                self._counts.update(counts)


def _add(route: str, caller: str, number: int) -> None:
    rows = LegacyCall.objects.filter(route=route, caller=caller)
    more = {"calls": F("calls") + number, "last_at": timezone.now()}
    if rows.update(**more):
        return
    try:
        with transaction.atomic():
            LegacyCall.objects.create(
                route=route, caller=caller, calls=number, last_at=timezone.now()
            )
    except IntegrityError:  # another process counted it first
        rows.update(**more)


call_counter = CallCounter()
