"""The history of executions is append-only: the database itself refuses to change it.

Events may be deleted only inside `deletable_history`, together with their execution. What opens the
history is part of the transaction that deletes, so no other connection ever sees it open.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

_REFUSAL = "The history of executions is append-only."

_GUARD = {
    "postgresql": (
        f"""
        CREATE FUNCTION workflow_event_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' AND current_setting('hub.history_deletable', true) = 'on' THEN
                RETURN OLD;
            END IF;
            RAISE EXCEPTION '{_REFUSAL}' USING ERRCODE = 'integrity_constraint_violation';
        END $$
        """,
        """
        CREATE TRIGGER workflow_event_append_only BEFORE UPDATE OR DELETE ON workflow_event
        FOR EACH ROW EXECUTE FUNCTION workflow_event_refuse()
        """,
    ),
    "sqlite": (
        "CREATE TABLE IF NOT EXISTS history_deletable (since text NOT NULL)",
        f"""
        CREATE TRIGGER IF NOT EXISTS workflow_event_no_update BEFORE UPDATE ON workflow_event
        BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END
        """,
        f"""
        CREATE TRIGGER IF NOT EXISTS workflow_event_no_delete BEFORE DELETE ON workflow_event
        WHEN NOT EXISTS (SELECT 1 FROM history_deletable)
        BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END
        """,  # noqa: S608
    ),
}
_UNGUARD = {
    "postgresql": (
        "DROP TRIGGER IF EXISTS workflow_event_append_only ON workflow_event",
        "DROP FUNCTION workflow_event_refuse()",
    ),
    "sqlite": (
        "DROP TRIGGER IF EXISTS workflow_event_no_update",
        "DROP TRIGGER IF EXISTS workflow_event_no_delete",
        "DROP TABLE history_deletable",
    ),
}
_OPEN = {
    "postgresql": "SELECT set_config('hub.history_deletable', 'on', true)",
    "sqlite": "INSERT INTO history_deletable VALUES (datetime('now'))",
}
_CLOSE = {
    "postgresql": "SELECT set_config('hub.history_deletable', '', true)",
    "sqlite": "DELETE FROM history_deletable",
}


@contextmanager
def deletable_history() -> Iterator[None]:
    """Open a transaction in which events may be deleted; they may never be updated."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_OPEN[connection.vendor])
        yield
        cursor.execute(_CLOSE[connection.vendor])


def guard_history(database: Any) -> None:
    """Have the database refuse to change or delete events."""
    _run(database, _GUARD)


def unguard_history(database: Any) -> None:
    """Take the guard away."""
    _run(database, _UNGUARD)


def renew_guard(**_: Any) -> None:
    """Put the guard back after migrations, where there was one.

    To alter a table, SQLite builds it anew, and its triggers go with the old one.
    """
    if connection.vendor != "sqlite":
        return
    with connection.cursor() as cursor:
        if "history_deletable" in connection.introspection.table_names(cursor):
            guard_history(connection)


def _run(database: Any, statements: dict[str, tuple[str, ...]]) -> None:
    with database.cursor() as cursor:
        for statement in statements[database.vendor]:
            cursor.execute(statement)
