"""Throw-away PostgreSQL with durable commits, and Redis, as the tests start them."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import redis

from tests.support import servers

DATABASE = "bench"
# The measuring process has a role of its own, so that its statements can be told from the hub's.
OBSERVER = "observer"
STATEMENTS = "pg_stat_statements"
OPTIONS = {
    **servers.POSTGRES_OPTIONS,
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "256MB",
}
SHOWN = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "wal_sync_method",
    "shared_buffers",
)


@dataclass(frozen=True)
class Durable:
    """A running PostgreSQL whose commits survive a power cut, and a Redis."""

    server: servers.Postgres
    redis: servers.Redis
    pid: int
    counts_statements: bool

    def environment(self) -> dict[str, str]:
        """Return the variables with which the hub uses them."""
        return {**self.server.environment(DATABASE), **self.redis.environment()}

    @property
    def observer_dsn(self) -> str:
        return f"host={self.server.host} port={self.server.port} user={OBSERVER} dbname={DATABASE}"

    def redis_pid(self) -> int:
        """The process of Redis."""
        with redis.Redis(self.redis.host, self.redis.port) as client:
            return int(client.info("server")["process_id"])

    def settings(self) -> str:
        """Return what the server itself says of its durability."""
        with psycopg.connect(self.observer_dsn) as connection:
            rows = [(n, connection.execute(f"SHOW {n}").fetchone()) for n in SHOWN]
        return ", ".join(f"{name}={row[0]}" for name, row in rows if row)


@contextlib.contextmanager
def start_durable() -> Iterator[Durable]:
    """Run both servers until the block ends. Raises: ServerStartError."""
    counts = _can_count_statements()
    with servers.start_redis() as broker, _start_postgres(counts) as (server, pid):
        server.create_database(DATABASE)
        with psycopg.connect(server.dsn(DATABASE), autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {OBSERVER} SUPERUSER LOGIN")
            if counts:
                connection.execute(f"CREATE EXTENSION {STATEMENTS}")
        yield Durable(server, broker, pid, counts)


@contextlib.contextmanager
def _start_postgres(counts_statements: bool) -> Iterator[tuple[servers.Postgres, int]]:
    initdb, postgres = servers.find_binary("initdb"), servers.find_binary("postgres")
    if initdb is None or postgres is None:
        raise servers.ServerStartError(servers.missing_servers())
    with servers.temporary_directory(owner=servers.unprivileged_user()) as directory:
        data = directory / "data"
        servers.run_to_end([initdb, "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8",
                             "--locale=C"])  # fmt: skip
        server = servers.Postgres(port=servers.free_port())
        preload = {"shared_preload_libraries": STATEMENTS} if counts_statements else {}
        command = [postgres, "-D", str(data), "-p", str(server.port)]
        for name, value in {**OPTIONS, **preload}.items():
            command += ["-c", f"{name}={value}"]
        with servers.running(command, log=directory / "log", stop_signal=signal.SIGINT) as process:
            servers.wait_until_answers(process, lambda: psycopg.connect(server.dsn()).close())
            yield server, process.pid


def _can_count_statements() -> bool:
    """Return whether the module that counts statements is installed beside the server."""
    initdb = servers.find_binary("initdb")
    if initdb is None:
        return False
    root = Path(initdb).resolve().parent.parent
    return any(root.glob(f"lib*/**/{STATEMENTS}.so"))
