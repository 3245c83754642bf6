"""Fewer waits for the database: statements sent together, rows inserted without the ORM's work."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from operator import itemgetter
from typing import Any
from uuid import UUID

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections, models, transaction
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


def has_own_session(raw: psycopg.Connection) -> bool:
    """Whether a connection has a server process to itself, so that settings of it stay here.

    A pooler answers for the server when the connection is made, and lends processes out: then the
    process that runs a statement is not the one that answered.
    """
    found = raw.execute("SELECT pg_backend_pid()").fetchone()
    return found is not None and found[0] == raw.info.backend_pid


def one_statement() -> contextlib.AbstractContextManager[Any]:
    """For one statement that is its own transaction, where the database has such.

    Elsewhere, and within another transaction, it is a part that can be undone.
    """
    if connection.vendor == "postgresql" and not connection.in_atomic_block:
        return connection.wrap_database_errors
    return pipelined_transaction()


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
    found: Any = connections[DEFAULT_DB_ALIAS]
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


def read_rows(
    model: Any, where: str, params: Sequence[Any], *, only: tuple[str, ...] = ()
) -> list[Any]:
    """The rows of a model that the rest of a statement, from WHERE on, picks; `only` some columns.

    As the ORM would, for what is asked for with every request: building the query and making out
    which column is which costs that more than the answer. Columns left out are read once asked for.
    """
    columns, names, readers = _reading(model, only)
    table = model._meta.db_table
    rows = _fetch(f"SELECT {columns} FROM {table} {where}", params)  # noqa: S608
    return [_row_of(model, names, readers, row) for row in rows]


def read_joined(model: Any, other: Any, join: str, params: Sequence[Any]) -> list[tuple[Any, Any]]:
    """The pairs of rows of two models that the rest of a statement, from JOIN on, picks."""
    columns, names, readers = _reading(model, ())
    more, other_names, other_readers = _reading(other, (), len(names))
    table = model._meta.db_table
    rows = _fetch(f"SELECT {columns}, {more} FROM {table} {join}", params)  # noqa: S608
    return [
        (_row_of(model, names, readers, row), _row_of(other, other_names, other_readers, row))
        for row in rows
    ]


def _fetch(statement: str, params: Sequence[Any]) -> list[Any]:
    raw = connections[DEFAULT_DB_ALIAS]
    if not raw.features.has_native_uuid_field:
        params = [value.hex if isinstance(value, UUID) else value for value in params]
    with raw.wrap_database_errors, prepared_cursor() as cursor:
        cursor.execute(statement, params)
        return list(cursor.fetchall())


def _row_of(model: Any, names: list[str], readers: Sequence[Any], row: Sequence[Any]) -> Any:
    return model.from_db(DEFAULT_DB_ALIAS, names, [read(row) for read in readers])


def read_row(
    model: Any, where: str, params: Sequence[Any], *, only: tuple[str, ...] = ()
) -> Any | None:
    """The first of `read_rows`; None without one."""
    return next(iter(read_rows(model, where, params, only=only)), None)


@lru_cache(maxsize=64)
def _reading(
    model: Any, only: tuple[str, ...], offset: int = 0
) -> tuple[str, list[str], list[Callable[[Any], Any]]]:
    """The columns, the attributes that they give, and what reads each of a row after `offset`.

    Every column is named: PostgreSQL refuses a prepared `SELECT *` once a migration adds one.
    """
    meta = model._meta
    fields = [field for field in meta.concrete_fields if not only or field.column in only]
    readers: list[Callable[[Any], Any]] = []
    for place, field in enumerate(fields, offset):
        seen = field.get_col(meta.db_table)
        converters = [
            *connection.ops.get_db_converters(seen),
            *field.get_db_converters(connection),
        ]
        reader = partial(_convert, place, converters, seen) if converters else itemgetter(place)
        readers.append(reader)
    columns = ", ".join(f"{meta.db_table}.{field.column}" for field in fields)
    return columns, [field.attname for field in fields], readers


def _convert(place: int, converters: Sequence[Any], expression: Any, row: Sequence[Any]) -> Any:
    value = row[place]
    for convert in converters:
        value = convert(value, expression, connection)
    return value


def insert_rows(*rows: models.Model) -> None:
    """Insert rows whose keys are known, as `save(force_insert=True)` would, without signals.

    One exchange with PostgreSQL for all of them. The statement is made once for each combination of
    models: making it anew is most of what `save` costs.
    """
    if connection.vendor != "postgresql":
        for row in rows:
            _insert(row)
        return
    _insert(*rows)


def _insert(*rows: models.Model) -> None:
    # Asked for once: the proxy costs as much as what it is asked for.
    raw = connections[DEFAULT_DB_ALIAS]
    # Most of what is inserted is empty. A driver reads a statement with more than fifty parameters
    # anew each time.
    literals, given = [], []
    for row in rows:
        for field in row._meta.concrete_fields:
            value = field.pre_save(row, add=True)
            literals.append(literal := _literal(value))
            if literal is None:
                given.append(field.get_db_prep_save(value, raw))
    with prepared_cursor() as cursor:
        cursor.execute(_insert_statement(tuple(map(type, rows)), tuple(literals)), given)
    for row in rows:
        row._state.adding = False
        row._state.db = raw.alias


def _literal(value: Any) -> str | None:
    """What stands in the statement for an empty value; None for one that is to be given."""
    if value is None:
        return "NULL"
    if value is False:
        return "FALSE"
    if type(value) is str and value == "":
        return "''"
    return "0" if type(value) is int and value == 0 else None


@lru_cache(maxsize=64)
def _insert_statement(kinds: tuple[Any, ...], literals: tuple[str | None, ...]) -> str:
    given = iter(literals)
    *first, last = (_insert_one(model, given) for model in kinds)
    named = ", ".join(f"i{number} AS ({text})" for number, text in enumerate(first))
    return f"WITH {named} {last}" if named else last


def _insert_one(model: Any, literals: Iterator[str | None]) -> str:
    quote, fields = connection.ops.quote_name, model._meta.concrete_fields
    columns = ", ".join(quote(field.column) for field in fields)
    marks = ", ".join(next(literals) or _mark(field) for field in fields)
    return f"INSERT INTO {quote(model._meta.db_table)} ({columns}) VALUES ({marks})"  # noqa: S608


def _mark(field: Any) -> str:
    if hasattr(field, "get_placeholder"):
        return str(field.get_placeholder(None, None, connection))
    return "%s"
