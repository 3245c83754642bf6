"""Recording outcomes: settled rows, what follows, branches and executions that ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings

from core.db.uuid7 import uuid7
from core.failpoints import failpoint
from workflows.decide import (
    ExecutionState,
    Row,
    Transition,
    first_of_branch,
    has_ended,
    next_branches,
)
from workflows.engine.store import transition_sql
from workflows.engine.store.batch import COUNTERS, Batch, Claim, Committed, Settled
from workflows.engine.store.child_executions import find_children, start_child, wake_parents
from workflows.engine.store.compensation import continue_compensations, start_compensation
from workflows.engine.store.dialect import key_of
from workflows.engine.store.idle import mark_waiting
from workflows.engine.store.step_columns import (
    INSERTED,
    SETTLED,
    end_values,
    follower_values,
    settled_values,
    taken_by,
)
from workflows.engine.store.step_facts import taken_signals
from workflows.engine.store.transaction import Transaction
from workflows.models import EventKind, ExecutionStatus, StepStatus


@dataclass(frozen=True, slots=True)
class LockedExecution:
    """The row of an execution that the batch has locked."""

    status: str
    sequence: int
    is_queued: bool
    has_parent: bool

    @property
    def is_held(self) -> bool:
        """Return whether nothing more of it may be claimed: it is paused, or lost its slot."""
        return self.status == ExecutionStatus.PAUSED or self.is_queued


class Recorder:
    """Writes the outcomes of one batch inside its transaction."""

    def __init__(self, transaction: Transaction, committed: Committed) -> None:
        self._transaction = transaction
        self._dialect = transaction.dialect
        self._committed = committed
        self._locked: dict[str, LockedExecution] = {}
        # Executions of which a branch went on, or the step around it.
        self._going: set[str] = set()

    def record(self, batch: Batch) -> None:
        """Write what became of claims whose fence still holds, and nothing of the others."""
        committed = self._committed
        # Executions first, in one order, as every other writer does: no deadlock, and a cancel
        # either sees the followers or makes these fences stale.
        locks = self._lock_executions({s.claim.execution.id for s in batch.settled})
        if any(s.transition.parked or s.transition.takes is not None for s in batch.settled):
            self._read_locked(locks)
        outcomes = self._send_back(batch.settled)
        answer = self._settle_rows(outcomes)
        # Read after both are sent, so that they share a round trip where statements are pipelined.
        self._read_locked(locks)
        held = set(answer.fetchall())
        kept = [s for s in outcomes if self._key(s.claim) in held]
        committed.lost.extend(s.claim for s in outcomes if self._key(s.claim) not in held)
        committed.orphans.extend(s.transition.orphan for s in kept if s.transition.orphan)
        self._insert_steps([row for s in kept for row in self._follower_rows(s, take=batch.take)])
        for item in kept:
            if item.transition.child is not None:
                start_child(item, self._transaction, committed)
        self._note_set_aside([s for s in kept if s.transition.set_aside])
        continue_compensations(kept, self._transaction, committed)
        # After what this batch itself began below the containers, before branches are counted.
        self._abandon(s for s in kept if s.transition.abandons)
        self._leave_branches([s for s in kept if s.transition.leaves is not None])
        self._finish([s for s in kept if s.transition.finish is not None])
        self._going.update(claim.execution.id for claim in committed.claims)
        mark_waiting(kept, self._transaction, going=self._going)

    def _key(self, claim: Claim) -> tuple[Any, int]:
        """Return row and fence of a claim: a batch may have outcomes of two claims of one row."""
        return self._dialect.id(claim.row.id), claim.fence

    def _lock_executions(self, ids: set[str]) -> Any:
        """Send for what the executions say, and lock them; the answer is to be read."""
        lock = self._dialect.lock("FOR NO KEY UPDATE")
        sql = transition_sql.lock_executions(self._dialect.among("id"), lock)
        return self._transaction.send(sql, ids=self._dialect.ids(ids))

    def _read_locked(self, locks: Any) -> None:
        for execution, status, sequence, is_queued, has_parent in locks.fetchall():
            locked = LockedExecution(status, sequence, bool(is_queued), bool(has_parent))
            self._locked[key_of(execution)] = locked

    def _send_back(self, settled: Sequence[Settled]) -> list[Settled]:
        """Let an EVENT look again whose signal another one took since its row was read."""
        taken: dict[str, set[Any]] = {}
        outcomes = []
        for item in settled:
            sequence, execution = item.transition.takes, item.claim.execution.id
            if sequence is not None:
                if execution not in taken:
                    taken[execution] = taken_signals(self._transaction, item.claim)
                if sequence in taken[execution]:
                    item = self._looking_again(item)
                    self._committed.ready.append(item.claim.row.id)
                taken[execution].add(sequence)
            outcomes.append(item)
        return outcomes

    def _looking_again(self, item: Settled) -> Settled:
        row = item.transition.settled
        assert row is not None
        row = replace(
            row,
            status=StepStatus.PENDING,
            input={key: value for key, value in row.input.items() if key != "taken"},
            output=None,
            error=None,
            completed_at=None,
            wake_at=self._transaction.now,
        )
        return Settled(item.claim, Transition(settled=row, set_aside=item.transition.set_aside))

    def _settle_rows(self, settled: Sequence[Settled]) -> Any:
        """Send the outcomes; the answer names the rows that were still held, and their fences."""
        rows = []
        for item in settled:
            assert item.transition.settled is not None
            values = settled_values(item.transition.settled, item.claim.fence)
            if item.transition.parked and self._has_news(item):
                values.update(status=StepStatus.PENDING, wake_at=self._transaction.now)
            rows.append(values)
        settle = transition_sql.settle(
            self._dialect.rows(SETTLED), self._dialect.only("workflow_step.id")
        )
        return self._transaction.send(
            f"{settle} RETURNING workflow_step.id, workflow_step.fence",
            rows=self._dialect.encode_rows(SETTLED, rows),
            ids=self._dialect.ids(s.claim.row.id for s in settled),
        )

    def _has_news(self, item: Settled) -> bool:
        """Return whether something happened to the execution since its row was read."""
        locked = self._locked.get(item.claim.execution.id)
        return locked is not None and locked.sequence != item.claim.execution.sequence

    def _follower_rows(self, item: Settled, *, take: bool) -> Iterable[dict[str, Any]]:
        """Give the rows that follow; those that are due are ours, as the settled one was.

        First rows of branches are left to be claimed, since they see another part of the execution;
        so are those that need facts.
        """
        claim, now = item.claim, self._transaction.now
        is_held = self._locked[claim.execution.id].is_held
        for row in item.transition.followers:
            values = follower_values(claim.execution, row)
            if is_held and row.status in (StepStatus.PENDING, StepStatus.WAITING):
                values.update(wake_at=None, held_wake_at=row.wake_at)
            elif row.status == StepStatus.PENDING:
                if row.unclaimed or row.scope != claim.execution.scope:
                    self._committed.ready.append(row.id)
                elif take:
                    row.started_at = now
                    values |= taken_by(self._transaction)
                    self._committed.claims.append(claim.followed_by(row, now))
            yield values

    def _insert_steps(self, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            sql = transition_sql.insert_steps(self._dialect.rows(INSERTED))
            self._transaction.execute(sql, rows=self._dialect.encode_rows(INSERTED, rows))

    def _note_set_aside(self, settled: Sequence[Settled]) -> None:
        """Tell in the history which signals could not be judged, and why."""
        if not settled:
            return
        events: list[dict[str, Any]] = []
        for item in settled:
            execution, row = item.claim.execution.id, item.claim.row
            locked = self._locked[execution]
            for sequence, signal in enumerate(item.transition.set_aside, locked.sequence + 1):
                about = {"step": row.path, "signal": signal.sequence, "name": signal.name}
                event = {"id": str(uuid7()), "execution_id": execution, "sequence": sequence}
                payload = {**about, "reason": signal.reason}
                events.append({**event, "kind": EventKind.SIGNAL_SET_ASIDE, "payload": payload})
            newest = locked.sequence + len(item.transition.set_aside)
            self._locked[execution] = replace(locked, sequence=newest)
            if newest >= settings.EVENTS_PER_EXECUTION:
                self._committed.full.append(execution)
        self._append_events(events)
        numbered = [
            {"execution_id": key, "sequence": self._locked[key].sequence}
            for key in {event["execution_id"] for event in events}
        ]
        columns = ("execution_id", "sequence")
        self._transaction.execute(
            "UPDATE workflow_execution SET last_sequence = v.sequence"
            f" FROM {self._dialect.rows(columns)} WHERE workflow_execution.id = v.execution_id",
            rows=self._dialect.encode_rows(columns, numbered),
        )

    def _append_events(self, events: Sequence[Mapping[str, Any]]) -> None:
        columns = transition_sql.EVENTS
        sql = transition_sql.append_events(self._dialect.rows(columns))
        self._transaction.execute(sql, rows=self._dialect.encode_rows(columns, events))

    # Branches

    def _abandon(self, settled: Iterable[Settled]) -> None:
        """Cancel what still goes on below containers whose outcome is known.

        Children of the cancelled steps are only named: each is cancelled in its own transaction.
        """
        for item in settled:
            prefix = f"{item.transition.abandons}/"
            answer = self._transaction.execute(
                """
                UPDATE workflow_step
                SET status = 'CANCELLED', wake_at = NULL, lease_until = NULL, lease_owner = '',
                  fence = fence + 1, completed_at = %(stamp)s, updated_at = %(stamp)s
                WHERE execution_id = %(execution)s AND status IN ('PENDING', 'WAITING', 'RUNNING')
                  AND substr(scope, 1, %(length)s) = %(prefix)s
                RETURNING id""",
                execution=self._dialect.id(item.claim.execution.id),
                prefix=prefix,
                length=len(prefix),
            )
            cancelled = [key_of(step) for (step,) in answer.fetchall()]
            if cancelled:
                self._committed.orphans += find_children(self._transaction, cancelled)

    def _leave_branches(self, settled: Sequence[Settled]) -> None:
        """Count ended branches at their containers; begin the next elements, or wake them."""
        if not settled:
            return
        counts: dict[tuple[str, str], dict[str, Any]] = {}
        for item in settled:
            assert item.transition.leaves is not None
            execution_id = item.claim.execution.id
            path = item.claim.execution.scope.rpartition("/")[0]
            row = counts.setdefault(
                (execution_id, path),
                {"execution_id": execution_id, "path": path, "done": 0, "failed": 0},
            )
            is_done = item.transition.leaves.status == ExecutionStatus.COMPLETED
            row["done" if is_done else "failed"] += 1
        executions = {item.claim.execution.id: item.claim.execution for item in settled}
        for execution_id, container in self._count(list(counts.values())):
            execution = executions[execution_id]
            if has_ended(container):
                self._going.add(execution_id)
                self._wake(container, is_held=self._locked[execution_id].is_held)
            elif container.begun < container.total:
                self._going.add(execution_id)
                self._begin_more(execution, container)

    def _count(self, rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, Row]]:
        """Add to the counters of containers; return each with its execution."""
        counted = ("execution_id", "path", "done", "failed")
        columns = ("id", "step_id", "path", "scope", *COUNTERS)
        returned = ", ".join(f"workflow_step.{c}" for c in ("execution_id", *columns))
        answer = self._transaction.execute(
            f"""
            UPDATE workflow_step
            SET done = workflow_step.done + v.done, failed = workflow_step.failed + v.failed
            FROM {self._dialect.rows(counted)}
            WHERE workflow_step.execution_id = v.execution_id AND workflow_step.path = v.path
              AND workflow_step.status = 'WAITING'
            RETURNING {returned}""",
            rows=self._dialect.encode_rows(counted, rows),
        )
        containers = []
        for execution, *values in answer.fetchall():
            container = Row(**dict(zip(columns, values, strict=True)))
            container.id = key_of(container.id)
            containers.append((key_of(execution), container))
        return containers

    def _wake(self, container: Row, *, is_held: bool) -> None:
        column = "held_wake_at" if is_held else "wake_at"
        self._transaction.execute(
            f"UPDATE workflow_step SET status = 'PENDING', {column} = %(stamp)s WHERE id = %(id)s",
            id=self._dialect.id(container.id),
        )
        self._committed.ready.append(container.id)

    def _begin_more(self, execution: ExecutionState, container: Row) -> None:
        """Keep as many elements running as ran before: one begins for each that ended."""
        now, step = self._transaction.now, execution.definition.steps[container.step_id]
        assert step.body is not None
        indexes, first = next_branches(container, step), step.body.first
        rows = [first_of_branch(execution, container, first, i, now=now) for i in indexes]
        values = [follower_values(execution, row) for row in rows]
        if self._locked[execution.id].is_held:
            for value in values:
                value.update(wake_at=None, held_wake_at=now)
        self._insert_steps(values)
        self._transaction.execute(
            "UPDATE workflow_step SET begun = %(begun)s WHERE id = %(id)s",
            begun=indexes.stop,
            id=self._dialect.id(container.id),
        )
        self._committed.ready.extend(row.id for row in rows)

    # The end

    def _finish(self, settled: Sequence[Settled]) -> None:
        committed = self._committed
        settled = [s for s in settled if not start_compensation(s, self._transaction, committed)]
        if not settled:
            return
        ends = []
        for item in settled:
            execution, finish = item.claim.execution, item.transition.finish
            assert finish is not None
            sequence = self._locked[execution.id].sequence + 1
            ends.append(end_values(execution.id, finish) | {"sequence": sequence})
            committed.add_end(execution, finish)
        columns = transition_sql.ENDS
        self._transaction.execute(
            transition_sql.end_executions(
                self._dialect.rows(columns), self._dialect.only("workflow_execution.id")
            ),
            rows=self._dialect.encode_rows(columns, ends),
            ids=self._dialect.ids(end["execution_id"] for end in ends),
        )
        failpoint("C10")
        self._append_events([end | {"kind": end["status"]} for end in ends])
        children = [e for e, _ in committed.ended if self._locked[e].has_parent]
        if children:
            committed.ready += wake_parents(self._transaction, children)
