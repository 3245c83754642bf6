"""Reads services with their parts as they are now: many in one query, little work for each.

Most of what is read of a service that beats is what was read of it the time before. So PostgreSQL
answers a hash of that, of 64 bits, and all the columns are read where it differs.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db import connection

from core.cache import BoundedCache
from core.db.rows import among, fetch_all, read_rows, row_reader
from core.identifiers import read_id
from registry.discovery.base import RENEWED
from registry.models import Credential, Service, ServiceAction, ServiceInstance

MOST_STATES = 10_000
Row = tuple[Any, ...]


class ServiceState:
    """All of a service, its instances and its actions, but for what a heartbeat renews.

    Readings share it for as long as it is so: nobody may change its rows.
    """

    def __init__(self, rows: Sequence[Row], actions: list[ServiceAction]) -> None:
        self.rows = rows
        self.versions = _versions_of(rows)
        self.service = _service_of(rows, actions)
        self.instances: list[ServiceInstance] = list(self.service.instances.all())

        self.places = {instance.id: place for place, instance in enumerate(self.instances)}
        self.by_url = {instance.url: instance for instance in self.instances}
        self.rendering: Any = None  # what an edge keeps with it


class ServiceReading:
    """A service as it was read; `renewed` are the values of `RENEWED` of each instance."""

    def __init__(self, state: ServiceState, rows: Sequence[Row]) -> None:
        self.state = state
        read = _readers().renewed.values
        self.renewed = [tuple(read(row)) for row in rows]

    def instance_of(self, shared: ServiceInstance) -> ServiceInstance:
        """Return an instance of the state as it is here, as a row that nobody else has."""
        instance = ServiceInstance.__new__(ServiceInstance)
        instance.__dict__.update(shared.__dict__)
        values = self.renewed[self.state.places[shared.id]]
        instance.__dict__.update(zip(RENEWED, values, strict=True))
        return instance

    def renew(self, instance: ServiceInstance) -> None:
        """Take over what a heartbeat renewed of an instance."""
        self.renewed[self.state.places[instance.id]] = _renewed_of(instance)

    def service(self) -> Service:
        """Return rows of the caller's own, with instances and actions as prefetched."""
        service = _service_of(self.state.rows, list(self.state.service.actions.all()))
        for instance, values in zip(service.instances.all(), self.renewed, strict=True):
            instance.__dict__.update(zip(RENEWED, values, strict=True))
        return service


_renewed_of = attrgetter(*RENEWED)
_states: BoundedCache[UUID, ServiceState] = BoundedCache(MOST_STATES)


def read_services(references: Collection[str]) -> dict[str, ServiceReading]:
    """Return the services of these ids or names that have instances, by reference, as they are now.

    One query, and others for those that are not as they were the time before.
    """
    ids = {text: key for text in references if (key := read_id(text)) is not None}
    names = {
        text: text.strip().lower()
        for text in references
        if text not in ids and text.isascii() and "\x00" not in text
    }
    if not ids and not names:
        return {}
    # Once, where one is asked for by both.
    by_service = {
        **_fetch("lower(name)", "text", names.values()),
        **_fetch("id", "uuid", ids.values()),
    }
    readings = _readings_of(by_service.values())
    by_key = {reading.state.service.pk: reading for reading in readings}
    by_name = {reading.state.service.name.lower(): reading for reading in readings}
    of_ids = {text: by_key[key] for text, key in ids.items() if key in by_key}
    return of_ids | {text: by_name[name] for text, name in names.items() if name in by_name}


def read_renewals(type_name: str) -> dict[str, list[Any]]:
    """Return by the id of each service of a type what differs once one of its instances has beaten.

    One query, which reads them all: two microseconds each.
    """
    is_postgresql = connection.vendor == "postgresql"
    renewed = ", ".join(f"service_instance.{name}" for name in RENEWED)
    digest = f"hash_record_extended(ROW({renewed}), 0)" if is_postgresql else renewed
    renewals: defaultdict[str, list[Any]] = defaultdict(list)
    for key, *values in fetch_all(
        f"SELECT service_instance.service_id{'::text' if is_postgresql else ''}, {digest}"  # noqa: S608
        " FROM service_instance JOIN registered_service"
        " ON registered_service.id = service_instance.service_id"
        " WHERE registered_service.type = %s"
        " ORDER BY service_instance.id",
        [type_name],
    ):
        renewals[key if is_postgresql else str(UUID(key))].append(values)
    return renewals


def _readings_of(services: Iterable[list[Row]]) -> list[ServiceReading]:
    readings, changed = [], []
    read_key = _readers().key
    for rows in services:
        state = _states.get(read_key(rows[0]))
        if state is not None and state.versions == _versions_of(rows):
            readings.append(ServiceReading(state, rows))
        else:
            changed.append(rows)
    if changed and connection.vendor == "postgresql":
        changed_ids = [read_key(rows[0]) for rows in changed]
        changed = list(_fetch("id", "uuid", changed_ids, whole=True).values())
    return readings + _read_whole(changed) if changed else readings


def read_new(ids: Collection[UUID]) -> dict[UUID, ServiceReading]:
    """Return services that were stored just now with their instances, by their ids."""
    readings = _read_whole(list(_fetch("id", "uuid", ids, whole=True).values()))
    return {reading.state.service.id: reading for reading in readings}


def read_changed(before: Sequence[ServiceReading]) -> dict[UUID, ServiceReading]:
    """Return services anew of which something else than their actions was changed just now."""
    actions = {
        reading.state.service.pk: list(reading.state.service.actions.all()) for reading in before
    }
    services = list(_fetch("id", "uuid", actions, whole=True).values())
    return {reading.state.service.pk: reading for reading in _kept(services, actions)}


def _read_whole(services: list[list[Row]]) -> list[ServiceReading]:
    """Return readings of all columns of services; their actions are read here."""
    read_key = _readers().key
    actions: defaultdict[UUID, list[ServiceAction]] = defaultdict(list)
    condition, params = among("service_id", [read_key(rows[0]) for rows in services], "uuid[]")
    for action in read_rows(ServiceAction, f"WHERE {condition} ORDER BY name", params):
        actions[action.service_id].append(action)
    return _kept(services, actions)


def _kept(
    services: list[list[Row]], actions: Mapping[UUID, list[ServiceAction]]
) -> list[ServiceReading]:
    """Return readings of all columns of services, whose states are kept from now on."""
    read_key = _readers().key
    readings = []
    for rows in services:
        key = read_key(rows[0])
        # `updated_at` of a service changes with its actions, in the same transaction: what is
        # kept for the state that was just read is what is committed.
        _states[key] = state = ServiceState(rows, actions[key])
        readings.append(ServiceReading(state, rows))
    return readings


class _Readers:
    """What reads each part of a row, in the order of the columns.

    First come the id of the service and the version, then what beats renew, then all the rest.
    """

    def __init__(self) -> None:
        self.key = row_reader(Service, ("id",)).readers[0]
        at = 2
        self.renewed = row_reader(ServiceInstance, RENEWED, offset=at)
        at = self.fixed_from = at + len(self.renewed.names)
        self.service = row_reader(Service, offset=at)
        at += len(self.service.names)
        self.credential = row_reader(Credential, ("id", "name"), offset=at)
        at += len(self.credential.names)
        self.instance = row_reader(ServiceInstance, but=RENEWED, offset=at)
        parts = (self.service, self.credential, self.instance)
        fixed = ", ".join(part.columns for part in parts)
        is_postgresql = connection.vendor == "postgresql"
        version = f"hash_record_extended(ROW({fixed}), 0)" if is_postgresql else "NULL"
        self.short = f"registered_service.id, {version}, {self.renewed.columns}"
        self.whole = f"{self.short}, {fixed}"


def _versions_of(rows: Sequence[Row]) -> list[Any]:
    """Return what differs where anything does that no beat renews; SQLite answers all of it."""
    start = _readers().fixed_from
    return [row[start:] if row[1] is None else row[1] for row in rows]


@cache
def _readers() -> _Readers:
    return _Readers()


def _service_of(rows: Sequence[Row], actions: list[ServiceAction]) -> Service:
    readers = _readers()
    service: Service = readers.service.read(rows[0])
    if service.credential_id:
        service.credential = readers.credential.read(rows[0])
    instances = []
    for row in rows:
        instance = readers.instance.read(row)
        instance.__dict__.update(zip(RENEWED, readers.renewed.values(row), strict=True))
        instance.service = service
        instances.append(instance)
    service.hold_parts(instances=instances, actions=actions)
    return service


def _fetch(
    column: str, kind: str, keys: Collection[Any], *, whole: bool = False
) -> dict[Any, list[Row]]:
    """Return the rows of these services by the service, as the driver reads them."""
    if not keys:
        return {}
    distinct = list(set(keys))
    is_postgresql = connection.vendor == "postgresql"
    tables = _TABLES if is_postgresql else _TABLES_OF_SQLITE
    marks = kind if is_postgresql else ", ".join(["%s"] * len(distinct))
    columns = _readers().short if is_postgresql and not whole else _readers().whole
    fetched: defaultdict[Any, list[Row]] = defaultdict(list)
    for row in fetch_all(
        f"SELECT {columns} FROM {tables.format(column=column, keys=marks)}"  # noqa: S608
        " LEFT JOIN credential ON credential.id = registered_service.credential_id"
        " ORDER BY service_instance.url",
        [json.dumps(distinct, default=str)] if is_postgresql else distinct,
    ):
        fetched[row[0]].append(row)
    return fetched


# Looked up one by one, whatever the planner knows of the tables: a young one it would read whole.
# Keys come as JSON: the driver is slow to write an array.
_TABLES = """
(SELECT value::{keys} AS key FROM jsonb_array_elements_text(%s::jsonb)) AS asked
CROSS JOIN LATERAL (
    SELECT * FROM registered_service WHERE {column} = asked.key OFFSET 0
) AS registered_service
CROSS JOIN LATERAL (
    SELECT * FROM service_instance WHERE service_id = registered_service.id OFFSET 0
) AS service_instance
"""
_TABLES_OF_SQLITE = """
(SELECT * FROM registered_service WHERE {column} IN ({keys})) AS registered_service
JOIN service_instance ON service_instance.service_id = registered_service.id
"""
