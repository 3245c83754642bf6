"""The common case in one statement: steps that ended, each followed by the next call or by the end.

PostgreSQL locks, records and inserts in one exchange, which is its own transaction. What turns out
to be anything else (a stale fence, a pause, a parent that waits) is left as it was, for the
`Recorder`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from core.db.pipeline import prepared_cursor
from core.failpoints import failpoint
from workflows.decide import SETTLED_STATUSES
from workflows.engine.store.batch import Batch, Claim, Committed, Settled
from workflows.engine.store.dialect import Dialect, source_text
from workflows.engine.store.step_columns import (
    INSERTED,
    SETTLED,
    SETTLED_SETS,
    end_values,
    follower_values,
    taken_by,
)
from workflows.step_paths import is_compensation

_OUTCOMES = (*SETTLED, "ends")
_FOLLOWING = ("after", *INSERTED)
_COLUMNS, _VALUES = ", ".join(INSERTED), ", ".join(f"v.{column}" for column in INSERTED)
_ENDS = ("after", "id", "execution_id", "status", "output", "errors", "payload")


def is_straight(dialect: Dialect, batch: Batch) -> bool:
    """Whether a batch has nothing but outcomes that lead to the next step or to the end."""
    return (
        dialect.is_postgres
        and bool(batch.settled)
        and batch.take
        and not batch.careful
        and not (batch.renew or batch.wanted or batch.look)
        and len({item.claim.row.id for item in batch.settled}) == len(batch.settled)
        and all(_is_straight(item) for item in batch.settled)
    )


def _is_straight(item: Settled) -> bool:
    """Whether this leads to one step that is due, in the same branch, or to COMPLETED."""
    change, row = item.transition, item.transition.settled
    if row is None or row.status not in SETTLED_STATUSES:
        return False
    if change.changes_more or is_compensation(row.path):
        return False
    inline, scope = change.followers, item.claim.execution.scope
    if change.finish is None:
        if not inline or inline[-1].status != "PENDING" or inline[-1].unclaimed:
            return False
        if inline[-1].scope != scope:
            return False
        inline = inline[:-1]
    elif change.finish.status != "COMPLETED":
        return False
    return all(f.status in SETTLED_STATUSES and f.scope == scope for f in inline)


@dataclass(slots=True)
class _Writing:
    """What the statement is given, and what is claimed once it took it."""

    outcomes: list[dict[str, Any]] = field(default_factory=list)
    following: list[dict[str, Any]] = field(default_factory=list)
    ends: list[dict[str, Any]] = field(default_factory=list)
    claims: dict[int, Claim] = field(default_factory=dict)


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
    writing = _Writing()
    for item in settled:
        _write(item, writing, owner=owner, lease=lease, now=now)
    if writing.ends:
        failpoint("C10")
    with connection.wrap_database_errors, prepared_cursor() as cursor:
        cursor.execute(*_statement(dialect, settled, writing, now))
        recorded = {found for (found,) in cursor.fetchall()}
    left = []
    for item in settled:
        claim, finish = item.claim, item.transition.finish
        if dialect.id(claim.row.id) not in recorded:
            left.append(item)
        elif finish is None:
            done.claims.append(writing.claims[id(item)])
        else:
            done.ended.append((claim.execution.id, finish))
            if claim.execution.definition.concurrency:
                done.freed.append(claim.execution.id)
    return left


def _write(
    item: Settled, writing: _Writing, *, owner: str, lease: timedelta, now: datetime
) -> None:
    claim, change, row = item.claim, item.transition, item.transition.settled
    assert row is not None
    outcome = {name: getattr(row, name) for name in SETTLED}
    outcome.update(fence=claim.fence, ends=change.finish is not None)
    writing.outcomes.append(outcome)
    after = {"after": row.id}
    values = [follower_values(claim.execution, follower) for follower in change.followers]
    if change.finish is not None:
        writing.ends.append(end_values(claim.execution.id, change.finish) | after)
    else:
        last = change.followers[-1]
        last.started_at = now
        values[-1] |= taken_by(owner, lease=lease, now=now)
        writing.claims[id(item)] = Claim(claim.execution, last, 1, now, claim.correlation_id)
    writing.following += [each | after for each in values]


def _statement(
    dialect: Dialect, settled: Sequence[Settled], writing: _Writing, now: datetime
) -> tuple[str, list[Any]]:
    """The statement, and what it is given."""
    text = _text(following=bool(writing.following), ends=bool(writing.ends))
    stamp = dialect.time(now)
    _, executions = dialect.among("id", {s.claim.execution.id for s in settled})
    _, steps = dialect.among("id", [s.claim.row.id for s in settled])
    given = [*executions, stamp, *dialect.source(_OUTCOMES, writing.outcomes)[1], *steps]
    if writing.following:
        given += [stamp, stamp, *dialect.source(_FOLLOWING, writing.following)[1]]
    if writing.ends:
        given += [*dialect.source(_ENDS, writing.ends)[1], *(stamp for _ in range(4))]
    return text, given


def _text(*, following: bool, ends: bool) -> str:
    parts = [_settling(), *([_following()] if following else []), *([_ending()] if ends else [])]
    return f"WITH {', '.join(parts)} SELECT id FROM settled"


def _settling() -> str:
    """Executions first, as every other writer locks them; one that is held is not gone on with.

    PostgreSQL expects one row of a CTE and would join two by looking at all pairs: arrays tie the
    parts together. They are also what locks all executions before a step is touched.
    """
    return (
        "locked AS (SELECT id, last_sequence, parent_step_id FROM workflow_execution"
        " WHERE id = ANY(%s::uuid[]) AND status <> 'PAUSED' AND queued_at IS NULL"
        " ORDER BY id FOR NO KEY UPDATE),"
        f" settled AS (UPDATE workflow_step SET {SETTLED_SETS}, updated_at = %s"
        f" FROM {source_text(_OUTCOMES)} WHERE workflow_step.id = ANY(%s::uuid[])"
        " AND workflow_step.id = v.id AND workflow_step.fence = v.fence"
        # Not to be looked up in the index of all that run: it is known which these are.
        " AND (workflow_step.status = 'RUNNING') IS TRUE"
        " AND (workflow_step.execution_id = ANY(ARRAY(SELECT id FROM locked))) IS TRUE"
        " AND NOT (v.ends AND workflow_step.execution_id ="
        " ANY(ARRAY(SELECT id FROM locked WHERE parent_step_id IS NOT NULL)))"
        " RETURNING workflow_step.id)"
    )


def _following() -> str:
    return (
        f"following AS (INSERT INTO workflow_step ({_COLUMNS}, created_at, updated_at, deaths)"
        f" SELECT {_VALUES}, %s, %s, 0 FROM {source_text(_FOLLOWING)}"
        " WHERE v.after = ANY(ARRAY(SELECT id FROM settled)))"
    )


def _ending() -> str:
    return (
        "ending AS MATERIALIZED (SELECT v.*, locked.last_sequence + 1 AS sequence"
        f" FROM {source_text(_ENDS)} JOIN locked ON locked.id = v.execution_id"
        " WHERE v.after = ANY(ARRAY(SELECT id FROM settled))),"
        " ended AS (UPDATE workflow_execution SET status = v.status, output = v.output,"
        " errors = v.errors, last_sequence = v.sequence, completed_at = %s, updated_at = %s"
        " FROM ending v WHERE workflow_execution.id = v.execution_id),"
        " told AS (INSERT INTO workflow_event"
        " (id, execution_id, sequence, kind, payload, created_at, updated_at, actor)"
        " SELECT id, execution_id, sequence, status, payload, %s, %s, 'engine' FROM ending)"
    )
