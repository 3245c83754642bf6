"""What the engine leaves on connections to PostgreSQL: nothing, whoever uses them next."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection, connections

from core.db.pipeline import has_own_session
from tests.support import servers
from tests.support.engine import (
    ScriptedClient,
    call,
    ended,
    make_workflow,
    running_engine,
    start,
)
from tests.workflows.engine.test_statement_counts import answered
from workflows.engine.store import Batch, Store

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="sessions of PostgreSQL"),
]
# What somebody set for the session, and what of it holds beyond a transaction.
LEFT = {
    # Each transaction has its own `transaction_…`, from the session's `default_transaction_…`.
    "settings": "SELECT name, setting FROM pg_settings WHERE source = 'session'"
    " AND NOT starts_with(name, 'transaction_') ORDER BY name",
    "locks": "SELECT locktype FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'",
    "channels": "SELECT pg_listening_channels()",
    "tables": "SELECT relname FROM pg_class WHERE relpersistence = 't'",
}
STEPS = [call("a", next="b"), call("b")]


def left_on(raw: psycopg.Connection) -> dict[str, list[Any]]:
    return {what: raw.execute(question).fetchall() for what, question in LEFT.items()}


def connections_of_the_pool() -> list[dict[str, list[Any]]]:
    """What is left on every connection that the pool would hand out now."""
    own: Any = connection
    pool = own.pool
    pool.wait()
    taken = [pool.getconn() for _ in range(pool.get_stats()["pool_size"])]
    try:
        return [left_on(raw) for raw in taken]
    finally:
        for raw in taken:
            pool.putconn(raw)


def fresh() -> dict[str, list[Any]]:
    """What Django itself sets on a connection, of a pool that nobody has used yet."""
    own: Any = connection
    own.close()
    own.close_pool()
    own.ensure_connection()
    found = left_on(connection.connection)
    connection.close()
    return found


def work_off() -> None:
    execution = start(make_workflow(STEPS))
    client = ScriptedClient(**dict.fromkeys("ab", lambda _: {"n": 1}))
    with running_engine(client):
        assert ended(execution).status == "COMPLETED"


def work_off_with_an_error() -> None:
    """The connection is closed by the engine when a commit fails, and another is taken."""
    store = Store(owner="one", lease_seconds=30)
    store.commit(Batch(look=True, room=1))
    store.close_connection()


@pytest.mark.parametrize("act", [work_off, work_off_with_an_error])
def test_connection_that_the_engine_used_is_like_any_other(act: Callable[[], None]) -> None:
    expected = fresh()
    act()
    connection.close()
    found = connections_of_the_pool()
    assert found == [expected] * len(found)


def test_session_of_a_connection_is_ours_without_a_pooler() -> None:
    connection.ensure_connection()
    assert has_own_session(connection.connection)


# --- Behind a pooler ---


@pytest.fixture
def pooler() -> Iterator[int]:
    """The port of a pgbouncer that lends its one session for a transaction each."""
    binary = servers.find_binary("pgbouncer")
    if binary is None:
        pytest.skip("no pgbouncer")
    port, database = servers.free_port(), settings.DATABASES["default"]
    with servers.temporary_directory(owner=servers.unprivileged_user()) as directory:
        (directory / "bouncer.ini").write_text(
            f"[databases]\n* = host={database['HOST']} port={database['PORT']}"
            f" user={database['USER']}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\n"
            f"pool_mode = transaction\ndefault_pool_size = 1\nunix_socket_dir =\n"
        )
        command = [binary, str(directory / "bouncer.ini")]
        log = directory / "log"
        with servers.running(command, log=log, stop_signal=signal.SIGINT) as process:
            name = connection.settings_dict["NAME"]
            dsn = f"host=127.0.0.1 port={port} user={database['USER']} dbname={name}"
            servers.wait_until_answers(process, lambda: psycopg.connect(dsn).close())
            yield port


def in_a_thread(work: Callable[[], None]) -> None:
    """Threads have connections of their own."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)
        finally:
            connections["default"].close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def commit_a_workflow(store: Store) -> None:
    begun = store.commit(Batch(look=True, room=10))
    followed = store.commit(Batch(settled=[answered(c) for c in begun.claims]))
    done = store.commit(Batch(settled=[answered(c) for c in followed.claims]))
    assert (len(begun.claims), len(followed.claims), len(done.ended)) == (1, 1, 1)


def test_behind_a_pooler_the_settings_are_of_the_transaction_alone(pooler: int) -> None:
    start(make_workflow(STEPS))

    def work() -> None:
        own: Any = connections["default"]
        options = {**own.settings_dict["OPTIONS"], "prepare_threshold": None}
        options.pop("pool")
        place = {"HOST": "127.0.0.1", "PORT": pooler, "OPTIONS": options}
        own.settings_dict = {**own.settings_dict, **place}
        own.ensure_connection()
        assert not has_own_session(own.connection)
        before = left_on(own.connection)
        store = Store(owner="one", lease_seconds=30)
        commit_a_workflow(store)
        assert left_on(own.connection) == before
        with store._planner_settings.transaction(several=False):
            assert _is_tuned(own)

    in_a_thread(work)


def test_settings_of_a_session_that_is_not_ours_are_of_the_transaction(monkeypatch: Any) -> None:
    monkeypatch.setattr("workflows.engine.store.planner_settings.has_own_session", lambda _: False)
    expected = fresh()
    start(make_workflow(STEPS))
    store = Store(owner="one", lease_seconds=30)
    commit_a_workflow(store)
    with store._planner_settings.transaction(several=False):
        assert _is_tuned(connection)
    assert left_on(connection.connection) == expected


def _is_tuned(used: Any) -> bool:
    with used.cursor() as cursor:
        cursor.execute("SHOW enable_seqscan")
        return bool(cursor.fetchone()[0] == "off")
