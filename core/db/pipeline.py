"""Fewer waits for PostgreSQL: a transaction whose statements are sent together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, Error, connection, connections, transaction
from django.db.backends.postgresql.base import ServerBindingCursor

MAX_DRAINS = 20
_ServerBindingCursor: Any = ServerBindingCursor  # its types are those of another driver


@contextlib.contextmanager
def pipelined_transaction() -> Iterator[None]:
    """Run a transaction that waits for what is read and for the commit, and for nothing else.

    Errors of earlier statements rise at any later one. A `prepared_cursor` knows its `rowcount`
    only after it was read from: use RETURNING. Statements of Django's ORM are waited for one by
    one. Within another transaction, and on SQLite, it is a plain atomic block.
    """
    if connection.vendor != "postgresql" or connection.in_atomic_block:
        with connection.wrap_database_errors, transaction.atomic():
            yield
        return
    connection.ensure_connection()
    # Django keeps its books of a transaction that others begin and end. psycopg is not told: it
    # would wait for a BEGIN of its own.
    connection.autocommit = False
    try:
        with (
            connection.wrap_database_errors,
            connection.connection.pipeline() as pipeline,
            connection.execute_wrapper(partial(_wait_for_orm, pipeline)),
        ):
            try:
                _send("BEGIN")
                with transaction.atomic(savepoint=False):
                    yield
                    is_failed = transaction.get_rollback()
                if not is_failed:
                    _send("COMMIT")
            except BaseException:
                _drain(pipeline)
                raise
        if is_failed:
            _roll_back()
    except BaseException:
        _roll_back()
        raise
    finally:
        connection.autocommit = True
        connection.in_atomic_block = False
    connection.run_and_clear_commit_hooks()


def wait_for_no_disk() -> None:
    """Let the commit of this transaction be seen at once and written soon after.

    A failing database server may lose it; a failing process of the hub does not.
    """
    if connection.vendor == "postgresql":
        with prepared_cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit TO off")


def one_statement() -> contextlib.AbstractContextManager[Any]:
    """Return the block for one statement that is its own transaction, where the database has such.

    Elsewhere, and within another transaction, it is a part that can be undone.
    """
    if connection.vendor == "postgresql" and not connection.in_atomic_block:
        return connection.wrap_database_errors
    return pipelined_transaction()


def has_own_session(raw: psycopg.Connection) -> bool:
    """Return whether a connection has a server process to itself, so that its settings stay.

    A pooler answers for the server when the connection is made, and lends processes out: then the
    process that runs a statement is not the one that answered.
    """
    answer = raw.execute("SELECT pg_backend_pid()").fetchone()
    return answer is not None and answer[0] == raw.info.backend_pid


def prepared_cursor() -> Any:
    """Return a cursor for statements that come again and again: each of them is planned once.

    Its errors are those of psycopg; a transaction around it makes them Django's.
    """
    # Asked for once: the proxy costs as much as what it is asked for.
    django: Any = connections[DEFAULT_DB_ALIAS]
    if django.vendor != "postgresql":
        return django.cursor()
    django.ensure_connection()
    if django.queries_logged:
        return django.make_debug_cursor(_LoggedCursor(django.connection))
    # Django's own wrapper around a cursor costs as much as sending a small statement.
    return _ServerBindingCursor(django.connection)


class _LoggedCursor(_ServerBindingCursor):
    """Knows what it sent, for the log of queries, also when only the name of a plan was sent."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        answer = super().execute(query, params, **options)
        if self._query is None:  # type: ignore[has-type]
            self._query = SimpleNamespace(query=str(query).encode())
        return answer


def _send(word: str) -> None:
    with prepared_cursor() as cursor:
        cursor.execute(word)


def _roll_back() -> None:
    """Undo what was sent, if it was not committed, and forget what was to run after it."""
    if connection.connection is None:
        return  # closed meanwhile
    try:
        connection.rollback()
    except Error:
        connection.close()  # nobody can tell what it would do next


def _drain(pipeline: psycopg.Pipeline) -> None:
    """Take what was still on its way after an error: a rollback needs a line that is free."""
    for _ in range(MAX_DRAINS):
        try:
            pipeline.sync()
        except psycopg.Error:
            # Each answer that was aborted with the first may say so once more.
            continue
        return


def _wait_for_orm(
    pipeline: psycopg.Pipeline, execute: Any, sql: str, params: Any, many: bool, context: Any
) -> Any:
    """Wait for statements of the ORM: it acts on how many rows they met."""
    answer = execute(sql, params, many, context)
    if not isinstance(context["cursor"].cursor, _LoggedCursor):
        pipeline.sync()
    return answer
