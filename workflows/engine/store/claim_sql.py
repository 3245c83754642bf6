"""The SQL of a claim: rows become RUNNING under a new fence, and their executions begin.

PostgreSQL does it by one statement that tells of both, SQLite by three. The parameters are `stamp`,
`owner`, `lease_end` and those of the table expression `due`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from registry.models import RegistryChange
from workflows.decide import SETTLED_STATUSES
from workflows.engine.store.batch import COUNTERS

CLAIMED = (
    "id", "execution_id", "step_id", "path", "scope", "attempt", "name", "service", "action",
    "input", "error", "started_at", "fence", "retry_base", "retry_since", *COUNTERS,
)  # fmt: skip
# Columns of the execution, and the names that they have beside the step's.
EXECUTION = {
    "workflow_name": "workflow",
    "started_at": "began",
    "version_id": "version",
    "correlation_id": "correlation",
    "last_sequence": "sequence",
    "priority": "priority",
    "deadline_at": "deadline",
    "started_by": "started_by",
    "input": "execution_input",
    "context": "execution_context",
}
DOCUMENTS = ("input", "context")
COLUMNS = (*CLAIMED, *EXECUTION.values(), "is_first", "registry")
SETTLED = ", ".join(f"'{status}'" for status in SETTLED_STATUSES)
# The newest change of the registry: who is called is as it was then, or later.
_REGISTRY = f'(SELECT MAX("index") FROM {RegistryChange._meta.db_table})'
_RETURNED = ", ".join(f"workflow_step.{column}" for column in CLAIMED)
_TAKE = """
    UPDATE workflow_step
    SET status = 'RUNNING', wake_at = NULL, lease_owner = %(owner)s, lease_until = %(lease_end)s,
        fence = fence + 1, started_at = COALESCE(started_at, %(stamp)s), updated_at = %(stamp)s"""
_BEGIN = """
    UPDATE workflow_execution
    SET status = 'RUNNING', updated_at = %(stamp)s, started_at = COALESCE(started_at, %(stamp)s)
    WHERE status IN ('PENDING', 'WAITING') AND """


@lru_cache(maxsize=16)
def take_and_begin(due: str) -> str:
    """Return one statement that claims the rows of `due`, begins their executions, tells of both.

    An execution is told of as it was when the statement began: what of it is read never changes,
    but for the number of its last event, and an older one only makes an EVENT look once more.
    `is_first` is a row outside of branches before which nothing ended there.
    """
    # PostgreSQL guesses that a CTE has a hundred rows, and would read a whole table to meet it;
    # OFFSET 0 keeps executions from being joined with all that there are.
    return f"""{due},
        taken AS (
            {_TAKE}
            WHERE workflow_step.id = ANY(ARRAY(SELECT id FROM due)) RETURNING {_RETURNED}
        ),
        begun AS ({_BEGIN} id = ANY(ARRAY(SELECT execution_id FROM taken)))
        SELECT {", ".join(f"taken.{column}" for column in CLAIMED)}, e.*, {_REGISTRY}
        FROM taken CROSS JOIN LATERAL (
            SELECT {_of_execution("taken.scope = ''")}, taken.scope = '' AND NOT EXISTS (
                SELECT FROM workflow_step s
                WHERE s.execution_id = taken.execution_id AND s.scope = ''
                  AND s.status IN ({SETTLED})
            )
            FROM workflow_execution WHERE id = taken.execution_id OFFSET 0
        ) e"""


def take(due: str) -> str:
    """Return a statement that claims the rows of `due` and returns `CLAIMED` of each."""
    return f"{due} {_TAKE} FROM due WHERE workflow_step.id = due.id RETURNING {_RETURNED}"


def begin(among: str) -> str:
    """Return a statement that begins the executions that a condition names."""
    return f"{_BEGIN} {among}"


def tell_of_executions(among: str, outside: str) -> str:
    """Return a query for what a claim has to know of executions."""
    columns = _of_execution(outside)
    return f"SELECT id, {_REGISTRY}, {columns} FROM workflow_execution WHERE {among}"


def execution_ids(rows: Sequence[Any], *, outside_branches: bool = False) -> set[Any]:
    """Return the executions of claimed rows, or of those of them that are outside of branches."""
    execution, scope = CLAIMED.index("execution_id"), CLAIMED.index("scope")
    return {row[execution] for row in rows if not (outside_branches and row[scope])}


def join(rows: Sequence[Any], executions: Sequence[Any]) -> list[Any]:
    """Return claimed rows with what `tell_of_executions` tells, as `COLUMNS`."""
    told = {key: (*columns, False, registry) for key, registry, *columns in executions}
    execution = CLAIMED.index("execution_id")
    return [(*row, *told[row[execution]]) for row in rows]


def _of_execution(outside: str) -> str:
    """Return columns of executions: the documents only of rows outside of branches."""
    return ", ".join(
        f"CASE WHEN {outside} THEN {column} END" if column in DOCUMENTS else column
        for column in EXECUTION
    )
