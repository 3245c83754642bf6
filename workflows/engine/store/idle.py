"""Executions of which nothing is left but waits."""

from __future__ import annotations

from collections.abc import Iterable, Set

from workflows.decide import Transition
from workflows.engine.store.batch import Settled
from workflows.engine.store.transaction import Transaction
from workflows.models import StepStatus


def mark_waiting(settled: Iterable[Settled], transaction: Transaction, *, going: Set[str]) -> None:
    """Mark executions WAITING once every open step of theirs waits.

    Containers wait while their branches run, so that every row counts. Nothing is asked of
    executions that are `going` on: a batch without a new wait costs no statement.
    """
    idle = {s.claim.execution.id for s in settled if _may_be_idle(s.transition)} - going
    if idle:
        dialect = transaction.dialect
        transaction.execute(
            f"""
            UPDATE workflow_execution SET status = 'WAITING', updated_at = %(stamp)s
            WHERE {dialect.among("workflow_execution.id")} AND status = 'RUNNING'
              AND NOT EXISTS (
                SELECT 1 FROM workflow_step s
                WHERE s.execution_id = workflow_execution.id
                  AND s.status IN ('PENDING', 'RUNNING')
              )""",
            ids=dialect.ids(idle),
        )


def _may_be_idle(transition: Transition) -> bool:
    """Return whether this leaves a wait or the end of a branch, and nothing to go on with."""
    rows = (transition.settled, *transition.followers)
    statuses = {row.status for row in rows if row is not None}
    if StepStatus.PENDING in statuses:
        return False
    return StepStatus.WAITING in statuses or transition.leaves is not None
