"""The surroundings of every test: own data directory, own servers, no network but loopback.

Django's settings read the environment once, so it is put in order here, before anything imports
them. SI_BACKEND=postgres runs the tests on throw-away PostgreSQL and Redis servers;
SI_BACKEND=sqlite, the default, on the embedded ones.
"""

import contextlib
import ipaddress
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import hypothesis
import pytest
from django.conf import settings as django_settings

from tests.support import made_once, servers

BACKEND = os.environ.get("SI_BACKEND", "sqlite")
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")  # empty in the process that starts the workers
LONG_FILES = (
    "tests/e2e/", "tests/faults/", "tests/test_benchmarks.py",
    "tests/installation/test_installation.py",
    "tests/integration_site/test_console_pages.py", "tests/installation/test_interpreters.py",
    "tests/installation/test_image.py", "tests/integration_site/test_canary.py",
    "tests/core/api/test_fuzz.py",
    "tests/core/api/test_boundaries.py",
    "tests/registry/discovery/test_conformance.py",
)  # fmt: skip
SLOW_FILES = {"test_boundaries.py"}
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

# Pages link to static files by their plain names: nothing has collected them for the tests.
django_settings.STORAGES["staticfiles"] = {
    "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
}

from tests.support.fast_flush import use_quick_emptying  # noqa: E402 (needs the settings)

use_quick_emptying()
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
    """Each backend does what it has to show; long files first.

    A file stays in one worker: the long ones at the end would leave the others idle.
    """
    items.sort(key=lambda item: not item.nodeid.startswith(LONG_FILES))
    on_backend = _needs_backend if BACKEND == "postgres" else _is_embedded
    slow_too = _slow_too(config)
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        belongs = on_backend(item) and (slow_too or not item.get_closest_marker("slow"))
        (kept if belongs else left_out).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


def _is_embedded(item: pytest.Item) -> bool:
    """Whether SQLite does it: what is marked is left to the servers, unless they are missing."""
    return (
        ALL_BACKENDS or not item.get_closest_marker("on_servers") or bool(servers.missing_servers())
    )


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
def project_root() -> Path:
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def shared_client() -> Iterator[None]:
    """Closes what code that is not asynchronous called with."""
    from registry.calls.blocking_client import close_shared_client  # its modules need the settings

    yield
    close_shared_client()
