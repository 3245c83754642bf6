"""What the database does for the statements that a piece of code sends."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

EXPLAINED = ("SELECT", "UPDATE", "INSERT", "DELETE", "WITH")
Statement = tuple[str, Any]


@dataclass(frozen=True)
class Plan:
    """How PostgreSQL ran one statement: 8 kB pages touched, milliseconds, tables read whole."""

    sql: str
    pages: int
    milliseconds: float
    whole_tables: tuple[str, ...]
    text: str


def capture(action: Callable[[], object]) -> list[Statement]:
    """The statements of an action that read or write tables. What it changes is undone."""
    found: list[Statement] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.lstrip().startswith(EXPLAINED) and " FROM " in f"{sql} FROM ":
            found.append((sql, params))
        return execute(sql, params, many, context)

    with transaction.atomic(), connection.execute_wrapper(note):
        action()
        transaction.set_rollback(True)
    return [item for item in found if "clock_timestamp" not in item[0]]


def explain(statement: Statement) -> Plan:
    """Run a statement, undo it, and tell how it was run. PostgreSQL only."""
    sql, params = statement
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", params)
        answer = cursor.fetchone()[0]
        transaction.set_rollback(True)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {sql}", params)
        text = "\n".join(row[0] for row in cursor.fetchall())
        transaction.set_rollback(True)
    found = (json.loads(answer) if isinstance(answer, str) else answer)[0]
    nodes = list(_nodes(found["Plan"]))
    return Plan(
        sql=sql,
        pages=found["Plan"]["Shared Hit Blocks"] + found["Plan"]["Shared Read Blocks"],
        milliseconds=found["Execution Time"],
        whole_tables=tuple(n["Relation Name"] for n in nodes if n["Node Type"] == "Seq Scan"),
        text=text,
    )


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from _nodes(below)


# --- The statements that must not grow with what has ended ---


def sweep_once() -> None:
    """What beat makes one worker do every second."""
    from workflows.recovery import (
        note_sweep,
        orphaned_children,
        overdue_executions,
        recover_expired,
    )
    from workflows.store import Batch, Store

    recover_expired()
    orphaned_children()
    overdue_executions()
    note_sweep("bench")
    Store(owner="bench", lease_seconds=15).commit(Batch(look=True, room=200))


def list_page(cursor: str) -> None:
    """One page of the list of executions, from this cursor on, as the API makes it."""
    from rest_framework.test import APIRequestFactory, force_authenticate

    from integration_site.api.auth import Caller
    from workflows.api.executions import ExecutionViewSet

    request = APIRequestFactory().get("/executions", {"cursor": cursor, "per_page": "50"})
    caller: Any = Caller("bench", frozenset({"workflows:read"}))
    force_authenticate(request, user=caller)
    answer = ExecutionViewSet.as_view({"get": "list"})(request)
    assert answer.status_code == 200, answer.data
