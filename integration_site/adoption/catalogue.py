"""What a database holds, as its own catalogue says (values without logic)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A column, its type in the words of its database, and whether it may be empty."""

    name: str
    type: str
    nullable: bool = True


@dataclass(frozen=True)
class Table:
    """A table of a database; `schema` is empty where the database has no such thing.

    `stored_as` is what it is called there, if it was set aside under another name.
    """

    name: str
    columns: tuple[Column, ...]
    schema: str = ""
    rows: int = 0
    stored_as: str = ""

    @property
    def stored_name(self) -> str:
        return self.stored_as or self.name

    @property
    def column_names(self) -> frozenset[str]:
        return frozenset(column.name.lower() for column in self.columns)

    def column(self, name: str) -> Column | None:
        """Return the column of that name in any case."""
        return next((column for column in self.columns if column.name.lower() == name), None)


@dataclass(frozen=True)
class Catalogue:
    """The tables of one source, and whether a hub has its own tables there."""

    label: str
    dialect: str
    tables: tuple[Table, ...] = ()
    has_hub: bool = False

    def table(self, name: str) -> Table | None:
        return next((table for table in self.tables if table.name == name), None)
