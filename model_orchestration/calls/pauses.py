"""Models that asked to be left alone for a while: every process leaves them alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from django.utils import timezone

from core.cache import BoundedCache
from model_orchestration.choosing import Target
from model_orchestration.failures import SHORT_WAIT_SECONDS, Failure
from model_orchestration.models.route import ErrorClass

MOST_PAUSED = 1000
# An account that is used up is not refilled within the minute.
QUOTA_PAUSE_SECONDS = 600.0
LONGEST_PAUSE_SECONDS = 86_400.0
_PAUSING = (ErrorClass.RATE, ErrorClass.UNAVAILABLE)


class Pauses:
    """Until when models are not asked: as this process saw it, and as their rows say.

    `clock` gives monotonic seconds. Threads may share it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: BoundedCache[tuple[str, str], float] = BoundedCache(MOST_PAUSED)

    def note(self, target: Target, failure: Failure) -> float:
        """Pause a model whose provider said when to come again, or whose account is used up.

        Return for how many seconds; 0 where it is not paused.
        """
        seconds = failure.retry_after or 0.0
        if failure.is_refused_here:
            return 0.0
        if failure.error_class == ErrorClass.QUOTA:
            seconds = max(seconds, QUOTA_PAUSE_SECONDS)
        elif failure.error_class not in _PAUSING or seconds <= SHORT_WAIT_SECONDS:
            return 0.0
        seconds = min(seconds, LONGEST_PAUSE_SECONDS)
        self._until[_key(target)] = self._clock() + seconds
        return seconds

    def seconds_left(self, target: Target) -> float:
        here = self._until.get(_key(target), 0.0) - self._clock()
        if target.paused_until is None:
            return max(here, 0.0)
        return max((target.paused_until - timezone.now()) / timedelta(seconds=1), here, 0.0)

    def order(self, targets: Sequence[Target]) -> list[Target]:
        """Return the models, those that are paused last: the first to come back before others."""
        return sorted(targets, key=self.seconds_left)

    def clear(self) -> None:
        self._until.clear()


def _key(target: Target) -> tuple[str, str]:
    return target.connection_id, target.sent_name


pauses = Pauses()
