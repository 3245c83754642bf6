"""Which rows are claimed next: by priority, highest first, then by how long they have been due.

The one index of (status, priority, wake_at) gives both PENDING rows, which are due, and WAITING
rows, whose time may be far off, in that order. So a look reads as many rows as it claims, however
many timers and finished rows there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workflows.engine.store.dialect import Dialect

# The condition of the index, as it was made: SQLite uses an index only for its very words.
_INDEXED = "s.status IN ('PENDING', 'WAITING') AND s.wake_at IS NOT NULL"
_BY_URGENCY = "ORDER BY s.priority DESC, s.wake_at"
# Rows whose worker died are suspected of having killed it: they run in a process of their own.
SOUND, SUSPECT = "s.deaths = 0", "s.deaths > 0"


def select_claimable(
    dialect: Dialect,
    where: str,
    params: Sequence[Any],
    *,
    limit: int,
    order: str = _BY_URGENCY,
) -> tuple[str, list[Any]]:
    """A query for the most urgent rows that may be claimed, locked, and its parameters.

    Both the step and its execution are locked without waiting: this skips what a cancel holds.
    """
    lock = dialect.lock("FOR NO KEY UPDATE OF s, e SKIP LOCKED")
    text = (
        "SELECT s.id, s.priority, s.wake_at FROM workflow_step s"
        " JOIN workflow_execution e ON e.id = s.execution_id"
        f" WHERE {where} AND {_INDEXED}"
        " AND e.status IN ('PENDING', 'RUNNING', 'WAITING', 'COMPENSATING') AND e.queued_at IS NULL"
        f" {order} LIMIT %s {lock}"
    )
    return text, [*params, limit]


def select_due(dialect: Dialect, stamp: Any, limit: int) -> tuple[str, list[Any]]:
    """The table expression `due` of the most urgent rows that are due, and its parameters."""
    if not dialect.is_postgres:
        where = f"(s.status = 'PENDING' OR s.wake_at <= %s) AND {SOUND}"
        text, params = select_claimable(dialect, where, [stamp], limit=limit)
        return f"WITH due AS ({text})", params
    pending, of_pending = select_claimable(
        dialect, f"s.status = 'PENDING' AND {SOUND}", [], limit=limit
    )
    waiting, of_waiting = select_claimable(
        dialect,
        f"s.status = 'WAITING' AND s.priority = levels.priority AND s.wake_at <= %s AND {SOUND}",
        [stamp],
        limit=limit,
    )
    # The priorities that occur are found one below the other, each by one look into the index:
    # within one of them the index has the rows by their time, across them it has not.
    text = (
        "WITH RECURSIVE levels AS ("
        f"(SELECT s.priority FROM workflow_step s WHERE s.status = 'WAITING' AND {_INDEXED}"
        " ORDER BY s.priority DESC LIMIT 1) UNION ALL"
        f" SELECT (SELECT s.priority FROM workflow_step s WHERE s.status = 'WAITING' AND {_INDEXED}"
        " AND s.priority < levels.priority ORDER BY s.priority DESC LIMIT 1)"
        " FROM levels WHERE levels.priority IS NOT NULL),"
        f" pending AS ({pending}),"
        f" waiting AS (SELECT w.* FROM levels CROSS JOIN LATERAL ({waiting}) w"
        " WHERE levels.priority IS NOT NULL),"
        " due AS (SELECT id FROM (SELECT * FROM pending UNION ALL SELECT * FROM waiting) found"
        " ORDER BY priority DESC, wake_at LIMIT %s)"
    )
    return text, [*of_pending, *of_waiting, limit]


def select_quarantined(dialect: Dialect, stamp: Any, limit: int) -> tuple[str, list[Any]]:
    """The table expression `due` of the suspects that are due, the least suspected first."""
    where = f"(s.status = 'PENDING' OR s.wake_at <= %s) AND {SUSPECT}"
    text, params = select_claimable(
        dialect, where, [stamp], limit=limit, order="ORDER BY s.deaths, s.wake_at"
    )
    return f"WITH due AS ({text})", params
