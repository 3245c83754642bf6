"""Services that beat, found by one query that joins, whatever else they have."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from registry.models import Service, ServiceAction, ServiceInstance
from registry.models.names import reference_filter
from registry.services.liveness import Heartbeat, record_heartbeat
from registry.services.state import get_service

MOST_KEPT = 10_000


class KeptActions:
    """The actions of services that beat, each for as long as its service has the same state.

    `updated_at` of a service changes with its actions, in the same transaction: what is kept for
    the state that was just read is what is committed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[UUID, tuple[datetime, list[ServiceAction]]] = {}

    def find(self, service: Service) -> list[ServiceAction]:
        """The actions of a service that was read just now."""
        with self._lock:
            state, actions = self._kept.get(service.pk, (None, []))
        if state == service.updated_at:
            return actions
        actions = list(service.actions.all())
        with self._lock:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[service.pk] = service.updated_at, actions
        return actions


kept_actions = KeptActions()


def beat_service(
    reference: str, beat: Heartbeat, *, allow: Callable[[Service], None] = lambda _: None
) -> Service:
    """Take a sign of life for the service of that id or name, if `allow` raises nothing.

    A beat that changes nothing but its time is one query and one UPDATE, or with a lease store the
    query alone.

    Raises:
        NotFound, ValidationFailed: see `record_heartbeat`.
    """
    service = find_beating(reference)
    allow(service)
    return record_heartbeat(service, beat)


def find_beating(reference: str) -> Service:
    """The service of that id or name as it is now, with its instances and actions.

    Raises:
        NotFound: there is none.
    """
    rows = list(
        ServiceInstance.objects.filter(reference_filter(reference, of="service__"))
        .select_related("service", "service__credential")
        .defer("service__credential__ciphertext")
        .order_by("service__name", "url")
    )
    if not rows:
        return get_service(reference)
    service = rows[0].service
    own = [row for row in rows if row.service_id == service.pk]
    for row in own:
        row.service = service
    service.hold_parts(instances=own, actions=kept_actions.find(service))
    return service
