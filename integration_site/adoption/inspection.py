"""Says what there is to take, and what each table will become; changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from integration_site.adoption.catalogue import Catalogue, Table
from integration_site.adoption.record import OWN, AdoptionRecord
from integration_site.adoption.set_aside import aside_source, hub_tables
from integration_site.adoption.shapes import BY_NAME, Recognised, recognise
from integration_site.adoption.sources import SourceDatabase, hub_source, open_source


@dataclass(frozen=True)
class Inspection:
    """What one source holds. `set_aside` are the tables that are moved before anything is taken."""

    source: SourceDatabase
    catalogue: Catalogue
    tables: tuple[Recognised, ...]
    in_the_way: tuple[Table, ...] = ()
    is_own: bool = False

    @property
    def to_move(self) -> list[Table]:
        """The tables of the hub's own database that are moved out of the way."""
        if not self.is_own:
            return []
        taken = [each.table for each in self.tables if each.kind.becomes]
        named_alike = [each.table for each in self.tables if each.table.name in hub_tables()]
        return list(dict.fromkeys([*taken, *named_alike, *self.in_the_way]))

    @property
    def blocks_hub(self) -> bool:
        """Whether the hub's own tables cannot be made, or not all of them, before these moved."""
        names = {table.name for table in self.to_move}
        return bool(names) and (not self.catalogue.has_hub or bool(names & hub_tables()))

    @property
    def rows(self) -> int:
        return sum(each.table.rows for each in self.tables)


def inspect(url: str = "") -> Inspection:
    """Return what the source of that URL holds, or the hub's own database without one.

    Raises:
        BadSource: it cannot be read.
    """
    if url:
        source = open_source(url)
        catalogue = source.catalogue()
        tables, _ = recognise(catalogue)
        return Inspection(source, catalogue, _counted(source, tables))
    return inspect_own()


def inspect_own() -> Inspection:
    """Return what the hub's own database holds, set aside or not yet."""
    step = AdoptionRecord(OWN).step("set-aside") if AdoptionRecord.exists() else None
    if step is not None:
        source, catalogue = aside_source()
        tables, _ = recognise(catalogue)
        return Inspection(source, catalogue, _counted(source, tables), is_own=True)
    source = hub_source()
    catalogue = source.catalogue()
    tables, in_the_way = recognise(catalogue, hub_tables=hub_tables())
    counted = _counted(source, tables)
    return Inspection(source, catalogue, counted, in_the_way, is_own=True)


def _counted(source: SourceDatabase, tables: Iterable[Recognised]) -> tuple[Recognised, ...]:
    return tuple(
        replace(each, table=replace(each.table, rows=source.count(each.table))) for each in tables
    )


def fate_of(each: Recognised) -> str:
    """Return what becomes of a table, in words."""
    kind = BY_NAME[each.kind.name]
    if kind.becomes:
        return kind.becomes
    return f"left: {kind.why_not}"
