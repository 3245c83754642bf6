"""Reads from an SQLite file, which is opened for reading only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from integration_site.adoption.catalogue import Catalogue, Table
from integration_site.adoption.sources.base import (
    BadSource,
    Cell,
    SourceDatabase,
    as_text,
    tables_of,
)

_COLUMNS = """
    SELECT '', t.name, c.name, c.type, NOT c."notnull"
    FROM sqlite_master t JOIN pragma_table_info(t.name) c
    WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
    ORDER BY t.name, c.cid
"""
_HAS_HUB = "SELECT 1 FROM django_migrations WHERE app = 'registry' LIMIT 1"


class SqliteSource(SourceDatabase):
    """An SQLite file."""

    dialect = "sqlite"

    def __init__(self, path: Path, label: str) -> None:
        self.label, self._path = label, path
        if not path.is_file():
            raise BadSource(f"There is no file {path}.")
        self._open: list[sqlite3.Connection] = []

    def _connect(self) -> sqlite3.Connection:
        address = f"file:{quote(str(self._path.resolve()))}?mode=ro"
        # Rows are read in one thread, and what reads them is given back in another.
        connection = sqlite3.connect(
            address, uri=True, timeout=30, isolation_level=None, check_same_thread=False
        )
        # What is no UTF-8 is shown with marks, and does not end the reading.
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        self._open.append(connection)
        return connection

    def catalogue(self) -> Catalogue:
        connection = self._connect()
        try:
            rows = connection.execute(_COLUMNS).fetchall()
            found = [(s, t, c, d, bool(n)) for s, t, c, d, n in rows]
            tables = tuple(tables_of(found))
            has_hub = any(table.name == "django_migrations" for table in tables)
            has_hub = has_hub and connection.execute(_HAS_HUB).fetchone() is not None
        except sqlite3.DatabaseError as error:
            raise BadSource(f"{self.label} cannot be read: {error}") from None
        finally:
            self._release(connection)
        return Catalogue(self.label, self.dialect, tables, has_hub)

    def count(self, table: Table) -> int:
        connection = self._connect()
        try:
            statement = f"SELECT count(*) FROM {quoted(table.stored_name)}"
            return int(connection.execute(statement).fetchone()[0])
        finally:
            self._release(connection)

    def _release(self, connection: sqlite3.Connection) -> None:
        self._open.remove(connection)
        connection.close()

    def rows(
        self, table: Table, *, order: Sequence[str] = (), after: str | None = None
    ) -> Iterator[dict[str, Cell]]:
        connection = self._connect()
        names = [column.name for column in table.columns]
        statement, params = _select(table, order, after)
        try:
            for row in connection.execute(statement, params):
                yield dict(zip(names, map(as_text, row), strict=True))
        finally:
            self._release(connection)

    def blank(self, table: Table, columns: Sequence[str], ids: Sequence[str]) -> None:
        sets = ", ".join(f"{quoted(name)} = ''" for name in columns)
        statement = f"UPDATE {quoted(table.stored_name)} SET {sets} WHERE id = ?"
        connection = sqlite3.connect(self._path, timeout=30)
        try:
            with connection:
                connection.executemany(statement, [(key,) for key in ids])
        finally:
            connection.close()

    def close(self) -> None:
        for connection in list(self._open):
            self._release(connection)


def quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _select(table: Table, order: Sequence[str], after: str | None) -> tuple[str, tuple[str, ...]]:
    columns = ", ".join(quoted(column.name) for column in table.columns)
    statement = f"SELECT {columns} FROM {quoted(table.stored_name)}"
    present = [name for name in order if table.column(name)]
    if not present:
        return statement, ()
    texts = [f"CAST({quoted(name)} AS TEXT)" for name in present]
    key = f"COALESCE({texts[0]}, CAST({quoted('id')} AS TEXT))" if table.column("id") else texts[0]
    where = f" WHERE {key} > ?" if after is not None else ""
    rest = [quoted(name) for name in present[1:]]
    statement += f"{where} ORDER BY {', '.join([f'{key} COLLATE BINARY', *rest])}"
    return statement, () if after is None else (after,)
