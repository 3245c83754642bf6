"""What the statuses of its instances say about a service."""

from datetime import UTC, datetime

import pytest

from registry.models import ServiceInstance
from registry.models.status import derive_status

GONE_SILENT = datetime(2026, 1, 1, tzinfo=UTC)


def instance(word: str) -> ServiceInstance:
    """`SILENT` is OFFLINE because its heartbeats stopped; `OFFLINE` said so itself."""
    if word == "SILENT":
        return ServiceInstance(status="OFFLINE", expired_at=GONE_SILENT)
    return ServiceInstance(status=word)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("ONLINE", "ONLINE"),
        ("DEGRADED", "DEGRADED"),
        ("OFFLINE", "OFFLINE"),
        ("SILENT", "OFFLINE"),
        ("MAINTENANCE", "MAINTENANCE"),
        ("UNKNOWN", "UNKNOWN"),
        ("ONLINE ONLINE", "ONLINE"),
        ("ONLINE DEGRADED", "DEGRADED"),
        ("ONLINE SILENT", "DEGRADED"),
        ("ONLINE OFFLINE", "ONLINE"),
        ("ONLINE MAINTENANCE", "ONLINE"),
        ("ONLINE UNKNOWN", "ONLINE"),
        ("DEGRADED MAINTENANCE", "DEGRADED"),
        ("OFFLINE OFFLINE", "OFFLINE"),
        ("SILENT OFFLINE", "OFFLINE"),
        ("SILENT MAINTENANCE", "MAINTENANCE"),
        ("SILENT UNKNOWN", "UNKNOWN"),
        ("OFFLINE MAINTENANCE", "MAINTENANCE"),
    ],
)
def test_status_follows_from_the_instances(words: str, status: str) -> None:
    assert derive_status([instance(word) for word in words.split()]) == status
    assert derive_status([instance(word) for word in reversed(words.split())]) == status


def test_no_instance_says_nothing() -> None:
    assert derive_status([]) is None
