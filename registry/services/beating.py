"""Services that beat, found without asking the database for each beat."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from registry.exceptions import NotFound, ValidationFailed
from registry.models import Service
from registry.services.liveness import Heartbeat, record_heartbeat
from registry.services.state import get_service

KNOWN_SECONDS = 10.0
MOST_KNOWN = 10_000


class KnownServices:
    """Services as they were read at most ten seconds ago, by the reference that found them."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Service]] = {}

    def find(self, reference: str) -> Service:
        """Raises: NotFound."""
        with self._lock:
            until, service = self._known.get(reference, (0.0, None))
        if service is not None and self._clock() < until:
            return service
        service = get_service(reference)
        with self._lock:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[reference] = (self._clock() + KNOWN_SECONDS, service)
        return service

    def forget(self, reference: str) -> None:
        with self._lock:
            self._known.pop(reference, None)


known_services = KnownServices()


def beat_service(
    reference: str, beat: Heartbeat, *, allow: Callable[[Service], None] = lambda _: None
) -> Service:
    """Take a sign of life for the service of that id or name, if `allow` raises nothing.

    The service is as it was up to ten seconds ago. A beat that changes nothing but its time is one
    UPDATE, or with a lease store no query at all.

    Raises:
        NotFound, ValidationFailed: see `record_heartbeat`.
    """
    service = known_services.find(reference)
    allow(service)
    try:
        answer = record_heartbeat(service, beat)
    except (NotFound, ValidationFailed):
        known_services.forget(reference)  # perhaps an instance came or went since it was read
    else:
        if answer is not service:
            known_services.forget(reference)
        return answer
    service = get_service(reference)
    allow(service)
    return record_heartbeat(service, beat)
