"""Reads from MySQL and MariaDB: unbuffered, so that a table is never held whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pymysql
from pymysql.cursors import SSCursor

from integration_site.adoption.catalogue import Catalogue, Column, Table
from integration_site.adoption.sources.base import (
    BadSource,
    Cell,
    SourceDatabase,
    as_text,
    tables_of,
)

_COLUMNS = """
    SELECT '', c.table_name, c.column_name, c.column_type, c.is_nullable = 'YES'
    FROM information_schema.columns c JOIN information_schema.tables t
        ON t.table_schema = c.table_schema AND t.table_name = c.table_name
    WHERE t.table_type = 'BASE TABLE' AND c.table_schema = database()
    ORDER BY c.table_name, c.ordinal_position
"""


class MysqlSource(SourceDatabase):
    """A database of a MySQL or MariaDB server."""

    dialect = "mysql"

    def __init__(self, parameters: Mapping[str, Any], label: str) -> None:
        self.label, self._parameters = label, parameters
        self._open: list[Any] = []

    def _connect(self) -> Any:
        try:
            # No converters: every value comes as the text that the server sent.
            connection: Any = pymysql.connect(
                **self._parameters, charset="utf8mb4", autocommit=True, conv={}, connect_timeout=10
            )
        except pymysql.MySQLError as error:
            sentence = error.args[1] if len(error.args) > 1 else error
            raise BadSource(f"{self.label} cannot be read: {sentence}") from None
        self._open.append(connection)
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION time_zone = '+00:00', sql_mode = 'ANSI_QUOTES'")
            # A batch may take longer to store than the server waits by itself.
            cursor.execute("SET SESSION net_write_timeout = 3600")
        return connection

    def _fetch(self, statement: str) -> list[tuple[Cell, ...]]:
        connection = self._connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return [tuple(map(as_text, row)) for row in cursor.fetchall()]
        finally:
            self._release(connection)

    def _release(self, connection: Any) -> None:
        self._open.remove(connection)
        connection.close()

    def catalogue(self) -> Catalogue:
        rows = [(s or "", t or "", c or "", d or "", n == "1") for s, t, c, d, n in
                self._fetch(_COLUMNS)]  # fmt: skip
        return Catalogue(self.label, self.dialect, tuple(tables_of(rows)))

    def count(self, table: Table) -> int:
        [[count]] = self._fetch(f"SELECT count(*) FROM {quoted(table.stored_name)}")
        return int(count or 0)

    def rows(
        self, table: Table, *, order: Sequence[str] = (), after: str | None = None
    ) -> Iterator[dict[str, Cell]]:
        connection = self._connect()
        statement, params = _select(table, order, after)
        names = [column.name for column in table.columns]
        try:
            with connection.cursor(SSCursor) as cursor:
                cursor.execute(statement, params)
                for row in cursor:
                    yield dict(zip(names, map(as_text, row), strict=True))
        finally:
            self._release(connection)

    def blank(self, table: Table, columns: Sequence[str], ids: Sequence[str]) -> None:
        sets = ", ".join(f"{quoted(name)} = ''" for name in columns)
        connection = self._connect()
        try:
            with connection.cursor() as cursor:
                statement = f"UPDATE {quoted(table.stored_name)} SET {sets} WHERE id = %s"
                cursor.executemany(statement, [(key,) for key in ids])
        finally:
            self._release(connection)

    def close(self) -> None:
        for connection in list(self._open):
            self._release(connection)


def quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _select(
    table: Table, order: Sequence[str], after: str | None
) -> tuple[str, tuple[str, ...] | None]:
    columns = ", ".join(map(_as_text, table.columns)).replace("%", "%%")
    statement = f"SELECT {columns} FROM {quoted(table.stored_name)}"
    present = [name for name in order if table.column(name)]
    if not present:
        return statement.replace("%%", "%"), None
    parts = [*present[:1], *(["id"] if table.column("id") else [])]
    texts = ", ".join(f"CAST({quoted(name)} AS CHAR) " for name in parts)
    # Compared byte by byte, as Python compares the texts.
    key = f"CAST(COALESCE({texts}) AS BINARY)"
    if after is not None:
        statement += f" WHERE {key} > CAST(%s AS BINARY)"
    statement += f" ORDER BY {', '.join([key, *map(quoted, present[1:])])}"
    if after is None:
        return statement.replace("%%", "%"), None
    return statement, (after,)


def _as_text(column: Column) -> str:
    if column.type.lower() in ("binary(16)", "uuid"):
        return (
            f"LOWER(HEX({quoted(column.name)}))"
            if "binary" in column.type.lower()
            else quoted(column.name)
        )
    return quoted(column.name)
