"""Hubs and reference services in processes of their own."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import made_once
from tests.support.real_hub import Hub, running_hub
from tests.support.waiting import until

SERVICES = 11


def surroundings_of(name: str) -> dict[str, str]:
    """The servers that a hub of this name uses: none with SQLite, else databases of its own."""
    if "POSTGRES_HOST" not in os.environ:
        return {}
    found = {k: v for k, v in os.environ.items() if k.startswith("POSTGRES_")}
    made_once.create_database(name, template=made_once.migrated_database())
    server, _, _ = os.environ["REDIS_URL"].rpartition("/")
    return {**found, "POSTGRES_DB": name, "REDIS_URL": f"{server}/15", "SERVICE_NAME": name}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Hub]:
    """A hub without services."""
    name = Path(str(request.path)).stem.replace("-", "_")
    with running_hub(tmp_path_factory.mktemp(name), surroundings_of(name)) as found:
        yield found


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub with the reference services, which several files share."""
    with running_hub(tmp_path_factory.mktemp("fleet"), surroundings_of("fleet")) as hub:
        data = hub.directory / "services"
        hub.run(
            f"{Path(sys.executable).name} -m reference_services all --data-dir {data}"
            f" --hub {hub.url}/api --api-key {hub.key}"
        )
        until(
            lambda: hub.get("/discovery/services")["total"] == SERVICES,
            "the services register",
            tail=hub.tail,
        )
        yield hub
