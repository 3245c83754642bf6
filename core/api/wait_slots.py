"""Limits how many callers wait at once: each holds a thread that others need too."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.conf import settings

# Who finds no slot still waits so long: most things end sooner.
WITHOUT_SLOT_SECONDS = 2.0


class WaitSlots:
    """A number of slots in this process, as the settings say at the moment."""

    def __init__(self, total: Callable[[], int]) -> None:
        self._total = total
        self._lock = threading.Lock()
        self._taken = 0

    @contextmanager
    def taken(self) -> Iterator[bool]:
        """Take a slot until the block ends; False if there is none."""
        with self._lock:
            has_slot = self._taken < self._total()
            self._taken += has_slot
        try:
            yield has_slot
        finally:
            with self._lock:
                self._taken -= has_slot


watch_slots = WaitSlots(lambda: settings.WATCH_SEATS)
wait_slots = WaitSlots(lambda: settings.WAIT_SEATS)


@contextmanager
def limited_wait(seconds: float) -> Iterator[float]:
    """Return how long to wait for an execution: so many seconds with a slot, two without."""
    with wait_slots.taken() as has_slot:
        yield seconds if has_slot else min(seconds, WITHOUT_SLOT_SECONDS)
