"""How many callers may wait at once: each holds a thread that others need too."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.conf import settings

# Who finds no seat is still waited for so long: most things end sooner.
STANDING_SECONDS = 2.0


class Seats:
    """A number of seats in this process, as the settings say at the moment."""

    def __init__(self, total: Callable[[], int]) -> None:
        self._total = total
        self._lock = threading.Lock()
        self._taken = 0

    @contextmanager
    def taken(self) -> Iterator[bool]:
        """Take a seat until the block ends; False if there is none."""
        with self._lock:
            seated = self._taken < self._total()
            self._taken += seated
        try:
            yield seated
        finally:
            with self._lock:
                self._taken -= seated


watch_seats = Seats(lambda: settings.WATCH_SEATS)
wait_seats = Seats(lambda: settings.WAIT_SEATS)


@contextmanager
def bounded_wait(seconds: float) -> Iterator[float]:
    """Return how long to wait for an execution: so many seconds with a slot, two without."""
    with wait_seats.taken() as seated:
        yield seconds if seated else min(seconds, STANDING_SECONDS)
