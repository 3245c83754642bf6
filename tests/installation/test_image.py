"""The image and the composition do what they say: each step and command, without an engine."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.support import servers as services
from tests.support.checkout import PYTHON, checkout
from tests.support.environments import ROOT, run
from tests.support.image import Image, compose_services, is_ignored, sent_to_the_builder
from tests.support.servers import free_port, start_postgres, start_redis
from tests.support.waiting import PATIENCE, until

pytestmark = [pytest.mark.once, pytest.mark.e2e]

COMPOSE = (ROOT / "compose.yaml").read_text()
NEW_USER = ROOT / "tests" / "client" / "new_user.py"
GIVEN = {"SECRET_KEY": "k" * 50, "POSTGRES_PASSWORD": "quite secret"}
HEALTHY_SECONDS = 180


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """The image, built in a folder that every user may enter."""
    checkout()
    with tempfile.TemporaryDirectory(prefix="si-image-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        built = Image(root=Path(name))
        built.build()
        yield built


@pytest.mark.slow
def test_image_has_what_runs_and_nothing_of_this_machine(image: Image) -> None:
    sent = {file.as_posix() for file in sent_to_the_builder(ROOT)}
    assert {
        "manage.py",
        "gunicorn.conf.py",
        "registry/apps.py",
        "integration_site/configuration/reading.py",
    } <= sent
    outside = {"tests", "benchmarks", "docs", ".venv", "var", ".git"}
    assert not {Path(file).parts[0] for file in sent} & outside
    assert all(image.place(file).is_file() for file in sent)


@pytest.mark.parametrize("file", ["registry/keys.env", ".env", "client/a/b.sqlite3-wal", "dev"])
def test_secrets_stay_out_of_the_image(file: str) -> None:
    patterns = (ROOT / ".dockerignore").read_text().split()
    assert is_ignored(Path(file), [line for line in patterns if not line.startswith("#")])


@pytest.mark.slow
def test_image_runs_the_oldest_python_that_the_project_promises(image: Image) -> None:
    assert image.base.startswith("python:3.")
    assert image.ports == [int(image.environment["SERVICE_PORT"])]
    assert image.volumes == [image.environment["DATA_DIR"]]


@pytest.mark.parametrize("missing", GIVEN)
def test_composition_asks_for_what_has_no_default(missing: str) -> None:
    with pytest.raises(KeyError, match=missing):
        compose_services(COMPOSE, {**GIVEN, missing: ""})


class Composition:
    """The services of compose.yaml, their two servers replaced by throw-away ones."""

    def __init__(self, image: Image, servers: dict[str, str]) -> None:
        self.image = image
        self.port = free_port()
        self.services = compose_services(COMPOSE, GIVEN)
        # Names that only a composition resolves, and ports that are taken on this machine.
        self.own = {"SERVICE_HOST": "127.0.0.1", "SERVICE_PORT": str(self.port), **servers}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.log = image.root / "log"

    def variables(self, name: str) -> dict[str, str]:
        wanted = self.services[name].get("environment") or {}
        given = {key: value for key, value in wanted.items() if value is not None}
        return {**given, **self.own}

    def start(self, name: str) -> None:
        """Start a service; one that others wait for to complete is waited for."""
        command = shlex.split(self.services[name].get("command", "")) or self.image.command
        process = self.image.start(command, self.variables(name), self.log)
        if name in self.completed_first():
            assert process.wait(300) == 0, self.log.read_text()
        else:
            self.running[name] = process

    def completed_first(self) -> set[str]:
        return {
            name
            for service in self.services.values()
            for name, on in service.get("depends_on", {}).items()
            if on["condition"] == "service_completed_successfully"
        }

    def order(self) -> list[str]:
        graph = {name: set(s.get("depends_on", {})) for name, s in self.services.items()}
        return [name for name in TopologicalSorter(graph).static_order() if self.is_ours(name)]

    def is_ours(self, name: str) -> bool:
        return "build" in self.services[name]

    def is_healthy(self) -> bool:
        check = self.image.start(self.image.health_check, self.variables("web"), self.log)
        return check.wait(PATIENCE) == 0

    def stop(self) -> None:
        for process in self.running.values():
            if process.poll() is None:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def composition(image: Image) -> Iterator[Composition]:
    if missing := services.missing_servers():
        pytest.skip(missing)
    with start_postgres() as postgres, start_redis() as redis:
        wanted = compose_services(COMPOSE, GIVEN)["postgres"]["environment"]
        create_database(postgres.dsn(), wanted)
        servers = {
            "POSTGRES_HOST": postgres.host, "POSTGRES_PORT": str(postgres.port),
            "REDIS_HOST": redis.host, "REDIS_PORT": str(redis.port),
        }  # fmt: skip
        composed = Composition(image, servers)
        with contextlib.ExitStack() as ending:
            ending.callback(composed.stop)
            yield composed


def create_database(dsn: str, wanted: dict[str, str]) -> None:
    """A database and its owner, as PostgreSQL's image makes them; without a superuser's rights."""
    owner, name = sql.Identifier(wanted["POSTGRES_USER"]), sql.Identifier(wanted["POSTGRES_DB"])
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(owner))
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, owner))


@pytest.mark.slow
def test_composition_starts_in_its_order_and_runs_a_workflow(composition: Composition) -> None:
    """On PostgreSQL and Redis, as the image's user, until its health check says that it is well."""
    assert composition.order()[0] == "bootstrap"
    composition.start("bootstrap")
    assert not composition.is_healthy()
    for name in composition.order()[1:]:
        composition.start(name)
    assert set(composition.running) == {"web", "worker", "beat"}
    until(composition.is_healthy, seconds=HEALTHY_SECONDS, tail=composition.log.read_text)
    assert "it works" in run(PYTHON, NEW_USER, variables=access_of(composition))
    assert_all_stop(composition)


def access_of(composition: Composition) -> dict[str, str]:
    """The first login, where compose.yaml says that it is, for its user alone."""
    file = composition.image.place("/data/access.env")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    if identity := composition.image.identity():
        assert file.stat().st_uid == identity["user"]
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


def assert_all_stop(composition: Composition) -> None:
    """By TERM, with which an engine asks them to."""
    for process in composition.running.values():
        process.send_signal(signal.SIGTERM)
    for name, process in composition.running.items():
        assert process.wait(PATIENCE) in (0, -signal.SIGTERM), name


@pytest.mark.slow
def test_services_run_as_the_user_that_the_image_names(image: Image) -> None:
    program = "import os; raise SystemExit(os.geteuid() % 256)"
    process = image.start(["python", "-c", program], {}, image.root / "log")
    number: Any = image.identity().get("user", os.geteuid())
    assert process.wait(PATIENCE) == number % 256


@pytest.mark.slow
def test_ports_of_the_composition_are_those_of_the_image(image: Image) -> None:
    (published,) = compose_services(COMPOSE, GIVEN)["web"]["ports"]
    assert published.rpartition(":")[2] == str(image.ports[0])
