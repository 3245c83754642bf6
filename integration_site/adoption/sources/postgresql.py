"""Reads from PostgreSQL: by cursors of the server, so that a table is never held whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from psycopg import sql

from integration_site.adoption.catalogue import Catalogue, Column, Table
from integration_site.adoption.sources.base import BadSource, Cell, SourceDatabase, tables_of

_COLUMNS = """
    SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'p') AND n.nspname = ANY(%s)
    ORDER BY n.nspname, c.relname, a.attnum
"""
_HAS_HUB = "SELECT 1 FROM django_migrations WHERE app = 'registry' LIMIT 1"
# Every value as one text, the same whatever the server is set to.
_SETTINGS = (
    "SET datestyle = 'ISO, YMD'",
    "SET timezone = 'UTC'",
    "SET extra_float_digits = 1",
    "SET default_transaction_read_only = on",
    "SET cursor_tuple_fraction = 1",  # all rows are wanted
)
BATCH = 2000


class PostgresSource(SourceDatabase):
    """A PostgreSQL database, of which the schemas on its search path are read."""

    dialect = "postgresql"

    def __init__(self, conninfo: str, label: str, *, schemas: Sequence[str] = ()) -> None:
        self.label, self._conninfo = label, conninfo
        self._schemas = list(schemas)
        self._open: list[psycopg.Connection[Any]] = []

    def _connect(self) -> psycopg.Connection[Any]:
        try:
            # One for each table that is read.
            connection = psycopg.connect(self._conninfo, autocommit=True, connect_timeout=10)
        except psycopg.Error as error:
            sentence = str(error).strip().splitlines()[-1]
            raise BadSource(f"{self.label} cannot be read: {sentence}") from None
        self._open.append(connection)
        for setting in _SETTINGS:
            connection.execute(setting)
        return connection

    def catalogue(self) -> Catalogue:
        with self._connect() as connection:
            schemas = self._schemas or self._search_path(connection)
            tables = tables_of(connection.execute(_COLUMNS, [schemas]).fetchall())
            has_hub = self._has_hub(connection, tables, schemas)
        return Catalogue(self.label, self.dialect, tuple(tables), has_hub)

    @staticmethod
    def _search_path(connection: psycopg.Connection[Any]) -> list[str]:
        row = connection.execute("SELECT current_schemas(false)").fetchone()
        return list(row[0]) if row else []

    @staticmethod
    def _has_hub(
        connection: psycopg.Connection[Any], tables: Sequence[Table], schemas: Sequence[str]
    ) -> bool:
        if not any(t.name == "django_migrations" and t.schema in schemas for t in tables):
            return False
        return connection.execute(_HAS_HUB).fetchone() is not None

    def count(self, table: Table) -> int:
        with self._connect() as connection:
            statement = sql.SQL("SELECT count(*) FROM {}").format(name_of(table))
            row = connection.execute(statement).fetchone()
        return int(row[0]) if row else 0

    def rows(
        self, table: Table, *, order: Sequence[str] = (), after: str | None = None
    ) -> Iterator[dict[str, Cell]]:
        connection = self._connect()
        names = [column.name for column in table.columns]
        try:
            with connection.transaction(), connection.cursor("rows") as cursor:
                cursor.execute(_select(table, order, after))
                while rows := cursor.fetchmany(BATCH):
                    for row in rows:
                        yield dict(zip(names, row, strict=True))
        finally:
            connection.close()
            self._open.remove(connection)

    def blank(self, table: Table, columns: Sequence[str], ids: Sequence[str]) -> None:
        sets = sql.SQL(", ").join(
            sql.SQL("{} = ''").format(sql.Identifier(name)) for name in columns
        )
        statement = sql.SQL("UPDATE {} SET {} WHERE id::text = ANY(%s)")
        with psycopg.connect(self._conninfo) as connection:
            connection.execute(statement.format(name_of(table), sets), [list(ids)])

    def close(self) -> None:
        for connection in self._open:
            connection.close()
        self._open.clear()


def name_of(table: Table) -> sql.Composable:
    names = (table.schema, table.stored_name) if table.schema else (table.stored_name,)
    return sql.Identifier(*names)


def _select(table: Table, order: Sequence[str], after: str | None) -> sql.Composed:
    columns = sql.SQL(", ").join(map(_as_text, table.columns))
    statement = sql.SQL("SELECT {} FROM {}").format(columns, name_of(table))
    present = [name for name in order if table.column(name)]
    if present:
        # Bytes are compared as Python compares the texts, whatever the collation of the database.
        texts = [sql.SQL("{}::text").format(sql.Identifier(name)) for name in present]
        key = sql.SQL('coalesce({}) COLLATE "C"').format(sql.SQL(", ").join(texts[:1] + _id(table)))
        if after is not None:
            statement += sql.SQL(" WHERE {} > {}").format(key, sql.Literal(after))
        rest = [sql.Identifier(name) for name in present[1:]]
        statement += sql.SQL(" ORDER BY {}").format(sql.SQL(", ").join([key, *rest]))
    return statement


def _id(table: Table) -> list[sql.Composable]:
    return [sql.SQL("{}::text").format(sql.Identifier("id"))] if table.column("id") else []


def _as_text(column: Column) -> sql.Composable:
    name = sql.Identifier(column.name)
    if column.type.endswith("[]"):
        return sql.SQL("to_json({})::text").format(name)
    return sql.SQL("{}::text").format(name)
