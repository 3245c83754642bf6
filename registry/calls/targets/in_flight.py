"""How many calls this process has under way, by instance."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class CallsInFlight:
    """Counts calls between their begin and their end; may be read from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def __getitem__(self, instance_id: str) -> int:
        return self._counts[instance_id]

    @contextmanager
    def counted(self, instance_id: str) -> Iterator[None]:
        """Count one call until the block ends."""
        with self._lock:
            self._counts[instance_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._counts[instance_id] -= 1
                if not self._counts[instance_id]:
                    del self._counts[instance_id]


calls_in_flight = CallsInFlight()
