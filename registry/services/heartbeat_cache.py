"""Services that beat, found by one query that joins, whatever else they have."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from core.cache import BoundedCache
from core.db.names import name_in
from core.db.pipeline import read_joined, read_row
from core.identifiers import read_id
from registry.models import Credential, Service, ServiceAction, ServiceInstance
from registry.services.heartbeats import Heartbeat, record_heartbeat
from registry.services.lookup import get_service

MOST_KEPT = 10_000
JOINED = "JOIN service_instance ON service_instance.service_id = registered_service.id"
BY_ID = f"{JOINED} WHERE registered_service.id = %s ORDER BY service_instance.url"
BY_NAME = f"{JOINED} WHERE lower(registered_service.name) = lower(%s) ORDER BY service_instance.url"


class KeptActions:
    """The actions of services that beat, each for as long as its service has the same state.

    `updated_at` of a service changes with its actions, in the same transaction: what is kept for
    the state that was just read is what is committed.
    """

    def __init__(self) -> None:
        self._kept: BoundedCache[UUID, tuple[datetime, list[ServiceAction]]] = BoundedCache(
            MOST_KEPT
        )

    def find(self, service: Service) -> list[ServiceAction]:
        """The actions of a service that was read just now."""
        state, actions = self._kept.get(service.pk, (None, []))
        if state != service.updated_at:
            actions = list(service.actions.all())
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
    key = read_id(reference)
    wanted = BY_NAME if key is None else BY_ID
    pairs = read_joined(Service, ServiceInstance, wanted, [key or name_in(reference)])
    if not pairs:
        return get_service(reference)
    service = pairs[0][0]
    own = [instance for _, instance in pairs]
    for instance in own:
        instance.service = service
    if service.credential_id:
        where = [service.credential_id]
        service.credential = read_row(Credential, "WHERE id = %s", where, only=("id", "name"))
    service.hold_parts(instances=own, actions=kept_actions.find(service))
    return service
