"""Rows that are claimed next: by priority, highest first, then by how long they have been due.

The one index of (status, priority, wake_at) gives both PENDING rows, which are due, and WAITING
rows, whose time may be far off, in that order. So a look reads as many rows as it claims, however
many timers and finished rows there are. The parameters are `stamp` and `room`.
"""

from __future__ import annotations

# The condition of the index, as it was made: SQLite uses an index only for its very words.
_INDEXED = "s.status IN ('PENDING', 'WAITING') AND s.wake_at IS NOT NULL"
_DUE = "(s.status = 'PENDING' OR s.wake_at <= %(stamp)s)"
# Rows whose worker died may have killed it: they run in quarantine, a process of their own.
SOUND, QUARANTINED = "s.deaths = 0", "s.deaths > 0"
# Both the step and its execution are locked without waiting: this skips what a cancel holds.
LOCK = "FOR NO KEY UPDATE OF s, e SKIP LOCKED"


def claimable(where: str, lock: str, *, order: str = "s.priority DESC, s.wake_at") -> str:
    """Return a query for the most urgent rows that may be claimed."""
    return f"""
        SELECT s.id, s.priority, s.wake_at
        FROM workflow_step s JOIN workflow_execution e ON e.id = s.execution_id
        WHERE {where} AND {_INDEXED} AND e.queued_at IS NULL
          AND e.status IN ('PENDING', 'RUNNING', 'WAITING', 'COMPENSATING')
        ORDER BY {order} LIMIT %(room)s {lock}"""


def due_at_once() -> str:
    """Return the table expression `due` where nothing is locked: by one look at all that may be."""
    return f"WITH due AS ({claimable(f'{_DUE} AND {SOUND}', '')})"


def due_by_levels(lock: str) -> str:
    """Return the table expression `due`: of WAITING rows, by a look at each priority that occurs.

    The priorities are found one below the other, each by one look into the index: within one of
    them the index has the rows by their time, across them it has not.
    """
    pending = claimable(f"s.status = 'PENDING' AND {SOUND}", lock)
    waiting = claimable(
        "s.status = 'WAITING' AND s.priority = levels.priority"
        f" AND s.wake_at <= %(stamp)s AND {SOUND}",
        lock,
    )
    return f"""
        WITH RECURSIVE levels AS (
            (SELECT s.priority FROM workflow_step s WHERE s.status = 'WAITING' AND {_INDEXED}
             ORDER BY s.priority DESC LIMIT 1)
            UNION ALL
            SELECT (SELECT s.priority FROM workflow_step s
                    WHERE s.status = 'WAITING' AND {_INDEXED} AND s.priority < levels.priority
                    ORDER BY s.priority DESC LIMIT 1)
            FROM levels WHERE levels.priority IS NOT NULL
        ),
        pending AS ({pending}),
        waiting AS (
            SELECT w.* FROM levels CROSS JOIN LATERAL ({waiting}) w
            WHERE levels.priority IS NOT NULL
        ),
        due AS (
            SELECT id FROM (SELECT * FROM pending UNION ALL SELECT * FROM waiting) both_kinds
            ORDER BY priority DESC, wake_at LIMIT %(room)s
        )"""


def due_in_quarantine(lock: str) -> str:
    """Return the table expression `due` of quarantined rows, those with the fewest deaths first."""
    where = f"{_DUE} AND {QUARANTINED}"
    return f"WITH due AS ({claimable(where, lock, order='s.deaths, s.wake_at')})"


def due_among(ids: str, lock: str, *, quarantine: bool) -> str:
    """Return the table expression `due` of rows that the condition `ids` names, if they are due."""
    # A PENDING row is due; only a WAITING one has its time.
    due = "(s.status = 'PENDING' AND s.wake_at IS NOT NULL OR s.wake_at <= %(stamp)s)"
    where = f"{ids} AND {due} AND {QUARANTINED if quarantine else SOUND}"
    return f"WITH due AS ({claimable(where, lock)})"
