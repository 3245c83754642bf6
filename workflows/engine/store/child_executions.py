"""Child executions: started with their parent's step, and told of at their end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.exceptions import Conflict, IntegrationError
from workflows.engine.store.batch import Committed, Settled
from workflows.engine.store.dialect import key_of
from workflows.engine.store.transaction import Transaction
from workflows.execution_rows import (
    Start,
    check_not_inside_itself,
    find_startable,
    hub_context,
    insert_executions,
    new_execution,
)
from workflows.models import StepStatus, WorkflowStep

# A workflow that starts itself, or a circle of them, ends here.
MOST_DEPTH = 20


def start_child(item: Settled, transaction: Transaction, committed: Committed) -> None:
    """Insert the child execution of a step; what prevents it is left for the step to fail with."""
    wanted, row = item.transition.child, item.transition.settled
    assert wanted is not None
    assert row is not None
    context = item.claim.execution.context
    depth = _depth_of(context) + 1
    about = {"parent_execution_id": item.claim.execution.id, "depth": depth}
    start = Start(
        input=wanted.input,
        context=context,
        noted={**hub_context(context), **about},
        actor="engine",
        parent_step_id=row.id,
        correlation_id=item.claim.correlation_id,
        priority=item.claim.execution.priority,
    )
    try:
        if depth > MOST_DEPTH:
            raise Conflict(f"Workflows start each other more than {MOST_DEPTH} deep.")
        workflow, version = find_startable(wanted.workflow, wanted.version, key=wanted.workflow_id)
        check_not_inside_itself(workflow, row.id)
        child = new_execution(workflow, version, start)
        insert_executions([child])
    except IntegrationError as error:
        problem = {"code": error.code, "message": error.message}
        WorkflowStep.objects.filter(id=row.id).update(
            input={**row.input, "problem": problem},
            status=StepStatus.PENDING,
            wake_at=transaction.now,
        )
        committed.ready.append(row.id)
    else:
        if not child.execution.is_queued:
            committed.ready.append(str(child.first.pk))


def _depth_of(context: Mapping[str, Any]) -> int:
    """Return how deep an execution is inside of others; callers could say anything here once."""
    depth = context.get("depth")
    return depth if isinstance(depth, int) and depth > 0 else 0


def find_children(transaction: Transaction, steps: Sequence[str]) -> list[str]:
    """Return the child executions of these steps that may still run."""
    where = transaction.dialect.among("parent_step_id")
    answer = transaction.execute(
        f"SELECT id FROM workflow_execution WHERE {where} AND completed_at IS NULL",
        ids=transaction.dialect.ids(steps),
    )
    return [key_of(child) for (child,) in answer.fetchall()]


def wake_parents(transaction: Transaction, executions: Sequence[str]) -> list[str]:
    """Let the steps look that waited for these executions; return them.

    One that somebody holds is passed over, so that no lock is waited for out of order; it looks by
    itself soon.
    """
    dialect = transaction.dialect
    answer = transaction.execute(
        f"""
        SELECT s.id FROM workflow_execution e JOIN workflow_step s ON s.id = e.parent_step_id
        WHERE {dialect.among("e.id")} AND s.status = 'WAITING'
        {dialect.lock("FOR NO KEY UPDATE OF s SKIP LOCKED")}""",
        ids=dialect.ids(executions),
    )
    parents = [key_of(step) for (step,) in answer.fetchall()]
    if parents:
        transaction.execute(
            "UPDATE workflow_step SET status = 'PENDING', wake_at = %(stamp)s"
            f" WHERE {dialect.among('id')}",
            ids=dialect.ids(parents),
        )
    return parents
