"""Discovery with leases in another system: that one knows who is alive, the database the rest."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import structlog
from django.db import transaction

from registry.discovery.availability import Reach
from registry.discovery.base import Renewal, Staleness
from registry.discovery.database import DatabaseDiscovery
from registry.exceptions import DiscoveryUnavailable
from registry.models import DiscoveryState, ServiceInstance

logger = structlog.get_logger(__name__)

T = TypeVar("T")

# A backend is near, and who asks it has a caller waiting.
TIMEOUT_SECONDS = 1.0
BATCH = 500
FOLLOWED = ("last_heartbeat_at", "expires_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """An instance is alive: as of when, for how long, and with which status.

    `name` and `url` are for backends that show services to others.
    """

    id: str
    status: str
    beat_at: datetime
    ttl_seconds: int
    name: str = ""
    url: str = ""


def read_leases(held: Iterable[tuple[str, T]], read: Callable[[str, T], Lease]) -> dict[str, Lease]:
    """Return leases by their ids, without what cannot be read: others may write to the store too.

    One text that is no lease must not keep the sweep from all the others.
    """
    leases: dict[str, Lease] = {}
    for lease_id, value in held:
        try:
            UUID(lease_id)
            leases[lease_id] = read(lease_id, value)
        except (LookupError, TypeError, ValueError, OverflowError, OSError) as error:
            logger.warning("lease_unreadable", lease=lease_id[:100], error=str(error)[:300])
    return leases


class LeaseStore(ABC):
    """A system in which leases end by themselves.

    Every method may raise one of `errors` when the system does not answer.
    """

    name: str
    errors: tuple[type[Exception], ...]

    @abstractmethod
    def put(self, lease: Lease) -> None:
        """Hold a lease from now on, in place of an earlier one."""

    def put_all(self, leases: Sequence[Lease]) -> None:
        """Hold leases from now on, in place of earlier ones."""
        for lease in leases:
            self.put(lease)

    @abstractmethod
    def renew(self, leases: Sequence[Lease]) -> Collection[str]:
        """Begin leases anew that are held, with the same status or in MAINTENANCE.

        Return their ids; for the others nothing is done.
        """

    @abstractmethod
    def drop(self, ids: Collection[str]) -> Mapping[str, Lease]:
        """End leases and return those that were held, by their ids."""

    @abstractmethod
    def live(self) -> Mapping[str, Lease]:
        """Return every lease that is held, by its id."""


class LeaseDiscovery(DatabaseDiscovery):
    """Keeps the times of signs of life in a lease store; the record follows with every sweep.

    Only times: whatever else a sign of life says is in the record when it is acknowledged. Who
    changes the record ends the lease first, which brings its time into the record and sends later
    signs of life there: to the lock that the change holds, where it holds one.

    While the store does not answer, signs of life are taken into the record as without it, and
    what is read there is said to be stale.
    """

    def __init__(self, store: LeaseStore, *, reach: Reach | None = None) -> None:
        self._store = store
        self._reach = reach or Reach(store.name, store.errors)

    def renew(self, renewals: Sequence[Renewal]) -> set[UUID]:
        if not renewals:
            return set()
        leases = [_lease_of(renewal.instance) for renewal in renewals]
        try:
            renewed = self._reach.ask(lambda: self._store.renew(leases))
        except DiscoveryUnavailable:
            return super().renew(renewals)
        is_held = {each.instance.pk: str(each.instance.pk) in renewed for each in renewals}
        in_store = {
            each.instance.pk for each in renewals if each.is_of_time and is_held[each.instance.pk]
        }
        recorded = super().renew([each for each in renewals if each.instance.pk not in in_store])
        # Leases that the store has lost, as all of them where it began anew, are held again. What
        # ended one meanwhile is in the record: the sweep ends a lease that does not fit it.
        lost = [lease for lease in leases if UUID(lease.id) in recorded and lease.id not in renewed]
        if lost:
            self._try(lambda: self._store.put_all(lost))
        return in_store | recorded

    def hold(self, instance: ServiceInstance, columns: Iterable[str] | None = None) -> None:
        super().hold(instance, columns)
        lease = _lease_of(instance)
        # If it fails, the record holds until the lease would have ended, and the next beat is not
        # known to the store: it goes into the record, and is held again.
        transaction.on_commit(lambda: self._try(lambda: self._store.put(lease)))

    def deregister(self, instance: ServiceInstance) -> None:
        self.release([instance.pk])
        super().deregister(instance)

    def release(self, instance_ids: Iterable[Any]) -> None:
        ids = [str(pk) for pk in instance_ids]
        if not ids:
            return
        # What is not ended because the store does not answer does not fit the record later on:
        # the sweep ends it then.
        with contextlib.suppress(DiscoveryUnavailable):
            held = self._reach.ask(lambda: self._store.drop(ids))
            _follow(held, list(held))

    def _try(self, question: Any) -> None:
        with contextlib.suppress(DiscoveryUnavailable):
            self._reach.ask(question)

    def follow(self, *, now: datetime) -> None:
        leases = self._reach.ask(self._store.live)
        ids = list(leases)
        odd: list[str] = []
        for start in range(0, len(ids), BATCH):
            odd += _follow(leases, ids[start : start + BATCH])
        if odd:
            self._reach.ask(lambda: self._store.drop(odd))

    def staleness(self) -> Staleness | None:
        return self._reach.recent_failure() or _noted_staleness()


def _lease_of(instance: ServiceInstance) -> Lease:
    assert instance.last_heartbeat_at is not None
    return Lease(
        id=str(instance.pk),
        status=str(instance.status),
        beat_at=instance.last_heartbeat_at,
        ttl_seconds=instance.ttl_seconds,
        name=instance.service.name,
        url=instance.url,
    )


def _follow(leases: Mapping[str, Lease], ids: Sequence[str]) -> list[str]:
    """Write the times of these leases into the record; return those that do not fit it.

    Their next sign of life goes into the record, and is held again.
    """
    instances = ServiceInstance.objects.filter(pk__in=ids).select_related("service")
    rows = {str(row.pk): row for row in instances}
    later = [row for key, row in rows.items() if _take_time(row, leases[key])]
    ServiceInstance.objects.bulk_update(later, FOLLOWED, batch_size=100)
    return [key for key in ids if key not in rows or not _fits(rows[key], leases[key])]


def _fits(row: ServiceInstance, lease: Lease) -> bool:
    return row.status == lease.status and row.suspected_at is None


def _take_time(row: ServiceInstance, lease: Lease) -> bool:
    if row.last_heartbeat_at is not None and row.last_heartbeat_at >= lease.beat_at:
        return False
    row.last_heartbeat_at = lease.beat_at
    row.expires_at = row.expiry_after_sign(lease.beat_at)
    return True


def _noted_staleness() -> Staleness | None:
    """Return what the sweep found out about the store."""
    state = DiscoveryState.objects.filter(unreachable_since__isnull=False).first()
    since = state and state.unreachable_since
    return Staleness(since, state.error) if state and since else None
