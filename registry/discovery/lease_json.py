"""Leases as JSON, for backends that hold a text for each (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from registry.discovery.leases import Lease


def document_of(lease: Lease) -> dict[str, Any]:
    """Return what is held of a lease; its id is the key."""
    return {
        "status": lease.status,
        "beat_at": lease.beat_at.timestamp(),
        "ttl_seconds": lease.ttl_seconds,
    }


def lease_of(lease_id: str, held: Mapping[str, Any]) -> Lease:
    """Return the lease that is held."""
    return Lease(
        id=lease_id,
        status=held["status"],
        beat_at=datetime.fromtimestamp(held["beat_at"], UTC),
        ttl_seconds=held["ttl_seconds"],
    )


def renewed(lease: Lease, held: Mapping[str, Any]) -> Lease | None:
    """Return the lease that a renewal makes; None where it has to be put anew.

    That is where its status changed, except from MAINTENANCE, which stays until it is lifted, or
    its length, which these backends cannot change.
    """
    if held["status"] not in (lease.status, "MAINTENANCE"):
        return None
    if held["ttl_seconds"] != lease.ttl_seconds:
        return None
    return replace(lease, status=held["status"])
