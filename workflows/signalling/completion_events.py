"""Executions that ended: whoever waits for one in this process is woken."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

import structlog

from workflows.signalling.notifier import Notifier, NotifierError, own_notifier

logger = structlog.get_logger(__name__)

MOST_REMEMBERED = 1000


def tell_ended(execution_ids: Sequence[str]) -> None:
    """Tell every process that these executions ended, if it can be told."""
    try:
        own_notifier().tell_ended(execution_ids)
    except NotifierError as error:
        logger.warning("end_untold", error=str(error)[:300])


class CompletionEvents:
    """Wakes those who wait in this process; listens from the first one on."""

    def __init__(self, notifier: Callable[[], Notifier]) -> None:
        self._notifier = notifier
        self._lock = threading.Lock()
        self._waiting: dict[str, list[threading.Event]] = {}
        # An execution may end before its caller gets to wait for it.
        self._recent: OrderedDict[str, None] = OrderedDict()
        self._thread: threading.Thread | None = None
        self._hears = False

    @contextlib.contextmanager
    def watch(self, execution_id: str) -> Iterator[threading.Event]:
        """Give an event that is set once the execution is heard to have ended."""
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
        """Return whether an end would be heard now."""
        return self._hears

    @property
    def watched(self) -> list[str]:
        """Return the executions that somebody waits for."""
        return list(self._waiting)

    def _listen(self) -> None:
        is_listening = self._thread is not None and self._thread.is_alive()
        if self._notifier().hears_ends and not is_listening:
            self._thread = threading.Thread(target=self._run, name="completions", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        """Listen until that fails; the next who waits begins anew."""
        try:
            for execution_ids in self._notifier().hear_ended():
                self._hears = True
                self._wake(execution_ids)
        except NotifierError as error:
            logger.warning("endings_unheard", error=str(error)[:300])
        finally:
            self._hears = False

    def _wake(self, execution_ids: Sequence[str]) -> None:
        with self._lock:
            for execution_id in execution_ids:
                self._recent[execution_id] = None
                for event in self._waiting.get(execution_id, ()):
                    event.set()
            while len(self._recent) > MOST_REMEMBERED:
                self._recent.popitem(last=False)


completions = CompletionEvents(own_notifier)
