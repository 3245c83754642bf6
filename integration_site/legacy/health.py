"""The health of the system as the earlier system told of it (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from integration_site.legacy.model import Exchange, Json
from integration_site.legacy.vocabulary import CIRCUIT_STATES, SERVICE_STATUSES, old_value


@dataclass(frozen=True, slots=True)
class FleetMember:
    """An instance with its circuit, if it was ever called."""

    id: UUID
    status: str
    circuit_id: UUID | None = None
    circuit_state: str | None = None
    failure_count: int = 0
    success_count: int = 0
    last_failure_at: datetime | None = None


def system_health(answer: Any, exchange: Exchange) -> Any:
    """Answer statuses and circuits by the id of each service, and one word for all."""
    aliases = exchange.aliases
    statuses = {
        _key(member.id, aliases): str(old_value(SERVICE_STATUSES, member.status))
        for member in exchange.fleet
    }
    return {
        **answer,
        "status": overall(statuses.values(), works=answer["status"] != "OFFLINE"),
        "service_statuses": statuses,
        "circuit_breaker_statuses": {
            _key(member.id, aliases): _circuit_of(member, _key(member.id, aliases))
            for member in exchange.fleet
            if member.circuit_id is not None
        },
    }


def overall(statuses: Any, *, works: bool) -> str:
    """Return HEALTHY where all are ONLINE, DEGRADED where any is OFFLINE, otherwise UNHEALTHY.

    Without anybody who carries out workflows the hub itself is UNHEALTHY.
    """
    words = set(statuses)
    if not works:
        return "UNHEALTHY"
    if words <= {"ONLINE"}:
        return "HEALTHY"
    return "DEGRADED" if "OFFLINE" in words else "UNHEALTHY"


def circuit_breakers(answer: Any, exchange: Exchange) -> Any:
    """Answer the circuits by the id of each service, beside the list of the API."""
    items: Sequence[Json] = [item for item in answer["items"] if item.get("instance_id")]
    return {
        **answer,
        "circuit_breakers": {
            (key := _key(UUID(item["instance_id"]), exchange.aliases)): _circuit(
                key,
                item["id"],
                item["state"],
                (item["failure_count"], item["success_count"]),
                item["last_failure_at"],
            )
            for item in items
        },
    }


def circuit_instances(answer: Any) -> list[UUID]:
    """Return the ids of the instances in a list of circuits."""
    return [UUID(item["instance_id"]) for item in answer["items"] if item.get("instance_id")]


def _circuit_of(member: FleetMember, key: str) -> Json:
    at = member.last_failure_at
    return _circuit(
        key,
        str(member.circuit_id),
        str(member.circuit_state),
        (member.failure_count, member.success_count),
        at.isoformat() if at else None,
    )


def _circuit(key: str, pk: str, state: str, counts: tuple[int, int], failed_at: Any) -> Json:
    old_state = old_value(CIRCUIT_STATES, state)
    failures, successes = counts
    return {
        "id": pk,
        "service_id": key,
        "state": old_state,
        "failure_count": failures,
        "last_failure_time": failed_at,
        "half_open_call_count": successes if old_state == "HALF_OPEN" else 0,
    }


def _key(instance_id: UUID, aliases: Mapping[UUID, str]) -> str:
    return aliases.get(instance_id, str(instance_id))
