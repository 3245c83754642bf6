"""An old fleet on a whole hub with LEGACY_API=on, over HTTP, nothing faked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.old_client import OldService, SystemHealth, items_of, parse
from tests.support.real_hub import Hub, running_hub

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def old_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    directory: Path = tmp_path_factory.mktemp("old-hub")
    surroundings = {
        "LEGACY_API": "on",
        "ANONYMOUS_API_ROLE": "OPERATOR",
        "ANONYMOUS_API_NETWORKS": "127.0.0.0/8",
    }
    with running_hub(directory, surroundings) as hub:
        yield hub


@pytest.fixture
def old(old_hub: Hub) -> Iterator[httpx2.Client]:
    """A client as the earlier system has it: without a key."""
    with httpx2.Client(base_url=old_hub.url, timeout=40) as client:
        yield client


def test_a_service_lives_its_life(old: httpx2.Client) -> None:
    service = OldService(old, service_id="planning-7")
    assert service.register().service_id == "planning-7"
    assert service.beat().status == "ONLINE"
    assert service.health() == "ONLINE"
    assert [s.service_id for s in items_of(old.get("/discovery/services").json())] == ["planning-7"]
    health = parse(SystemHealth, old.get("/health/system").json())
    assert health.service_statuses == {"planning-7": "ONLINE"}
    assert (health.status, service.leave()) == ("HEALTHY", 204)
    for path in ("/ready", "/alive", "/health/liveness", "/health/readiness", "/openapi.json"):
        assert old.get(path).status_code == 200, path
