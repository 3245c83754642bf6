"""Loads all that an installation could ever load. Needs nothing but what the project says it needs.

`tests/installation/test_installation.py` runs it where only `requirements.txt` is installed. Every
table of the project that names something to load is read, so that a new entry is tried as well.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import os
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGES = (
    "core", "integration_site", "registry", "workflows", "monitoring", "model_orchestration",
    "reference_services", "service_integration_client",
)  # fmt: skip
PROGRAMS = ("manage.py", "supervise.py", "gunicorn.conf.py")
BROKERS = ("redis://", "rediss://", "amqp://", "amqps://", "files://")
DATABASES = ("django.db.backends.sqlite3", "django.db.backends.postgresql")
CACHES = ("locmem.LocMemCache", "redis.RedisCache")


def modules() -> Iterator[str]:
    for package in PACKAGES:
        yield package
        found = importlib.import_module(package).__path__
        yield from (each.name for each in pkgutil.walk_packages(found, f"{package}."))


def sources() -> Iterator[Path]:
    """The files of those modules, and the programs beside them."""
    for name in modules():
        file = getattr(sys.modules.get(name), "__file__", None)
        if file:
            yield Path(file)
    yield from map(Path, PROGRAMS)


def imported_late(tree: ast.AST) -> Iterator[str]:
    """What a file imports anywhere, but for what types or another version of Python want."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and _is_conditional(node):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
        yield from imported_late(node)


def _is_conditional(node: ast.If) -> bool:
    return any(word in ast.unparse(node.test) for word in ("TYPE_CHECKING", "version_info"))


def load_options() -> int:
    from django.db.utils import load_backend
    from django.utils.module_loading import import_string
    from kombu import Connection

    from registry.calls.event_loop_thread import LoopThread
    from registry.connections.type_specs import TYPE_SPECS
    from registry.discovery.base import STRATEGIES, ServiceDiscoveryFactory

    importlib.import_module("integration_site.celery")  # knows files://
    for url in BROKERS:
        Connection(f"{url}127.0.0.1").create_transport()
    for database in DATABASES:
        load_backend(database)
    for cache in CACHES:
        import_string(f"django.core.cache.backends.{cache}")("redis://127.0.0.1", {})
    for name in STRATEGIES:
        ServiceDiscoveryFactory.create(name)
    drivers = [
        (type, each) for type, spec in TYPE_SPECS.items() for each in spec.drivers if each != "HTTP"
    ]
    for type, driver in drivers:
        fail_to_ask(type, driver)
    loop = LoopThread("installation")
    loop.run(_nothing())
    loop.stop()
    return len(BROKERS) + len(DATABASES) + len(CACHES) + len(STRATEGIES) + len(drivers)


def fail_to_ask(type: str, driver: str) -> None:
    """Ask where nobody listens: the driver gets as far as that."""
    from registry.connections.drivers import (
        CheckFailure,
        ServerAddress,
        ServerSession,
        check_server,
    )

    with contextlib.suppress(CheckFailure), ServerSession(ServerAddress("127.0.0.1", 1)) as session:
        check_server(session, type=type, driver=driver)


async def _nothing() -> None:
    pass


def main() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "integration_site.settings")
    sys.path.insert(0, os.getcwd())
    django.setup()
    failed = import_all(modules())
    named = {name for file in sources() for name in imported_late(ast.parse(file.read_text()))}
    failed |= import_all(sorted(named))
    for name, error in failed.items():
        sys.stderr.write(f"{name}: {error}\n")
    if failed:
        sys.exit(1)
    sys.stdout.write(f"{len(named)} modules, {load_options()} options\n")


def import_all(names: Iterable[str]) -> dict[str, str]:
    """Import them; return what could not be, with the reason."""
    failed = {}
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:
            failed[name] = repr(error)
    return failed


if __name__ == "__main__":
    main()
