"""Explains what the database does for the statements that a piece of code sends."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.backends.postgresql.base import ServerBindingCursor

_NAMED = re.compile(r"%\((\w+)\)s")
EXPLAINED = ("SELECT", "UPDATE", "INSERT", "DELETE", "WITH")


@dataclass(frozen=True)
class Statement:
    """A statement as it was sent: text with its parameters, or the name of a plan with them."""

    sql: str
    params: Any
    is_prepared: bool


@dataclass(frozen=True)
class Plan:
    """A statement as PostgreSQL ran it: 8 kB pages touched, milliseconds, tables read whole."""

    sql: str
    pages: int
    milliseconds: float
    whole_tables: tuple[str, ...]
    text: str


def capture(action: Callable[[], object]) -> list[Statement]:
    """Return the statements of an action on tables; what it changes is undone."""
    statements: list[Statement] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.lstrip().startswith(EXPLAINED) and " FROM " in f"{sql} FROM ":
            is_prepared = isinstance(context["cursor"].cursor, ServerBindingCursor)
            statements.append(Statement(*_positional(sql, params), is_prepared))
        return execute(sql, params, many, context)

    # Cursors of the engine tell nobody what they send unless queries are logged.
    connection.force_debug_cursor = True
    try:
        with transaction.atomic(), connection.execute_wrapper(note):
            action()
            transaction.set_rollback(True)
    finally:
        connection.force_debug_cursor = False
    return [item for item in statements if "clock_timestamp" not in item.sql]


def _positional(sql: str, params: Any) -> tuple[str, Any]:
    """Return a statement whose parameters have names with their places instead."""
    if not isinstance(params, Mapping):
        return sql, params
    return _NAMED.sub("%s", sql), [params[name] for name in _NAMED.findall(sql)]


def explain(statement: Statement) -> Plan:
    """Run a statement, undo it, and return how it was run. PostgreSQL only.

    What is prepared is run by the plan that serves all parameters, as on the engine's connection.
    """
    (answer,) = _explained(statement, "ANALYZE, BUFFERS, FORMAT JSON")
    text = "\n".join(_explained(statement, "ANALYZE, BUFFERS, COSTS OFF"))
    report = (json.loads(answer) if isinstance(answer, str) else answer)[0]
    nodes = list(_nodes(report["Plan"]))
    return Plan(
        sql=statement.sql,
        pages=report["Plan"]["Shared Hit Blocks"] + report["Plan"]["Shared Read Blocks"],
        milliseconds=report["Execution Time"],
        whole_tables=tuple(n["Relation Name"] for n in nodes if n["Node Type"] == "Seq Scan"),
        text=text,
    )


def _explained(statement: Statement, form: str) -> list[Any]:
    """Return the lines in which PostgreSQL explains a statement; what that did is undone."""
    from workflows.engine.store import planner_settings  # it needs the settings

    sql, params = statement.sql, statement.params
    with transaction.atomic(), connection.cursor() as cursor:
        if statement.is_prepared:
            cursor.execute(planner_settings.SET)
            cursor.execute(f"PREPARE explained AS {_numbered(sql)}")
            sql = f"EXECUTE explained ({', '.join('%s' for _ in params)})"
        cursor.execute(f"EXPLAIN ({form}) {sql}", params)
        lines = [line for (line,) in cursor.fetchall()]
        if statement.is_prepared:
            cursor.execute("DEALLOCATE explained")
        transaction.set_rollback(True)
    return lines


def _numbered(sql: str) -> str:
    """Return a statement with the server's marks for its parameters."""
    first, *others = sql.split("%s")
    marked = [f"${number}{text}" for number, text in enumerate(others, 1)]
    return "".join([first, *marked]).replace("%%", "%")


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from _nodes(below)


# --- The statements that must not grow with what has ended ---


def sweep_once() -> None:
    """Do what beat makes one worker do every second."""
    from workflows.engine.lease_recovery import (
        note_sweep,
        orphaned_children,
        overdue_executions,
        recover_expired,
    )
    from workflows.engine.store import Batch, Store

    recover_expired()
    orphaned_children()
    overdue_executions()
    note_sweep("bench")
    Store(owner="bench", lease_seconds=15).commit(Batch(look=True, room=200))


def list_page(cursor: str) -> None:
    """Read one page of the list of executions, from this cursor on, as the API makes it."""
    from rest_framework.test import APIRequestFactory, force_authenticate

    from core.api.caller import Caller
    from core.audit import acting
    from workflows.api.executions import ExecutionViewSet

    request = APIRequestFactory().get("/executions", {"cursor": cursor, "per_page": "50"})
    caller: Any = Caller("bench", frozenset({"workflows:read"}))
    force_authenticate(request, user=caller)
    with acting(None):  # as the middleware does: who acts is forgotten with the request
        answer = ExecutionViewSet.as_view({"get": "list"})(request)
    assert answer.status_code == 200, answer.data
