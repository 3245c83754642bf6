"""Where faults happen: throw-away servers that stop and start, a receiver, a database."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import redis

from tests.faults.kinds import KINDS, SERVICE
from tests.support import servers
from tests.support.servers import ending_with_this, free_port
from tests.support.waiting import PATIENCE, until

ROOT = Path(__file__).resolve().parent.parent.parent
DATABASE = "faults"
# What is committed has to survive a server that is killed; the machine itself is not.
POSTGRES_OPTIONS = {**servers.POSTGRES_OPTIONS, "synchronous_commit": "on"}
SETTINGS = ("POSTGRES_", "REDIS_", "DATABASE_URL", "SERVICE_", "ENGINE_", "CALL_", "FAILPOINT")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Server:
    """A server program that is stopped and started again on the same port and data."""

    def __init__(self, command: list[str], log: Path, answers: Callable[[], object]) -> None:
        self._command, self._log, self._answers = command, log, answers
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as output:
            self.process = subprocess.Popen(
                self._command,
                user=servers.unprivileged_user(),
                cwd="/",
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=ending_with_this(signal.SIGQUIT),
            )
        servers.wait_until_answers(self.process, self._answers)

    def stop(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            servers.stop(self.process, number)


@contextlib.contextmanager
def running_postgres() -> Iterator[tuple[Server, dict[str, str]]]:
    """A PostgreSQL with an empty database, and the hub's variables for it."""
    with servers.temporary_directory(owner=servers.unprivileged_user()) as directory:
        data, address = directory / "data", servers.Postgres(port=free_port())
        initdb, postgres = servers.find_binary("initdb"), servers.find_binary("postgres")
        assert initdb and postgres, servers.missing_servers()
        options = ["-U", address.user, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        servers.run_to_end([initdb, "-D", str(data), *options])
        command = [postgres, "-D", str(data), "-p", str(address.port)]
        for name, value in POSTGRES_OPTIONS.items():
            command += ["-c", f"{name}={value}"]
        log = directory / "log"
        server = Server(command, log, lambda: psycopg.connect(address.dsn()).close())
        try:
            server.start()
            address.create_database(DATABASE)
            yield server, address.environment(DATABASE)
        finally:
            server.stop(signal.SIGINT)


@contextlib.contextmanager
def running_redis() -> Iterator[tuple[Server, dict[str, str]]]:
    """A Redis that keeps nothing, and the hub's variables for it."""
    with servers.temporary_directory(owner=servers.unprivileged_user()) as directory:
        address = servers.Redis(port=free_port())
        binary = servers.find_binary("redis-server")
        assert binary, servers.missing_servers()
        command = [binary, "--port", str(address.port), "--bind", address.host]
        command += ["--dir", str(directory), "--save", "", "--appendonly", "no"]
        server = Server(command, directory / "log", redis.Redis(address.host, address.port).ping)
        try:
            server.start()
            yield server, address.environment()
        finally:
            server.stop(signal.SIGTERM)


@contextlib.contextmanager
def running_receiver() -> Iterator[str]:
    """The URL of a receiver."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.receiver", str(port)],
        cwd=ROOT,
        preexec_fn=ending_with_this(signal.SIGKILL),
    )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _answers(f"{url}/counts"), "the receiver answers", every=0.05)
        yield url
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError):
        read(url)
        return True
    return False


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        return str(answer.read().decode())


def counts_of(receiver: str) -> dict[str, int]:
    found: dict[str, int] = json.loads(read(f"{receiver}/counts"))
    return found


def receipts_of(receiver: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in read(f"{receiver}/receipts").splitlines()]


@contextlib.contextmanager
def directory_for_data() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="si-faults-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def use_in_this_process(directory: Path, surroundings: Mapping[str, str]) -> None:
    """Set Django up here, on these servers, without threads: this process will fork."""
    for name in [name for name in os.environ if name.startswith(SETTINGS)]:
        del os.environ[name]
    own = {"DATA_DIR": str(directory), "SECRET_KEY": secrets.token_hex(32)}
    os.environ.update({"LOG_LEVEL": "ERROR", **own, **surroundings})
    os.environ["DJANGO_SETTINGS_MODULE"] = "integration_site.settings"
    import django
    from django.db import connections

    django.setup()
    connections["default"].settings_dict["OPTIONS"].pop("pool", None)


def copy_database(number: int) -> str:
    """A copy of the database as it is now, by the name that `use_database` takes."""
    from django.db import connection

    name = str(connection.settings_dict["NAME"])
    copy = f"{name}_{number}"
    if connection.vendor == "postgresql":
        server = servers.Postgres(port=int(connection.settings_dict["PORT"]))
        connection.close()
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {copy}")
            admin.execute(f"CREATE DATABASE {copy} TEMPLATE {name}")
        return copy
    connection.close()  # the last one to leave writes everything into the one file
    for leftover in ("-wal", "-shm"):  # of an earlier copy, whose users were killed
        Path(copy + leftover).unlink(missing_ok=True)
    shutil.copy(name, copy)
    return copy


def use_database(name: str) -> None:
    """Let this process and those that it forks use this database."""
    from django.db import connections

    connections.close_all()
    connections["default"].settings_dict["NAME"] = name


Post = Callable[[str, dict[str, Any]], Any]


def define_everything(post: Post, receiver: str) -> None:
    """Register the receiver and define a workflow of each kind, over the API."""
    post(
        "/services",
        {
            "name": SERVICE,
            "url": receiver,
            "ttl_seconds": 86400,
            "actions": [{"name": "act", "path": "/act"}],
            # Circuit breakers have tests of their own.
            "breaker": {"failure_threshold": 1000, "minimum_calls": 100000},
        },
    )
    for name, steps in KINDS.items():
        post("/workflows", {"name": name, "steps": steps})
