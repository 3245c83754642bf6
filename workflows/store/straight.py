"""The common case in one statement: steps that ended, each followed by the next call.

PostgreSQL locks, records and inserts in one exchange, which is its own transaction. What turns out
to be anything else (a stale fence, a pause) is left as it was, for the `Recorder`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from workflows.database import prepared_cursor
from workflows.scopes import is_compensation
from workflows.store.dialect import Dialect
from workflows.store.rows import INSERTED, SETTLED, SETTLED_SETS, follower_values, taken_by
from workflows.store.values import Batch, Claim, Committed, Settled

_ENDED = frozenset({"COMPLETED", "SKIPPED", "FAILED"})
_FOLLOWING = ("after", "after_fence", *INSERTED)


def is_straight(dialect: Dialect, batch: Batch) -> bool:
    """Whether a batch has nothing but outcomes that lead from one step to the next."""
    return (
        dialect.is_postgres
        and bool(batch.settled)
        and batch.take
        and not batch.careful
        and not (batch.renew or batch.wanted or batch.look)
        and all(_goes_on(item) for item in batch.settled)
    )


def _goes_on(item: Settled) -> bool:
    """Whether this leads to one step that is due, in the same branch, and to nothing else."""
    change, claim = item.transition, item.claim
    row = change.settled
    if row is None or row.status not in _ENDED or not change.followers:
        return False
    if change.changes_more or is_compensation(row.path):
        return False
    *inline, last = change.followers
    return (
        last.status == "PENDING"
        and not last.unclaimed
        and all(follower.status in _ENDED for follower in inline)
        and all(follower.scope == claim.run.scope for follower in change.followers)
    )


def record_straight(
    dialect: Dialect,
    settled: Sequence[Settled],
    done: Committed,
    *,
    owner: str,
    lease: timedelta,
    now: datetime,
) -> list[Settled]:
    """Record what can be, and claim what follows; give the outcomes that are left."""
    rows, following, claims = [], [], {}
    for item in settled:
        claim, change = item.claim, item.transition
        row = change.settled
        assert row is not None
        rows.append({name: getattr(row, name) for name in SETTLED} | {"fence": claim.fence})
        *inline, last = change.followers
        values = [follower_values(claim.run, each) for each in inline]
        values.append(
            follower_values(claim.run, last) | taken_by(owner, lease=lease, now=now)
        )
        after = {"after": row.id, "after_fence": claim.fence}
        following += [each | after for each in values]
        claims[dialect.id(row.id), claim.fence] = Claim(
            claim.run, last, 1, now, claim.correlation_id
        )
    with connection.wrap_database_errors, prepared_cursor() as cursor:
        cursor.execute(*_statement(dialect, rows, following, settled, now))
        held = set(cursor.fetchall())
    left = []
    for item in settled:
        key = dialect.id(item.claim.row.id), item.claim.fence
        if key in held:
            claims[key].row.started_at = now
            done.claims.append(claims[key])
        else:
            left.append(item)
    return left


def _statement(
    dialect: Dialect,
    rows: Sequence[dict[str, Any]],
    following: Sequence[dict[str, Any]],
    settled: Sequence[Settled],
    now: datetime,
) -> tuple[str, list[Any]]:
    """Executions first, as every other writer locks them; one that is held is not gone on with."""
    executions, of_executions = dialect.among("id", {s.claim.run.id for s in settled})
    outcomes, of_outcomes = dialect.source(SETTLED, rows)
    steps, of_steps = dialect.only("workflow_step.id", [s.claim.row.id for s in settled])
    followers, of_followers = dialect.source(_FOLLOWING, following)
    stamp = dialect.time(now)
    return (
        "WITH locked AS (SELECT id FROM workflow_execution"
        f" WHERE {executions} AND status <> 'PAUSED' AND queued_at IS NULL"
        " ORDER BY id FOR NO KEY UPDATE),"
        f" settled AS (UPDATE workflow_step SET {SETTLED_SETS}, updated_at = %s"
        f" FROM {outcomes}, locked"
        " WHERE workflow_step.id = v.id AND workflow_step.fence = v.fence"
        " AND workflow_step.status = 'RUNNING' AND locked.id = workflow_step.execution_id"
        f"{steps} RETURNING workflow_step.id, workflow_step.fence),"
        " following AS (INSERT INTO workflow_step"
        f" ({', '.join(INSERTED)}, created_at, updated_at, deaths)"
        f" SELECT {', '.join(f'v.{c}' for c in INSERTED)}, %s, %s, 0 FROM {followers}"
        " JOIN settled ON settled.id = v.after AND settled.fence = v.after_fence)"
        " SELECT id, fence FROM settled",
        [*of_executions, stamp, *of_outcomes, *of_steps, stamp, stamp, *of_followers],
    )
