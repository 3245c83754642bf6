"""Moves tables out of the way of the hub's own in one database, and back: nothing is dropped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from django.apps import apps
from django.db import connection, transaction

from core.failpoints import failpoint
from integration_site.adoption.catalogue import Catalogue, Table
from integration_site.adoption.record import ASIDE, DONE, AdoptionRecord, StepRecord, aside_name
from integration_site.adoption.sources import SourceDatabase, hub_source

NAME = "set-aside"
# Tables of the hub that no model has.
_BESIDE_MODELS = ("django_migrations", "history_deletable")


def hub_tables() -> frozenset[str]:
    """Return the names of all tables that the hub makes."""
    models = apps.get_models(include_auto_created=True)
    return frozenset({*(model._meta.db_table for model in models), *_BESIDE_MODELS})


def set_aside(record: AdoptionRecord, tables: Sequence[Table], *, has_hub: bool) -> None:
    """Move tables aside in one transaction, and write down what was where."""
    with transaction.atomic():
        record.create()
        failpoint("M1")
        for table in tables:
            _move(table)
        moved = [{"name": table.name, "schema": table.schema} for table in tables]
        detail = {"moved": moved, "had_hub": has_hub}
        record.save(StepRecord(NAME, DONE, counts={"tables": len(tables)}, detail=detail))
        failpoint("M2")


def _move(table: Table) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # Indexes, constraints, owned sequences and the keys of other tables go with it.
            cursor.execute(f'ALTER TABLE "{table.schema}"."{table.name}" SET SCHEMA "{ASIDE}"')
        else:
            cursor.execute(f'ALTER TABLE "{table.name}" RENAME TO {aside_name(table.name)}')


def put_back(moved: Iterable[dict[str, str]]) -> None:
    """Give tables their places and names again, in the caller's transaction."""
    with connection.cursor() as cursor:
        for table in moved:
            name = table["name"]
            if connection.vendor == "postgresql":
                schema = table["schema"]
                cursor.execute(f'ALTER TABLE {aside_name(name)} SET SCHEMA "{schema}"')
            else:
                cursor.execute(f'ALTER TABLE {aside_name(name)} RENAME TO "{name}"')


def aside_source() -> tuple[SourceDatabase, Catalogue]:
    """Return what was set aside, under the names that it had."""
    if connection.vendor == "postgresql":
        source = hub_source(schemas=(ASIDE,))
        return source, source.catalogue()
    source = hub_source()
    catalogue = source.catalogue()
    begins = f"{ASIDE}_"
    tables = tuple(
        replace(table, name=table.name.removeprefix(begins), stored_as=table.name)
        for table in catalogue.tables
        if table.name.startswith(begins)
    )
    return source, replace(catalogue, tables=tables, has_hub=False)


def drop_hub_tables() -> None:
    """Drop all tables of the hub's, in the caller's transaction."""
    with connection.cursor() as cursor:
        present = set(connection.introspection.table_names(cursor)) & hub_tables()
        if connection.vendor == "postgresql":
            names = ", ".join(f'"{name}"' for name in sorted(present))
            cursor.execute(f"DROP TABLE IF EXISTS {names} CASCADE")
            cursor.execute("DROP FUNCTION IF EXISTS workflow_event_refuse()")
            return
        for name in sorted(present):
            cursor.execute(f'DROP TABLE IF EXISTS "{name}"')
