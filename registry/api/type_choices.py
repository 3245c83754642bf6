"""Chooses a service of a type for each who asks, among those that were read for all of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from math import inf
from random import Random
from time import monotonic
from typing import Any

from django.conf import settings
from django.http import QueryDict

from registry.api.service_pages import keys_of
from registry.api.service_rendering import render_chosen
from registry.calls.targets.load_balancing import CHANCE, Candidates, calls_in_flight
from registry.calls.targets.resolver import Endpoint
from registry.discovery.base import INSTANCES, Criteria, get_discovery
from registry.models import HEALTHY, Service, ServiceStatus, ServiceType
from registry.services.readings import ServiceReading, read_renewals, read_services

# Who beat is looked for no sooner again; a choice is told as it was within the last second.
RENEWALS_SECONDS = 0.4
# Where more changed, all is read anew.
MOST_CHANGED = 200
PATH = "/discovery/services/type/{type}"


@dataclass(frozen=True, slots=True)
class Choice:
    """The instance that was chosen, by its id and that of its service."""

    service_id: str
    instance_id: str
    fail_open: bool


@dataclass(frozen=True, slots=True)
class ServicesRead:
    """These services as they were read; those that have nobody to choose any more are missing.

    `index` is the newest change before. `renewals` are what was read of all, where they were, at a
    time in monotonic seconds.
    """

    keys: Collection[str]
    readings: Mapping[str, _Rendering]
    index: int
    renewals: Mapping[str, list[Any]] | None = None
    renewals_at: float = -inf


class TypeChoices:
    """The healthy services of a type with instances to call, each rendered once it is chosen.

    A choice costs the same however many there are. What `read` reads is for any thread, all else
    for one, which takes it over by `apply`.
    """

    # By which fields of services their instances are chosen.
    fields = frozenset({"type", "status", INSTANCES})

    def __init__(self, type_name: str, zone: str) -> None:
        self._type_name = type_name
        self._zone = zone
        self._renderings: dict[str, _Rendering] = {}
        self._candidates: Candidates[Endpoint] = Candidates(())
        self._index = 0
        self._renewals: Mapping[str, list[Any]] = {}
        self._renewals_at = -inf

    def __bool__(self) -> bool:
        return bool(self._candidates)

    def __len__(self) -> int:
        return len(self._renderings)

    def read_all(self) -> ServicesRead:
        """Return all as they are now. Four queries."""
        index, read_at = get_discovery().latest_index(), monotonic()
        services = get_discovery().select(Criteria(types=(self._type_name,)))
        renewals = read_renewals(self._type_name)
        read = self.read([str(key) for key in keys_of(services)])
        return replace(read, index=index, renewals=renewals, renewals_at=read_at)

    def read_changes(self) -> ServicesRead | None:
        """Return what changed, and who beat, as it is now; None where this cannot tell.

        At most four queries. Who beat is looked for seldom: it takes the longer, the more there
        are.
        """
        if get_discovery().staleness() is not None:
            return None
        changes = get_discovery().changes_after(self._index)
        keys = {str(entry.service_id) for entry in changes.entries}
        if not changes.complete or len(keys) > MOST_CHANGED:
            return None
        if monotonic() < self._renewals_at + RENEWALS_SECONDS:
            return replace(self.read(keys), index=changes.index)
        renewals, read_at = read_renewals(self._type_name), monotonic()
        keys |= {key for key in self._renderings if renewals.get(key) != self._renewals.get(key)}
        read = self.read(keys)
        return replace(read, index=changes.index, renewals=renewals, renewals_at=read_at)

    def read(self, keys: Collection[str]) -> ServicesRead:
        """Return these services as they are now. One query."""
        read_at = monotonic()
        readings = {
            key: _Rendering(reading, read_at)
            for key, reading in read_services(keys).items()
            if self._is_choice(reading.state.service)
        }
        return ServicesRead(keys, readings, self._index)

    def _is_choice(self, service: Service) -> bool:
        return service.type == self._type_name and service.status in HEALTHY

    def apply(self, read: ServicesRead) -> None:
        """Choose among these as they were read from now on, and among the others as before."""
        is_same = True
        for key in read.keys:
            before, now = self._renderings.pop(key, None), read.readings.get(key)
            is_same &= (before and before.endpoints) == (now and now.endpoints)
            if now is not None:
                self._renderings[key] = now
        self._index = max(self._index, read.index)
        if read.renewals is not None:
            self._renewals, self._renewals_at = read.renewals, read.renewals_at
        if not is_same:
            endpoints = (e for each in self._renderings.values() for e in each.endpoints)
            self._candidates = Candidates(endpoints, zone=self._zone)

    def choose(self, chance: Random = CHANCE) -> Choice:
        """Return the next choice; there has to be one."""
        selection = self._candidates.select(in_flight=calls_in_flight.__getitem__, chance=chance)
        endpoint = next(selection.order)
        return Choice(endpoint.service_id, endpoint.id, selection.fail_open)

    def render(self, choice: Choice, *, oldest: float) -> bytes | None:
        """Return what is answered of a choice; None if it may have been another since `oldest`.

        That is in monotonic seconds. None also where it is no choice any more.
        """
        rendering = self._renderings.get(choice.service_id)
        if rendering is None:
            return None
        is_as_read = not rendering.ages and self._renewals_at >= oldest
        if rendering.read_at < oldest and not is_as_read:
            return None
        return rendering.of(choice.instance_id, choice.fail_open)


class _Rendering:
    """A service as it was read, and what is answered of it by the instance that is chosen."""

    def __init__(self, reading: ServiceReading, read_at: float) -> None:
        self._reading = reading
        self._bodies: dict[tuple[str, bool], bytes] = {}
        self.read_at = read_at
        # Why an instance is not ONLINE may be told with the seconds since it was heard of.
        self.ages = any(
            instance.usable_status != ServiceStatus.ONLINE or instance.suspect
            for instance in reading.state.instances
        )
        self.endpoints = [
            Endpoint(
                id=str(instance.pk),
                url=instance.url,
                status=instance.usable_status,
                weight=instance.weight,
                zone=instance.zone,
                suspect=instance.suspect,
                service_id=str(instance.service_id),
            )
            for instance in reading.state.instances
        ]

    def of(self, instance_id: str, fail_open: bool) -> bytes | None:
        body = self._bodies.get((instance_id, fail_open))
        if body is None:
            instances = self._reading.state.instances
            chosen = next((each for each in instances if str(each.pk) == instance_id), None)
            if chosen is None:
                return None
            body = render_chosen(self._reading, chosen, fail_open=fail_open)
            self._bodies[instance_id, fail_open] = body
        return body


def read_choices(path: str, query: str) -> TypeChoices | None:
    """Return what those choose from who ask for this path.

    None where there is nothing to choose, or the discovery backend does not answer: then the view
    says so.
    """
    try:
        service_type = ServiceType.parse(path.rpartition("/")[2])
    except ValueError:
        return None
    if get_discovery().staleness() is not None:
        return None
    choices = TypeChoices(str(service_type.value), QueryDict(query).get("zone") or settings.ZONE)
    choices.apply(choices.read_all())
    return choices or None
