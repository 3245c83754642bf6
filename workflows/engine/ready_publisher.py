"""How whoever makes a step ready tells workers so, without waiting for a broker."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

import structlog
from django.conf import settings
from redis import RedisError

from workflows.engine.ready_queue import tell_ready

logger = structlog.get_logger(__name__)

# A burst of starts becomes one message per pause; several, so that workers share it.
PAUSE_SECONDS = 0.003
LARGEST_HINT = 50


class HintPublisher:
    """Sends hints: at once while Redis answers and little is sent, else from a thread of its own.

    A thread that is woken for it would get to run only once its waker waits for something. No
    caller waits long for a broker: the first one that gets no answer leaves it to the thread until
    that was answered. Without Redis, `send_message` sends it. A hint that cannot be sent is
    dropped: the sweep finds the rows.
    """

    def __init__(self, send_message: Callable[[list[str]], object]) -> None:
        self._send_message = send_message
        self._waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._sending = threading.Lock()
        self._answers = False
        self._sent_at = 0.0

    def announce(self, step_ids: list[str]) -> None:
        """Tell some worker that these steps are ready."""
        if self._send_at_once(step_ids):
            return
        for step_id in step_ids:
            self._waiting.put(step_id)
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="hints", daemon=True)
                self._thread.start()

    def _send_at_once(self, step_ids: list[str]) -> bool:
        """Whether it was sent from this thread."""
        if not self._answers or len(step_ids) > LARGEST_HINT or not self._waiting.empty():
            return False
        if time.monotonic() - self._sent_at < PAUSE_SECONDS:
            return False
        if not self._sending.acquire(blocking=False):
            return False
        try:
            tell_ready(step_ids, in_haste=True)
            self._sent_at = time.monotonic()
        except RedisError as error:
            self._answers = False
            logger.warning("hint_delayed", error=str(error)[:300], steps=len(step_ids))
            return False
        finally:
            self._sending.release()
        return True

    def _run(self) -> None:
        while True:
            step_ids = [self._waiting.get()]
            while len(step_ids) < LARGEST_HINT and not self._waiting.empty():
                step_ids.append(self._waiting.get_nowait())
            self._send(step_ids)
            time.sleep(PAUSE_SECONDS)

    def _send(self, step_ids: list[str]) -> None:
        try:
            if settings.REDIS_URL:
                tell_ready(step_ids)
                self._answers, self._sent_at = True, time.monotonic()
            else:
                self._send_message(step_ids)
        except Exception as error:
            logger.warning("hint_dropped", error=str(error)[:300], steps=len(step_ids))
