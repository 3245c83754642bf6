"""What was taken over so far, kept beside what was set aside: steps, rows and findings.

These tables stand outside of the migrations, as the first steps come before those.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection

from integration_site.adoption.findings import RowFinding

# The schema on PostgreSQL, and what names begin with where there are none.
ASIDE = "earlier_system"
BEGUN, DONE = "BEGUN", "DONE"
OWN = "own"  # the source is the hub's own database

_TABLES = {
    "adoption_step": (
        "source varchar(300) NOT NULL, name varchar(100) NOT NULL, state varchar(20) NOT NULL,"
        " last_key text, counts text NOT NULL, detail text NOT NULL, PRIMARY KEY (source, name)"
    ),
    "adoption_row": (
        "source varchar(300) NOT NULL, kind varchar(100) NOT NULL, id varchar(36) NOT NULL,"
        " PRIMARY KEY (source, kind, id)"
    ),
    "adoption_finding": (
        "source varchar(300) NOT NULL, step varchar(100) NOT NULL, kind varchar(100) NOT NULL,"
        " row_key text NOT NULL, column_name varchar(100) NOT NULL, verdict varchar(20) NOT NULL,"
        " reason text NOT NULL"
    ),
}


@dataclass(frozen=True)
class StepRecord:
    """How far a step is: what it counted, and the key that it came to."""

    name: str
    state: str = BEGUN
    last_key: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        return self.state == DONE


def aside_name(table: str) -> str:
    """Return how a table is called in a statement once it is set aside."""
    if connection.vendor == "postgresql":
        return f'"{ASIDE}"."{table}"'
    return f'"{ASIDE}_{table}"'


class AdoptionRecord:
    """The record of what was taken from one source."""

    def __init__(self, source: str) -> None:
        self.source = source[:300]

    @staticmethod
    def exists() -> bool:
        return _table_exists("adoption_step")

    @staticmethod
    def create() -> None:
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute(f'CREATE SCHEMA IF NOT EXISTS "{ASIDE}"')
            for table, columns in _TABLES.items():
                cursor.execute(f"CREATE TABLE IF NOT EXISTS {aside_name(table)} ({columns})")

    @staticmethod
    def drop() -> None:
        """Take the record away, and the schema if nothing is left in it."""
        with connection.cursor() as cursor:
            for table in _TABLES:
                cursor.execute(f"DROP TABLE IF EXISTS {aside_name(table)}")
            if connection.vendor == "postgresql":
                cursor.execute(f'DROP SCHEMA IF EXISTS "{ASIDE}"')

    @staticmethod
    def sources() -> list[str]:
        return [row[0] for row in _fetch("SELECT DISTINCT source FROM {adoption_step}", [])]

    def steps(self) -> dict[str, StepRecord]:
        statement = (
            "SELECT name, state, last_key, counts, detail FROM {adoption_step} WHERE source = %s"
        )
        return {
            name: StepRecord(name, state, key, json.loads(counts), json.loads(detail))
            for name, state, key, counts, detail in _fetch(statement, [self.source])
        }

    def step(self, name: str) -> StepRecord | None:
        return self.steps().get(name)

    def save(self, record: StepRecord) -> None:
        """Keep how far a step is, in the transaction of what it did."""
        _run(
            "INSERT INTO {adoption_step} (source, name, state, last_key, counts, detail)"
            " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (source, name) DO UPDATE SET"
            " state = excluded.state, last_key = excluded.last_key, counts = excluded.counts,"
            " detail = excluded.detail",
            [[
                self.source, record.name, record.state, record.last_key,
                json.dumps(dict(record.counts)), json.dumps(dict(record.detail)),
            ]],
        )  # fmt: skip

    def forget(self) -> None:
        """Drop all that is kept of this source."""
        for table in _TABLES:
            _run(f"DELETE FROM {{{table}}} WHERE source = %s", [[self.source]])

    def add_rows(self, kind: str, ids: Iterable[Any]) -> None:
        """Note which rows of the hub's were made."""
        _run(
            "INSERT INTO {adoption_row} (source, kind, id) VALUES (%s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            [[self.source, kind, str(key)] for key in ids],
        )

    def texts(self, kind: str) -> list[str]:
        """Return what was noted of a kind."""
        statement = "SELECT id FROM {adoption_row} WHERE source = %s AND kind = %s ORDER BY id"
        return [row[0] for row in _fetch(statement, [self.source, kind])]

    def made_of(self, kind: str) -> dict[str, str]:
        """Return the ids of the rows of a kind by the ids that they had."""
        statement = "SELECT kind, id FROM {adoption_row} WHERE source = %s AND kind LIKE %s"
        rows = _fetch(statement, [self.source, f"{kind}:%"])
        return {text.partition(":")[2]: key for text, key in rows}

    def rows(self, kind: str) -> list[UUID]:
        """Return the ids of the rows of a kind that were made."""
        return [UUID(text) for text in self.texts(kind)]

    def add_findings(self, step: str, findings: Iterable[RowFinding]) -> None:
        _run(
            "INSERT INTO {adoption_finding} (source, step, kind, row_key, column_name, verdict,"
            " reason) VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [[self.source, step, f.table, f.key, f.column, f.verdict, f.reason] for f in findings],
        )

    def findings(self) -> Iterator[RowFinding]:
        """Yield what was mended or left, by table, verdict, column and key."""
        statement = (
            "SELECT kind, row_key, column_name, verdict, reason FROM {adoption_finding}"
            " WHERE source = %s ORDER BY kind, verdict, column_name, reason, row_key"
        )
        with connection.cursor() as cursor:
            cursor.execute(_named(statement), [self.source])
            while rows := cursor.fetchmany(2000):
                yield from (RowFinding(*row) for row in rows)

    def finding_counts(self) -> list[tuple[str, str, int]]:
        """Return table, verdict and number of rows."""
        statement = (
            "SELECT kind, verdict, count(DISTINCT row_key) FROM {adoption_finding}"
            " WHERE source = %s GROUP BY kind, verdict ORDER BY kind, verdict"
        )
        return [(kind, verdict, count) for kind, verdict, count in _fetch(statement, [self.source])]


def _named(statement: str) -> str:
    return statement.format(**{table: aside_name(table) for table in _TABLES})


def _run(statement: str, rows: list[list[Any]]) -> None:
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(_named(statement), rows)


def _fetch(statement: str, params: list[Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(_named(statement), params)
        return list(cursor.fetchall())


def _table_exists(table: str) -> bool:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT to_regclass(%s)", [aside_name(table)])
            return bool(cursor.fetchone()[0])
        cursor.execute("SELECT 1 FROM sqlite_master WHERE name = %s", [f"{ASIDE}_{table}"])
        return cursor.fetchone() is not None
