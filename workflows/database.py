"""Fewer waits for the database: statements sent together, rows inserted without the ORM's work."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any

import psycopg
from django.db import connection, models, transaction
from django.db.backends.postgresql.base import ServerBindingCursor

MOST_DRAINS = 20


@contextlib.contextmanager
def pipelined_transaction() -> Iterator[None]:
    """A transaction that sends statements without waiting for each one's answer, where it can.

    What is read is waited for, and so is the commit; errors of earlier statements rise at any later
    one. Within another transaction it is a plain part of that. A raw cursor knows its `rowcount`
    only after it was read from: use RETURNING.
    """
    if connection.vendor != "postgresql" or connection.in_atomic_block:
        with connection.wrap_database_errors, transaction.atomic():
            yield
        return
    connection.ensure_connection()
    raw = connection.connection
    try:
        with (
            connection.wrap_database_errors,
            raw.pipeline() as pipeline,
            connection.execute_wrapper(partial(_wait_for_counts, pipeline)),
            _block(pipeline),
        ):
            yield
        if connection.needs_rollback:
            _roll_back(raw)
    except BaseException:
        _roll_back(raw)
        raise
    finally:
        connection.in_atomic_block = False
        if connection.closed_in_transaction:
            connection.connection = None
        elif raw.closed:
            connection.close()
    connection.run_and_clear_commit_hooks()


@contextlib.contextmanager
def _block(pipeline: psycopg.Pipeline) -> Iterator[None]:
    """What the outermost `transaction.atomic` does, without the exchanges that it costs.

    That one switches autocommit twice, and psycopg waits for the whole pipeline each time. The
    commit is waited for at the end of the pipeline, which waits anyway.
    """
    connection.commit_on_exit, connection.needs_rollback = True, False
    connection.in_atomic_block = True
    try:
        _say("BEGIN")
        yield
        if not connection.needs_rollback:
            _say("COMMIT")
    except BaseException:
        _drain(pipeline)
        raise


def _say(word: str) -> None:
    with prepared_cursor() as cursor:
        cursor.execute(word)


def _roll_back(raw: psycopg.Connection) -> None:
    """Undo what was sent, if it was not committed.

    Not by a statement of ours: psycopg forgets with it what it takes for prepared, and is not.
    """
    connection.run_on_commit, connection.needs_rollback = [], False
    try:
        raw.rollback()
    except psycopg.Error:
        # Nobody can tell what it would do next.
        raw.close()


_Bound: Any = ServerBindingCursor  # its types are those of another driver


class _PreparedCursor(_Bound):
    """Knows what it sent, for the log of queries, also when only the name of a plan was sent."""

    def _send_query_prepared(self, name: bytes, pgq: Any, **more: Any) -> None:
        self._query = pgq
        super()._send_query_prepared(name, pgq, **more)


def prepared_cursor() -> Any:
    """A cursor for statements that come again and again: PostgreSQL plans each of them once.

    Its errors are those of psycopg; a transaction around it makes them Django's.
    """
    found: Any = connection
    if found.vendor != "postgresql":
        return found.cursor()
    found.ensure_connection()
    cursor = _PreparedCursor(found.connection)
    # Django's own wrapper around a cursor costs as much as sending a small statement.
    return found._prepare_cursor(cursor) if found.queries_logged else cursor


def _drain(pipeline: psycopg.Pipeline) -> None:
    """Take what was still on its way after an error: a rollback needs a line that is free."""
    for _ in range(MOST_DRAINS):
        try:
            pipeline.sync()
        except psycopg.Error:
            # Each answer that was aborted with the first may say so once more.
            continue
        return


def _wait_for_counts(
    pipeline: psycopg.Pipeline, execute: Any, sql: str, params: Any, many: bool, context: Any
) -> Any:
    """Wait for the ORM's updates and deletions: it acts on how many rows they met."""
    answer = execute(sql, params, many, context)
    # The ORM quotes its names; the statements of the store do not, and do not count.
    if sql.startswith(('UPDATE "', 'DELETE FROM "')):
        pipeline.sync()
    return answer


def insert_row(row: models.Model) -> None:
    """Insert a row whose key is known, as `save(force_insert=True)` would, without signals.

    The statement is made once for each model: making it anew is most of what `save` costs.
    """
    fields = row._meta.concrete_fields
    values = [f.get_db_prep_save(f.pre_save(row, add=True), connection) for f in fields]
    with prepared_cursor() as cursor:
        cursor.execute(_insert_statement(type(row), connection.vendor), values)
    row._state.adding = False
    row._state.db = connection.alias


@lru_cache(maxsize=16)
def _insert_statement(model: Any, vendor: str) -> str:
    quote = connection.ops.quote_name
    columns = ", ".join(quote(field.column) for field in model._meta.concrete_fields)
    marks = ", ".join(
        field.get_placeholder(None, None, connection) if hasattr(field, "get_placeholder") else "%s"
        for field in model._meta.concrete_fields
    )
    return f"INSERT INTO {quote(model._meta.db_table)} ({columns}) VALUES ({marks})"  # noqa: S608
