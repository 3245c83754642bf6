"""What the earlier registry keeps in Redis: a text of JSON for each service (pure).

`service:<id>` is a ServiceInfo that expires after 60 s unless it is renewed; the set
`service:type:<TYPE>` has the ids of those of a type.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.json import strict
from integration_site.legacy.model import Json
from integration_site.legacy.services import service_info
from integration_site.legacy.vocabulary import SERVICE_TYPES, old_value
from registry.api.endpoints import actions_of
from registry.models import ServiceStatus, ServiceType
from registry.services import Registration

PREFIX = "service:"
TTL_SECONDS = 60
# What a service says of itself, and not of how it is just now.
_OF_NOW = ("last_heartbeat", "status", "updated_at")
# By this the hub knows what it wrote itself; earlier parsers ignore it.
MARK = "written_by_hub"
_NAMES = (
    "service_id", "name", "type", "version", "base_url", "health_check_url", "endpoints",
    "metadata", "status", "last_heartbeat", "registered_at",
)  # fmt: skip


class EntryRefused(ValueError):
    """An entry that is no service, with a sentence."""


@dataclass(frozen=True, slots=True)
class RedisEntry:
    """A service as it stands in Redis."""

    service_id: str
    fields: Json

    @property
    def is_own(self) -> bool:
        """Whether the hub wrote it."""
        return bool(self.fields.get(MARK))

    @property
    def identity(self) -> str:
        """What it says of itself: the same for as long as it only beats."""
        said = {name: value for name, value in self.fields.items() if name not in _OF_NOW}
        return json.dumps(said, sort_keys=True)

    @property
    def pulse(self) -> tuple[str, str]:
        """What changes with each of its heartbeats."""
        return str(self.fields.get("last_heartbeat")), str(self.fields.get("status"))


def read_entry(service_id: str, text: str) -> RedisEntry:
    """Return the entry under an id.

    Raises:
        EntryRefused: it is no JSON object.
    """
    try:
        fields = strict.parse(text.encode())
    except strict.JSONRefused as error:
        raise EntryRefused(f"It is not usable JSON: {error}") from None
    if not isinstance(fields, dict):
        raise EntryRefused("It is no JSON object.")
    return RedisEntry(service_id, fields)


def registration_of(entry: RedisEntry) -> tuple[Registration, tuple[str, ...]]:
    """Return the registration that an entry stands for, and what of it was mended.

    Raises:
        EntryRefused: it has no name or no address.
    """
    fields, mended = entry.fields, list[str]()
    for name in ("name", "base_url"):
        if not isinstance(fields.get(name), str) or not fields[name].strip():
            raise EntryRefused(f"It has no {name}.")
    kind = _parsed(ServiceType, fields.get("type"), ServiceType.CUSTOM, "type", mended)
    status = _parsed(ServiceStatus, fields.get("status"), ServiceStatus.ONLINE, "status", mended)
    metadata = fields.get("metadata")
    health_url = fields.get("health_check_url")
    return Registration(
        name=fields["name"].strip(),
        url=fields["base_url"].strip(),
        fields={
            "type": kind,
            "version": str(fields.get("version") or "")[:50] or None,
            "metadata": metadata if isinstance(metadata, dict) and metadata else None,
        },
        instance_fields={
            "ttl_seconds": TTL_SECONDS,
            **({"health_url": health_url} if isinstance(health_url, str) and health_url else {}),
        },
        actions=_actions_of(fields.get("endpoints"), mended),
        status=status,
    ), tuple(mended)


def _parsed(vocabulary: Any, value: Any, otherwise: Any, name: str, mended: list[str]) -> str:
    """Return a value in any case; one that nobody knows becomes another, which is noted."""
    try:
        return str(vocabulary.parse(value).value)
    except ValueError:
        mended.append(f"its {name} was {value!r}, and is {otherwise.value} now")
        return str(otherwise.value)


def _actions_of(endpoints: Any, mended: list[str]) -> list[Json] | None:
    if not endpoints:
        return None
    usable = [e for e in endpoints if _is_endpoint(e)] if isinstance(endpoints, list) else []
    if not isinstance(endpoints, list) or len(usable) != len(endpoints):
        mended.append("some of its endpoints are none, and were left out")
    names = ("path", "method", "description", "required_permissions")
    known = [{name: e[name] for name in names if e.get(name) is not None} for e in usable]
    return actions_of(known, taken=set()) or None


def _is_endpoint(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("path"), str):
        return False
    texts = (value.get("method"), value.get("description"))
    permissions = value.get("required_permissions") or []
    return (
        value["path"].startswith("/")
        and all(text is None or isinstance(text, str) for text in texts)
        and isinstance(permissions, list)
        and all(isinstance(each, str) for each in permissions)
    )


def entry_text(service: Json, instance_id: str, service_id: str) -> str:
    """Return what the hub writes for an instance of a service that the API answers so."""
    info = service_info(service, chosen=instance_id, given=service_id, aliases={})
    metadata = info["metadata"] if isinstance(info.get("metadata"), Mapping) else {}
    entry = {name: info[name] for name in _NAMES} | {"metadata": metadata}
    return json.dumps({**entry, MARK: True}, default=str)


def type_key(prefix: str, kind: str) -> str:
    """Return the key of the set of ids of a type."""
    return f"{prefix}type:{old_value(SERVICE_TYPES, kind)}"
