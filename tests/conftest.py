"""The surroundings of every test: own data directory, own servers, no network but loopback.

Django's settings read the environment once, so it is put in order here, before anything imports
them. SI_BACKEND=postgres runs the tests on throw-away PostgreSQL and Redis servers;
SI_BACKEND=sqlite, the default, on the embedded ones.
"""

import contextlib
import gc
import ipaddress
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import django
import hypothesis
import pytest
from django.conf import settings

from tests.support import made_once, servers

BACKEND = os.environ.get("SI_BACKEND", "sqlite")
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")  # empty in the process that starts the workers
# The longest first: at the end one of them would leave the other workers idle.
LONG_FILES = (
    "tests/integration_site/test_console_pages.py", "tests/e2e/", "tests/faults/",
    "tests/installation/", "tests/registry/discovery/test_conformance.py",
    "tests/workflows/reference/", "tests/reference_services/test_processes.py",
    "tests/core/api/", "tests/registry/calls/", "tests/integration_site/test_canary.py",
    "tests/registry/connections/", "tests/test_benchmarks.py", "tests/workflows/engine/",
)  # fmt: skip
# These share one hub and its services, so one worker does them.
SHARING = ("tests/e2e/test_guides.py", "tests/e2e/test_workflows.py")
SLOW_FILES = {"test_boundaries.py"}
# What these do with rows goes through Django alone: one backend shows it, and the other one does
# it too with `--slow`. What commits is not meant: there backends differ in who waits for whom.
THROUGH_DJANGO = (
    "tests/core/admin/", "tests/core/api/", "tests/core/test_addresses.py",
    "tests/core/test_identifiers.py", "tests/integration_site/", "tests/monitoring/",
    "tests/registry/admin/", "tests/registry/api/", "tests/registry/integrations/",
    "tests/registry/services/", "tests/workflows/admin/", "tests/workflows/api/",
    "tests/workflows/definition/", "tests/workflows/dry_run/", "tests/workflows/services/",
)  # fmt: skip
# A plain `pytest` does all of what it is asked for; only `./dev test` shares it out.
ALL_BACKENDS = "SI_BACKEND" not in os.environ
_ending = contextlib.ExitStack()


def _clear_configuration() -> None:
    """Forget what the caller's shell configures, most of all a database that is in use."""
    for name in list(os.environ):
        if name.startswith(
            ("POSTGRES_", "REDIS_", "DATABASE_URL", "SERVICE_", "ENGINE_", "RETENTION_")
        ):
            del os.environ[name]
    for name in ("DEV_VENV", "ENVIRONMENT", "DEBUG", "ALLOWED_HOSTS", "LOG_LEVEL", "LOG_FORMAT"):
        os.environ.pop(name, None)


def _start_servers() -> None:
    """Start the servers and put their addresses into the environment, for the workers too."""
    if missing := servers.missing_servers():
        raise pytest.UsageError(f"PostgreSQL and Redis cannot be started: {missing}.")
    os.environ.update(_ending.enter_context(servers.start_postgres()).environment())
    os.environ.update(_ending.enter_context(servers.start_redis()).environment())


def _prepare_environment() -> None:
    directory = tempfile.TemporaryDirectory(prefix="si-tests-", ignore_cleanup_errors=True)
    os.environ["DATA_DIR"] = _ending.enter_context(directory)
    Path(os.environ["DATA_DIR"], "static").mkdir()  # where whitenoise looks
    os.environ["SECRET_KEY"] = "only-for-tests-" + "0" * 40
    os.environ["CREDENTIAL_KEYS"] = "tests:" + "A" * 43 + "="
    os.environ["DJANGO_SETTINGS_MODULE"] = "integration_site.settings"
    if not WORKER:
        os.environ[made_once.FOLDER] = str(Path(os.environ["DATA_DIR"], "made-once"))
        Path(os.environ[made_once.FOLDER]).mkdir()
        _clear_configuration()
        if BACKEND == "postgres":
            _start_servers()
    elif "REDIS_URL" in os.environ:  # a numbered database for each worker
        server, _, _ = os.environ["REDIS_URL"].rpartition("/")
        os.environ["REDIS_URL"] = f"{server}/{int(WORKER.removeprefix('gw')) + 1}"


_prepare_environment()
django.setup()
# What is loaded stays: collections need not go through all of it again and again.
gc.freeze()
gc.set_threshold(20_000, 20, 50)
if WORKER:
    gc.disable()  # until the tests are loaded too

from django.contrib.auth.hashers import PBKDF2PasswordHasher  # noqa: E402 (needs the settings)
from django.contrib.auth.models import User  # noqa: E402
from django.test import Client  # noqa: E402
from rest_framework.test import APIClient  # noqa: E402

from tests import factories  # noqa: E402
from tests.support import people  # noqa: E402
from tests.support.fast_flush import use_quick_emptying  # noqa: E402

use_quick_emptying()
# What a password is kept as has its form, and costs nothing.
PBKDF2PasswordHasher.iterations = 1
# No manifest, which only a collection of the static files makes.
settings.STORAGES["staticfiles"] = {
    "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
}
# The same examples every time, and no clock: a busy machine must not fail a property.
hypothesis.settings.register_profile("hub", deadline=None, derandomize=True)
# Fifty times as many, others each time: `pytest tests/workflows/reference
# --hypothesis-profile=thorough`.
hypothesis.settings.register_profile(
    "thorough", deadline=None, derandomize=False, print_blob=True, max_examples=5000
)
hypothesis.settings.load_profile("hub")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--slow", action="store_true", help="also what is marked slow, and everything at its size"
    )


def _slow_too(config: pytest.Config) -> bool:
    return ALL_BACKENDS or bool(config.getoption("slow"))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even load what is slow to load."""
    return True if collection_path.name in SLOW_FILES and not _slow_too(config) else None


def pytest_report_header() -> str:
    return f"backend: {BACKEND}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Each backend does what it has to show; long files first."""
    items.sort(key=_place_in_the_run)
    slow_too = _slow_too(config)
    everything = slow_too or bool(servers.missing_servers())
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        if BACKEND == "postgres":
            belongs = _needs_backend(item)
        else:
            belongs = everything or not _is_left_to_servers(item)
        belongs = belongs and (slow_too or not item.get_closest_marker("slow"))
        (kept if belongs else left_out).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept
    gc.freeze()
    gc.enable()


def _place_in_the_run(item: pytest.Item) -> int:
    places = (place for place, path in enumerate(LONG_FILES) if item.nodeid.startswith(path))
    return next(places, len(LONG_FILES))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: Any) -> None:
    """Have workers read the settings only once each has put its own database of Redis there."""
    del os.environ["DJANGO_SETTINGS_MODULE"]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep a file in one worker, and those files together that share a hub."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

    class Scheduling(LoadFileScheduling):
        """Shares the files out."""

        def _split_scope(self, nodeid: str) -> str:
            file = str(super()._split_scope(nodeid))
            return SHARING[0] if file in SHARING else file

    return Scheduling(config, log)


def _is_left_to_servers(item: pytest.Item) -> bool:
    """Whether PostgreSQL shows it, unless the servers are missing."""
    if item.get_closest_marker("on_servers"):
        return True
    return item.nodeid.startswith(THROUGH_DJANGO) and _needs_backend(item) and not _commits(item)


def _commits(item: pytest.Item) -> bool:
    mark = item.get_closest_marker("django_db")
    asked = mark and (mark.kwargs.get("transaction") or any(mark.args))
    return bool(asked or "transactional_db" in getattr(item, "fixturenames", ()))


def _needs_backend(item: pytest.Item) -> bool:
    """Whether PostgreSQL does it too: not what no backend changes."""
    if item.get_closest_marker("once"):
        return False
    marked = any(item.get_closest_marker(name) for name in ("django_db", "e2e", "needs_backend"))
    fixtures = {"db", "transactional_db", "backend", "hub"} & set(getattr(item, "fixturenames", ()))
    return bool(marked or fixtures)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None,
) -> None:
    """Let the workers start from one migrated database; a lone process has its own to migrate."""
    from django.db import connection

    if not WORKER:
        return
    if BACKEND == "postgres":
        connection.settings_dict["TEST"]["TEMPLATE"] = made_once.migrated_database()
        return
    creation: Any = connection.creation
    create = creation._create_test_db  # Django knows no template for SQLite

    def create_from_copy(*args: Any, **options: Any) -> str:
        name = create(*args, **options)
        shutil.copy(made_once.migrated_file(), name)
        return str(name)

    creation._create_test_db = create_from_copy


def pytest_unconfigure() -> None:
    _ending.close()


def is_loopback(address: object) -> bool:
    """Whether a socket address stays on this machine; names count only as `localhost`."""
    if not isinstance(address, tuple):
        return True  # a Unix socket
    host = address[0]
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("", "localhost")


@pytest.fixture(autouse=True)
def _ids_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ids begin anew: they never go back, and another test may have been in the future."""
    monkeypatch.setattr("core.db.uuid7._uuid7_last", 0)


@pytest.fixture(scope="session", autouse=True)
def _only_loopback() -> Iterator[None]:
    """Refuse connections that leave the machine: a test must not depend on the network."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def guarded_connect(self: socket.socket, address: object) -> None:
        _refuse_outside(address)
        connect(self, address)  # type: ignore[arg-type]

    def guarded_connect_ex(self: socket.socket, address: object) -> int:
        _refuse_outside(address)
        return connect_ex(self, address)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        yield


def _refuse_outside(address: object) -> None:
    if not is_loopback(address):
        raise RuntimeError(f"A test tried to connect to {address}; only loopback is allowed.")


@pytest.fixture(scope="session")
def backend() -> str:
    """What the tests run on: "sqlite" or "postgres"."""
    return BACKEND


@pytest.fixture(scope="session")
def in_full(request: pytest.FixtureRequest) -> bool:
    """Whether to take the time for large numbers."""
    return bool(request.config.getoption("slow"))


@pytest.fixture
def admin(client: Client, db: None) -> Client:
    """A superuser of the admin."""
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def person(client: Client, db: None) -> Callable[..., Client]:
    """Log in somebody who has just these permissions."""
    return partial(people.with_permissions, client=client)


@pytest.fixture
def keys_stay_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a key be looked up once, however slow the test is: for those that count queries."""
    monkeypatch.setattr("core.api.known_keys.LOOK_SECONDS", 3600.0)
    monkeypatch.setattr("core.api.known_keys.LONGEST_SECONDS", 7200.0)


@pytest.fixture
def api(db: None) -> APIClient:
    """The API, with the key of an operator."""
    return factories.caller("OPERATOR")


@pytest.fixture
def project_root() -> Path:
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def shared_client() -> Iterator[None]:
    """Closes what code that is not asynchronous called with."""
    from registry.calls.blocking_client import close_shared_client  # its modules need the settings

    yield
    close_shared_client()
