"""Takes the earlier registry over from Redis, follows it, and writes the hub's services into it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis
from django.core.exceptions import PermissionDenied

from core.api.serializers import represent
from core.exceptions import IntegrationError
from integration_site.legacy.redis_entries import (
    PREFIX,
    TTL_SECONDS,
    EntryRefused,
    RedisEntry,
    entry_text,
    read_entry,
    registration_of,
    type_key,
)
from registry.api.service_serializers import ServiceSerializer
from registry.models import HEALTHY, Service, ServiceInstance, ServiceStatus
from registry.policies.registering import Registrant
from registry.services import Registration, register_service, set_instance_status
from registry.services.aliases import aliases_of, keep_alias
from registry.services.lookup import base_url_of
from registry.services.plain_changes import Applicant
from registry.services.registrations import register_many

BATCH = 200
TIMEOUT_SECONDS = 5
# An expiry that is later by more than this was put off: there was a heartbeat.
SLACK_SECONDS = 1.0
# What Redis takes for a pattern in the keys that are looked for.
_GLOB, _ESCAPED = re.compile(r"([*?\[\]\\^-])"), r"\\\1"
WRITTEN = (*HEALTHY, ServiceStatus.MAINTENANCE)


@dataclass(slots=True)
class Taken:
    """What came of a look at Redis: ids of services, those that were left with the reason."""

    registered: list[str] = field(default_factory=list)
    renewed: list[str] = field(default_factory=list)
    mended: dict[str, list[str]] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    written: int = 0
    removed: int = 0


@dataclass(frozen=True, slots=True)
class Sighting:
    """An entry as it was seen, and until when it lives in Redis, in seconds since 1970."""

    entry: RedisEntry
    expires_at: float

    def is_renewal_of(self, before: Sighting) -> bool:
        """Return whether there was a sign of life since."""
        put_off = self.expires_at - before.expires_at > SLACK_SECONDS
        return put_off or self.entry.pulse != before.entry.pulse


class RedisRegistry:
    """The keys of the earlier registry in one database of Redis."""

    def __init__(self, url: str, *, prefix: str = PREFIX) -> None:
        self._redis = redis.Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
        )
        self.prefix = prefix

    def read(self, *, left: dict[str, str]) -> dict[str, Sighting]:
        """Return the entries by id; why others are none is put into `left`."""
        types = f"{self.prefix}type:"
        keys = list(self._redis.scan_iter(f"{_GLOB.sub(_ESCAPED, self.prefix)}*", count=1000))
        found: dict[str, Sighting] = {}
        for batch in _batches(sorted({k for k in keys if not k.startswith(types)})):
            for key, (text, milliseconds) in zip(batch, self._values(batch), strict=True):
                service_id = key.removeprefix(self.prefix)
                if text is None:
                    continue  # it ended just now, or is no text
                try:
                    entry = read_entry(service_id, text)
                except EntryRefused as error:
                    left[service_id] = str(error)
                else:
                    found[service_id] = Sighting(entry, time.time() + milliseconds / 1000)
        return found

    def _values(self, keys: Sequence[str]) -> list[tuple[str | None, int]]:
        with self._redis.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.get(key)
                pipe.pttl(key)
            answers = pipe.execute(raise_on_error=False)
        texts = [text if isinstance(text, str) else None for text in answers[::2]]
        return list(zip(texts, answers[1::2], strict=True))

    def write(self, texts: Mapping[str, tuple[str, str]]) -> None:
        """Write entries, each under its id as a type and a text, for as long as a heartbeat is."""
        for batch in _batches([*texts]):
            with self._redis.pipeline(transaction=False) as pipe:
                for service_id in batch:
                    kind, text = texts[service_id]
                    pipe.set(self.prefix + service_id, text, ex=TTL_SECONDS)
                    pipe.sadd(type_key(self.prefix, kind), service_id)
                pipe.execute()

    def remove(self, entries: Mapping[str, str]) -> None:
        """Remove entries, each given with its type."""
        with self._redis.pipeline(transaction=False) as pipe:
            for service_id, kind in entries.items():
                pipe.delete(self.prefix + service_id)
                pipe.srem(type_key(self.prefix, kind), service_id)
            pipe.execute()

    def close(self) -> None:
        self._redis.close()


class RegistrySync:
    """Keeps the hub as Redis has it, and the other way round if asked."""

    def __init__(self, store: RedisRegistry, *, owner: str = "") -> None:
        self._store = store
        self._registrant = Registrant(name=owner)
        self._seen: dict[str, Sighting] = {}

    def look(self, *, both_ways: bool = False) -> Taken:
        """Take over what is new, or gave a sign of life since the last look.

        Who gave none is given up as the hub gives up anybody, so that a Redis that lost its keys
        takes nobody down.

        Raises:
            redis.RedisError: Redis does not answer.
        """
        taken = Taken()
        found = self._store.read(left=taken.left)
        foreign = {key: seen for key, seen in found.items() if not seen.entry.is_own}
        due = {key: seen for key, seen in foreign.items() if self._is_due(key, seen)}
        for batch in _batches([*due]):
            self._register({key: due[key] for key in batch}, taken)
        self._seen = {key: seen for key, seen in foreign.items() if key not in taken.left}
        if both_ways:
            self._write_back(found, foreign, taken)
        return taken

    def _is_due(self, key: str, seen: Sighting) -> bool:
        before = self._seen.get(key)
        if before is None or before.entry.identity != seen.entry.identity:
            return True
        return seen.is_renewal_of(before)

    def _register(self, entries: Mapping[str, Sighting], taken: Taken) -> None:
        """Register several together; what is not plain, or is refused, goes one by one."""
        registrations: dict[str, Registration] = {}
        for key, seen in entries.items():
            try:
                registrations[key], mended = registration_of(seen.entry)
            except (EntryRefused, IntegrationError) as error:
                taken.left[key] = _sentence(error)
                continue
            if mended:
                taken.mended[key] = list(mended)
        applicant = Applicant(registrant=self._registrant)
        plain = register_many([(each, applicant) for each in registrations.values()])
        for (key, registration), done in zip(registrations.items(), plain, strict=True):
            try:
                if done is None:
                    service = register_service(registration, registrant=self._registrant).service
                else:
                    service = done.reading.service()
                self._settle(key, entries[key], registration, service, taken)
            except (IntegrationError, PermissionDenied) as error:
                taken.left[key] = _sentence(error)

    def _settle(
        self, key: str, seen: Sighting, registration: Registration, service: Service, taken: Taken
    ) -> None:
        """Have the instance known by its id, and leave maintenance where it did."""
        instance = next(
            i for i in service.instances.all() if i.url == base_url_of(registration.url or "")
        )
        before = self._seen.get(key)
        if before is None or before.entry.identity != seen.entry.identity:
            keep_alias(key, instance.pk)
            taken.registered.append(key)
        else:
            taken.renewed.append(key)
        status = str(registration.status)
        if ServiceStatus.MAINTENANCE in (instance.status, status) and instance.status != status:
            set_instance_status(service, str(instance.pk), status, actor="adopt_redis")

    def _write_back(
        self, found: Mapping[str, Sighting], foreign: Mapping[str, Sighting], taken: Taken
    ) -> None:
        """Write the instances that can be called and are not from there; remove those gone."""
        texts = {key: each for key, each in _entries_of_hub() if key not in foreign}
        self._store.write(texts)
        own = {key: seen.entry for key, seen in found.items() if seen.entry.is_own}
        gone = {k: str(e.fields.get("type")) for k, e in own.items() if k not in texts}
        self._store.remove(gone)
        taken.written, taken.removed = len(texts), len(gone)


def _entries_of_hub() -> Iterator[tuple[str, tuple[str, str]]]:
    """Give type and text of each instance that can be called, by the id that others know."""
    services = Service.objects.with_parts().order_by("name").iterator(chunk_size=BATCH)
    for batch in _batches(list(services)):
        instances: list[ServiceInstance] = [
            i for s in batch for i in s.instances.all() if i.usable_status in WRITTEN
        ]
        aliases = aliases_of([instance.pk for instance in instances])
        answers = {service.pk: represent(ServiceSerializer, service) for service in batch}
        for instance in instances:
            key = aliases.get(instance.pk, str(instance.pk))
            answer: Any = answers[instance.service_id]
            yield key, (answer["type"], entry_text(answer, str(instance.pk), key))


def _batches(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for first in range(0, len(values), BATCH):
        yield values[first : first + BATCH]


def _sentence(error: Exception) -> str:
    return str(getattr(error, "message", "") or error)
