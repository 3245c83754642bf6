"""Rows that are ready, on their way from whoever made them so to a worker."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

import structlog

from workflows.signalling.notifier import Notifier, NotifierError

logger = structlog.get_logger(__name__)

# A burst of starts becomes one message per pause; several, so that workers share it.
PAUSE_SECONDS = 0.003
LARGEST_HINT = 50
RETRY_SECONDS = 1.0


class ReadyPublisher:
    """Sends hints: at once while they are taken and few, else from a thread of its own.

    A thread that is woken for it would get to run only once its waker waits for something. No
    caller waits long: the first one that gets no answer leaves it to the thread until that was
    answered. A hint that cannot be sent is dropped: the sweep finds the rows.
    """

    def __init__(self, notifier: Callable[[], Notifier]) -> None:
        self._notifier = notifier
        self._waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._sending = threading.Lock()
        self._answers = False
        self._sent_at = 0.0

    @property
    def is_idle(self) -> bool:
        """Return whether nothing waits to be sent."""
        return self._waiting.empty()

    @property
    def trusts_answers(self) -> bool:
        """Return whether a caller may send by itself: the last hint was taken."""
        return self._answers

    def announce(self, step_ids: list[str]) -> None:
        """Tell some worker that these steps are ready."""
        if self._send_at_once(step_ids):
            return
        for step_id in step_ids:
            self._waiting.put(step_id)
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="ready-hints", daemon=True)
                self._thread.start()

    def _send_at_once(self, step_ids: list[str]) -> bool:
        """Return whether it was sent from this thread."""
        if not self._answers or len(step_ids) > LARGEST_HINT or not self._waiting.empty():
            return False
        if time.monotonic() - self._sent_at < PAUSE_SECONDS:
            return False
        if not self._sending.acquire(blocking=False):
            return False
        try:
            self._notifier().tell_ready(step_ids, in_haste=True)
            self._sent_at = time.monotonic()
        except NotifierError as error:
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
        notifier = self._notifier()
        try:
            notifier.tell_ready(step_ids)
            self._answers, self._sent_at = notifier.tells_in_haste, time.monotonic()
        except NotifierError as error:
            logger.warning("hint_dropped", error=str(error)[:300], steps=len(step_ids))


class ReadyListener:
    """Hands what this worker hears to `look`, from a thread of its own, until stopped.

    While nothing can be heard, it has whatever is due looked for every second: what carries the
    hints may carry the messages of the sweep too.
    """

    def __init__(self, notifier: Notifier, look: Callable[[list[str]], None]) -> None:
        self._notifier = notifier
        self._look = look
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ready-listener", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Hear nothing more; the thread ends by itself."""
        self._stopping.set()

    @property
    def is_listening(self) -> bool:
        """Return whether it may still take something."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                step_ids = self._notifier.hear_ready()
                if step_ids is None:
                    continue
                if not self._stopping.is_set():
                    self._look(step_ids)
                elif step_ids:
                    # What is heard after the end was meant for another worker.
                    self._notifier.tell_ready(step_ids)
            except NotifierError as error:
                logger.warning("hints_unheard", error=str(error)[:300])
                self._look([])
                self._stopping.wait(RETRY_SECONDS)
