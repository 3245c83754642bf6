"""Has something done soon, in a thread of its own, for whoever has no time to do it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog
from django.db import connections

logger = structlog.get_logger(__name__)

LEAST_SECONDS = 1.0


class Wake:
    """Does a piece of work at once when called, and at most once a second however often it is.

    What is called for while it is done, or too soon after, is one more time of it.
    """

    def __init__(self, work: Callable[[], object], *, least_seconds: float = LEAST_SECONDS) -> None:
        self._work = work
        self._least = least_seconds
        self._called = threading.Event()
        self._starting = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def call(self, **_: object) -> None:
        """Have the work done; waits for nothing."""
        self._called.set()
        with self._starting:
            if self._thread is None and not self._stopped.is_set():
                self._thread = threading.Thread(target=self._run, name="wake", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Do nothing more; what is being done is ended first."""
        with self._starting:
            self._stopped.set()
            self._called.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            self._called.wait()
            if self._stopped.is_set():
                return
            self._called.clear()
            began = time.monotonic()
            try:
                self._work()
            except Exception:
                logger.exception("wake_failed")
            finally:
                connections.close_all()
            self._stopped.wait(max(began + self._least - time.monotonic(), 0))
