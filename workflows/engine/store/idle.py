"""Executions of which nothing is left but waits."""

from __future__ import annotations

from collections.abc import Iterable, Set
from datetime import datetime
from typing import Any

from workflows.decide import Transition
from workflows.engine.store.batch import Settled
from workflows.engine.store.dialect import Dialect


def rest(
    dialect: Dialect,
    cursor: Any,
    settled: Iterable[Settled],
    *,
    going: Set[str],
    now: datetime,
) -> None:
    """Let executions be WAITING that wait for a time, an event, people or a child and do no more.

    Containers wait while their branches run, so that every row counts. Nothing is asked of
    executions that are `going` on: a batch without a new wait costs no statement.
    """
    places = {s.claim.execution.id for s in settled if _may_rest(s.transition)} - going
    if not places:
        return
    where, params = dialect.among("workflow_execution.id", places)
    cursor.execute(
        "UPDATE workflow_execution SET status = 'WAITING', updated_at = %s"
        f" WHERE {where} AND status = 'RUNNING' AND NOT EXISTS (SELECT 1 FROM workflow_step s"
        " WHERE s.execution_id = workflow_execution.id"
        " AND s.status IN ('PENDING', 'RUNNING'))",
        [dialect.time(now), *params],
    )


def _may_rest(transition: Transition) -> bool:
    """Whether this leaves a wait or the end of a branch, and nothing to go on with."""
    rows = (transition.settled, *transition.followers)
    statuses = {row.status for row in rows if row is not None}
    return "PENDING" not in statuses and ("WAITING" in statuses or transition.leaves is not None)
