"""Records the common case in one statement: steps that lead to the next call or to the end.

PostgreSQL locks, records and inserts in one exchange, which is its own transaction. What turns out
to be anything else (a stale fence, a pause, a parent that waits) is left as it was, for the
`Recorder`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from core.failpoints import failpoint
from workflows.decide import SETTLED_STATUSES
from workflows.definition.step_paths import is_compensation
from workflows.engine.store import transition_sql
from workflows.engine.store.batch import Batch, Claim, Committed, Settled
from workflows.engine.store.step_columns import (
    end_values,
    follower_values,
    settled_values,
    taken_by,
)
from workflows.engine.store.transaction import Transaction
from workflows.models import ExecutionStatus, StepStatus


def takes_fast_path(batch: Batch) -> bool:
    """Return whether a batch has nothing but outcomes that lead to the next step or to the end."""
    return (
        bool(batch.settled)
        and batch.take
        and not batch.careful
        and not (batch.renew or batch.wanted or batch.look)
        and len({item.claim.row.id for item in batch.settled}) == len(batch.settled)
        and all(_is_common(item) for item in batch.settled)
    )


def _is_common(item: Settled) -> bool:
    """Return whether this leads to one step that is due, in the same branch, or to COMPLETED."""
    transition, row = item.transition, item.transition.settled
    if row is None or row.status not in SETTLED_STATUSES:
        return False
    if transition.changes_more or is_compensation(row.path):
        return False
    inline, scope = transition.followers, item.claim.execution.scope
    if transition.finish is None:
        if not inline or inline[-1].status != StepStatus.PENDING or inline[-1].unclaimed:
            return False
        if inline[-1].scope != scope:
            return False
        inline = inline[:-1]
    elif transition.finish.status != ExecutionStatus.COMPLETED:
        return False
    return all(f.status in SETTLED_STATUSES and f.scope == scope for f in inline)


@dataclass(slots=True)
class _Rows:
    """The rows of the statement, and the claims that it makes, by the outcome before them."""

    outcomes: list[dict[str, Any]] = field(default_factory=list)
    followers: list[dict[str, Any]] = field(default_factory=list)
    ends: list[dict[str, Any]] = field(default_factory=list)
    claims: dict[int, Claim] = field(default_factory=dict)


def record_in_one(batch: Batch, committed: Committed, transaction: Transaction) -> None:
    """Record what can be, and claim what follows; the outcomes that cannot are `left`."""
    rows = _Rows()
    for item in batch.settled:
        _add(item, rows, transaction)
    if rows.ends:
        failpoint("C10")
    recorded = _recorded(batch, rows, transaction)
    for item in batch.settled:
        claim, finish = item.claim, item.transition.finish
        if transaction.dialect.id(claim.row.id) not in recorded:
            committed.left.append(item)
        elif finish is None:
            committed.claims.append(rows.claims[id(item)])
        else:
            committed.add_end(claim.execution, finish)


def _add(item: Settled, rows: _Rows, transaction: Transaction) -> None:
    claim, change, row = item.claim, item.transition, item.transition.settled
    assert row is not None
    rows.outcomes.append(settled_values(row, claim.fence) | {"ends": change.finish is not None})
    after = {"after": row.id}
    values = [follower_values(claim.execution, follower) for follower in change.followers]
    if change.finish is not None:
        rows.ends.append(end_values(claim.execution.id, change.finish) | after)
    else:
        last = change.followers[-1]
        last.started_at = transaction.now
        values[-1] |= taken_by(transaction)
        rows.claims[id(item)] = claim.followed_by(last, transaction.now)
    rows.followers += [each | after for each in values]


def _recorded(batch: Batch, rows: _Rows, transaction: Transaction) -> set[Any]:
    """Send the statement; return the ids of the steps whose outcome it wrote."""
    dialect = transaction.dialect
    answer = transaction.execute(
        transition_sql.transition_in_one(follows=bool(rows.followers), ends=bool(rows.ends)),
        executions=dialect.ids({item.claim.execution.id for item in batch.settled}),
        steps=dialect.ids(item.claim.row.id for item in batch.settled),
        outcomes=dialect.encode_rows(transition_sql.OUTCOMES, rows.outcomes),
        followers=dialect.encode_rows(transition_sql.FOLLOWERS, rows.followers),
        ends=dialect.encode_rows(transition_sql.ENDS_AFTER, rows.ends),
    )
    return {step for (step,) in answer.fetchall()}
