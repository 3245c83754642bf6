"""A breaker around a discovery backend, so that nobody waits for one that does not answer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from django.utils import timezone

from registry.discovery.base import Staleness
from registry.exceptions import DiscoveryUnavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")
RETRY_SECONDS = 2.0
# A failure that is older says nothing: perhaps nobody asked since.
RECENT_SECONDS = 10.0


class Reach:
    """Asks a backend; after a failure one caller tries every two seconds, the rest fail.

    `errors` are what it raises when it does not answer. `clock` gives monotonic seconds.
    """

    def __init__(
        self,
        name: str,
        errors: tuple[type[Exception], ...],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._errors = errors
        self._clock = clock
        self._lock = threading.Lock()
        self._retry_at = self._failed_at = 0.0
        self.down_since: datetime | None = None
        self.why = ""

    def ask(self, question: Callable[[], T]) -> T:
        """Return what the backend answers, and note that it does.

        Raises:
            DiscoveryUnavailable: it does not, or did not a moment ago.
        """
        self._check()
        try:
            answer = question()
        except self._errors as error:
            raise self._note_failure(error) from error
        self._note_answer()
        return answer

    def recent_failure(self) -> Staleness | None:
        """Return since when it does not answer, as far as this process knows."""
        with self._lock:
            if self.down_since is None or self._clock() > self._failed_at + RECENT_SECONDS:
                return None
            return Staleness(self.down_since, self.why)

    def _check(self) -> None:
        with self._lock:
            if self.down_since is None:
                return
            if self._clock() < self._retry_at:
                raise DiscoveryUnavailable(self._sentence())
            self._retry_at = self._clock() + RETRY_SECONDS

    def _note_failure(self, error: Exception) -> DiscoveryUnavailable:
        with self._lock:
            if self.down_since is None:
                self.down_since = timezone.now()
                logger.warning("The discovery backend %s does not answer: %s", self._name, error)
            self._failed_at = self._clock()
            self._retry_at = self._failed_at + RETRY_SECONDS
            self.why = str(error)[:200] or type(error).__name__
            return DiscoveryUnavailable(self._sentence())

    def _note_answer(self) -> None:
        with self._lock:
            if self.down_since is not None:
                logger.warning("The discovery backend %s answers again", self._name)
            self.down_since, self.why = None, ""

    def _sentence(self) -> str:
        return f"The discovery backend {self._name} does not answer: {self.why}"
