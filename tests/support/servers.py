"""Throw-away PostgreSQL and Redis servers for the tests, started from installed binaries.

The servers listen on free ports of 127.0.0.1 and keep everything in a temporary directory; servers
that already run on the machine are left alone. `python -m tests.support.servers`
says why they cannot be started, and nothing if they can.
"""

import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
import redis
from psycopg import sql

from tests.support.waiting import PATIENCE

PR_SET_PDEATHSIG = 1
# Nothing here has to survive a power cut.
POSTGRES_OPTIONS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
    "max_connections": "300",
    "shared_buffers": "64MB",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "log_min_messages": "error",
}


class ServerStartError(Exception):
    """A throw-away server did not start; the text has the end of its log."""


@dataclass(frozen=True)
class Postgres:
    """A running PostgreSQL that trusts every connection."""

    port: int
    host: str = "127.0.0.1"
    user: str = "postgres"

    def environment(self, database: str = "postgres") -> dict[str, str]:
        """The variables with which the hub uses the given database of this server."""
        return {
            "POSTGRES_HOST": self.host,
            "POSTGRES_PORT": str(self.port),
            "POSTGRES_USER": self.user,
            "POSTGRES_PASSWORD": "trusted",
            "POSTGRES_DB": database,
        }

    def create_database(self, name: str) -> None:
        """Create an empty database, in place of one of the same name."""
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            identifier = sql.Identifier(name)
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(identifier))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(identifier))

    def dsn(self, database: str = "postgres") -> str:
        return f"host={self.host} port={self.port} user={self.user} dbname={database}"


@dataclass(frozen=True)
class Redis:
    """A running Redis."""

    port: int
    host: str = "127.0.0.1"

    def environment(self, database: int = 0) -> dict[str, str]:
        """The variables with which the hub uses the given numbered database of this server."""
        return {"REDIS_URL": f"redis://{self.host}:{self.port}/{database}"}


@dataclass(frozen=True)
class Etcd:
    """A running etcd."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask_health(self) -> None:
        """Raises OSError while it does not answer."""
        with urllib.request.urlopen(f"{self.url}/health", timeout=PATIENCE) as answer:
            answer.read()


def missing_servers() -> str:
    """A sentence on what has to be installed to start the servers; empty if nothing has."""
    missing = []
    if find_binary("initdb") is None or find_binary("postgres") is None:
        missing.append("PostgreSQL (Debian and Ubuntu: apt install postgresql)")
    if find_binary("redis-server") is None:
        missing.append("Redis (Debian and Ubuntu: apt install redis-server)")
    return f"install {' and '.join(missing)} to run them" if missing else ""


def find_binary(name: str) -> str | None:
    """The path of a server program, from the PATH or from where Debian puts PostgreSQL's."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=_version)
    return shutil.which(name) or (str(found[-1]) if found else None)


def _version(binary: Path) -> float:
    return float(binary.parent.parent.name)


@contextlib.contextmanager
def start_postgres() -> Iterator[Postgres]:
    """A fresh PostgreSQL until the block ends. Raises ServerStartError."""
    with temporary_directory(owner=unprivileged_user()) as directory:
        data = directory / "data"
        options = ["-U", Postgres.user, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        run_to_end([_require("initdb"), "-D", str(data), *options])
        server = Postgres(port=free_port())
        command = [_require("postgres"), "-D", str(data), "-p", str(server.port)]
        for name, value in POSTGRES_OPTIONS.items():
            command += ["-c", f"{name}={value}"]
        # INT is PostgreSQL's fast shutdown: TERM would wait for every client to leave.
        with running(command, log=directory / "log", stop_signal=signal.SIGINT) as process:
            wait_until_answers(process, lambda: psycopg.connect(server.dsn()).close())
            yield server


@contextlib.contextmanager
def start_redis(port: int | None = None) -> Iterator[Redis]:
    """A fresh Redis until the block ends, on this port or a free one. Raises ServerStartError."""
    with temporary_directory(owner=unprivileged_user()) as directory:
        server = Redis(port=port or free_port())
        command = [_require("redis-server"), "--port", str(server.port), "--bind", server.host]
        command += ["--dir", str(directory), "--save", "", "--appendonly", "no"]
        with running(command, log=directory / "log", stop_signal=signal.SIGTERM) as process:
            wait_until_answers(process, redis.Redis(server.host, server.port).ping)
            yield server


@contextlib.contextmanager
def start_etcd() -> Iterator[Etcd]:
    """A fresh etcd until the block ends. Raises ServerStartError."""
    with temporary_directory(owner=unprivileged_user()) as directory:
        server, peer = Etcd(port=free_port()), f"http://127.0.0.1:{free_port()}"
        command = [_require("etcd"), "--data-dir", str(directory / "data"), "--unsafe-no-fsync"]
        command += ["--listen-client-urls", server.url, "--advertise-client-urls", server.url]
        command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        command += ["--initial-cluster", f"default={peer}"]
        with running(command, log=directory / "log", stop_signal=signal.SIGTERM) as process:
            wait_until_answers(process, server.ask_health)
            yield server


def _require(name: str) -> str:
    path = find_binary(name)
    if path is None:
        raise ServerStartError(f"{name} is not installed: {missing_servers()}.")
    return path


def unprivileged_user() -> str | None:
    """Whom servers run as when the tests run as root, which PostgreSQL refuses; None otherwise."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@contextlib.contextmanager
def temporary_directory(*, owner: str | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="si-tests-", ignore_cleanup_errors=True) as name:
        if owner:
            shutil.chown(name, owner)
        yield Path(name)


def run_to_end(command: Sequence[str]) -> None:
    result = subprocess.run(
        command, user=unprivileged_user(), cwd="/", capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise ServerStartError(f"{command[0]} failed: {result.stderr.strip()[-500:]}")


@contextlib.contextmanager
def running(
    command: Sequence[str], *, log: Path, stop_signal: signal.Signals
) -> Iterator["subprocess.Popen[bytes]"]:
    """The server process until the block ends; it ends too when the tests are killed."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            user=unprivileged_user(),
            cwd="/",
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=ending_with_this(stop_signal),
        )
    try:
        yield process
    except ServerStartError as error:
        raise ServerStartError(f"{error}: {log.read_text(errors='replace')[-500:]}") from error
    finally:
        stop(process, stop_signal)


def ending_with_this(number: signal.Signals) -> Callable[[], None]:
    """For a child to call: Linux sends it the signal once this process is gone."""
    parent = os.getpid()

    def ask() -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
            if os.getppid() != parent:  # it was gone before it was asked
                os.kill(os.getpid(), number)

    return ask


def stop(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    process.send_signal(number)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until_answers(process: "subprocess.Popen[bytes]", ask: Callable[[], object]) -> None:
    """Ask until there is an answer. Raises ServerStartError if it ends or time runs out."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            ask()
        except (psycopg.OperationalError, redis.RedisError, OSError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise ServerStartError(f"process {process.pid} does not answer") from error
            time.sleep(0.05)
        else:
            return


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
