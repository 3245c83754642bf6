"""What every source can be asked: its catalogue, and the rows of a table in the order of a key."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from core.exceptions import IntegrationError
from integration_site.adoption.catalogue import Catalogue, Column, Table

Cell = str | None


class BadSource(IntegrationError):
    """A source that cannot be read, and what would be right."""

    code = "bad_source"
    status_code = 400


class SourceDatabase(ABC):
    """A database to read from. Every value comes as a text, or None for NULL.

    Rows of several tables can be read at once, each in the byte order of its key, so that rows
    which belong together are met together without an index and without holding many.
    """

    dialect = ""
    label = ""

    @abstractmethod
    def catalogue(self) -> Catalogue:
        """Return the tables that are there, not counted yet."""

    @abstractmethod
    def count(self, table: Table) -> int:
        """Return the number of rows of a table."""

    @abstractmethod
    def rows(
        self, table: Table, *, order: Sequence[str] = (), after: str | None = None
    ) -> Iterator[dict[str, Cell]]:
        """Yield the rows, by the first column of `order` that is not NULL, beyond `after`.

        Then by the other columns that the table has of `order`.
        """

    @abstractmethod
    def close(self) -> None:
        """Give back its connections."""

    @abstractmethod
    def blank(self, table: Table, columns: Sequence[str], ids: Sequence[str]) -> None:
        """Empty these columns of the rows with these ids: the one thing that is ever changed."""


def tables_of(rows: Sequence[tuple[str, str, str, str, bool]]) -> list[Table]:
    """Return tables from rows of schema, table, column, type and whether it may be NULL."""
    return [
        Table(name, tuple(Column(c, t, bool(n)) for _, _, c, t, n in columns), schema)
        for (schema, name), columns in groupby(rows, key=itemgetter(0, 1))
    ]


def as_text(value: object) -> Cell:
    """Return a value that a driver made as the text that it stands for."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "replace")
    return str(value)
