"""Discovery strategies: who is alive, whatever backend knows it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db.models import QuerySet
from django.utils.module_loading import import_string

from registry.models import RegistryChange, Service, ServiceInstance

# Of what changes of a service beside its columns.
ACTIONS, INSTANCES = "actions", "instances"


@dataclass(frozen=True, kw_only=True)
class Criteria:
    """Criteria of a search; an empty field asks for nothing. Healthy services only, unless told."""

    types: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    name: str = ""
    action: str = ""
    zone: str = ""
    search: str = ""
    minimum_version: str = ""
    tags_all: tuple[str, ...] = ()
    tags_any: tuple[str, ...] = ()
    tags_none: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    # As a query string has it: "3" is both the text and the number.
    metadata_texts: Mapping[str, str] = field(default_factory=dict)
    include_offline: bool = False

    def fields(self) -> Iterator[str]:
        """Give the fields of services by which these criteria select, and the one that orders."""
        yield from ("name", "status")
        for name, selecting in SELECTING.items():
            if getattr(self, name):
                yield from selecting


# By which fields of services each of the criteria selects.
SELECTING: Mapping[str, tuple[str, ...]] = {
    "types": ("type",),
    "statuses": ("status",),
    "name": ("name",),
    "action": (ACTIONS,),
    "zone": (INSTANCES,),
    "search": ("name", "description"),
    "minimum_version": ("version",),
    "tags_all": ("tags",),
    "tags_any": ("tags",),
    "tags_none": ("tags",),
    "metadata": ("metadata",),
    "metadata_texts": ("metadata",),
    "include_offline": (),
}


@dataclass(frozen=True)
class Changes:
    """The changes after an index; `complete` is False when older entries were already dropped."""

    index: int
    entries: tuple[RegistryChange, ...]
    complete: bool


@dataclass(frozen=True)
class Staleness:
    """The backend does not answer: what is known is from before that time."""

    since: datetime
    why: str


# What a heartbeat without news changes of an instance, in the order of the table's columns.
RENEWED = ("last_heartbeat_at", "expires_at", "has_beaten", "metadata")


@dataclass(frozen=True, slots=True)
class Renewal:
    """A sign of life without news, and the instance that it is of, as it is after that.

    The instance was read for it, without a lock; `had_beaten` is as it was then.
    """

    instance: ServiceInstance
    had_beaten: bool
    brings_metadata: bool = False

    @property
    def is_of_time(self) -> bool:
        """Whether it changes nothing but when the instance was heard of and how long it lives."""
        return self.had_beaten == self.instance.has_beaten and not self.brings_metadata


class ServiceDiscoveryStrategy(ABC):
    """Holds who is alive. The database stays the record of what a service is.

    `hold`, `deregister` and `release` are called inside the caller's transaction, under the lock of
    the service.
    """

    @abstractmethod
    def renew(self, renewals: Sequence[Renewal]) -> set[UUID]:
        """Store signs of life that change no more than `RENEWED`, of one instance each.

        Return the ids of the instances for which that is done. Nothing is stored for the others:
        they are known to be other ones by now, or somebody is about to change them.
        """

    @abstractmethod
    def hold(self, instance: ServiceInstance, columns: Iterable[str] | None = None) -> None:
        """Save these columns of a locked instance, all unless told, and hold it as alive.

        It lives from its `last_heartbeat_at` on.
        """

    @abstractmethod
    def deregister(self, instance: ServiceInstance) -> None:
        """Forget an instance."""

    @abstractmethod
    def release(self, instance_ids: Iterable[Any]) -> None:
        """Let go of instances whose record is about to change.

        What was heard of them is in the record from then on, and their next sign of life is held
        against it under its lock.
        """

    @abstractmethod
    def follow(self, *, now: datetime) -> None:
        """Bring the record of who lives until when up to date with the backend.

        Raises:
            DiscoveryUnavailable: the backend does not answer.
        """

    @abstractmethod
    def staleness(self) -> Staleness | None:
        """Return since when and why the backend does not answer; None while it does."""

    @abstractmethod
    def select(self, criteria: Criteria) -> QuerySet[Service]:
        """Return the services that meet the criteria, by name, with their instances and actions."""

    def find(self, criteria: Criteria) -> list[Service]:
        """Return the same as a list."""
        return list(self.select(criteria))

    @abstractmethod
    def latest_index(self) -> int:
        """Return the index of the newest change; 0 before the first."""

    @abstractmethod
    def changes_after(self, index: int) -> Changes:
        """Return the changes after that index."""


STRATEGIES = {
    "database": "registry.discovery.database.DatabaseDiscovery",
    "redis": "registry.discovery.redis.RedisDiscovery",
    "etcd": "registry.discovery.etcd.EtcdDiscovery",
    "consul": "registry.discovery.consul.ConsulDiscovery",
}


class ServiceDiscoveryFactory:
    """Makes the strategy that a name stands for."""

    @staticmethod
    def create(name: str) -> ServiceDiscoveryStrategy:
        """Return a new strategy.

        Raises:
            ImproperlyConfigured: no strategy has this name.
        """
        path = STRATEGIES.get(name)
        if path is None:
            names = ", ".join(STRATEGIES)
            raise ImproperlyConfigured(
                f"SERVICE_DISCOVERY_BACKEND is '{name}'. Use one of: {names}."
            )
        return import_string(path)()


_strategies: dict[str, ServiceDiscoveryStrategy] = {}


def get_discovery() -> ServiceDiscoveryStrategy:
    """Return the strategy that the settings name, made once per process."""
    name = settings.SERVICE_DISCOVERY_BACKEND
    if name not in _strategies:
        _strategies[name] = ServiceDiscoveryFactory.create(name)
    return _strategies[name]


def forget_strategies() -> None:
    """Have the next call make its strategy anew, of the settings of then; for tests."""
    _strategies.clear()
