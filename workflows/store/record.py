"""Recording outcomes: settled rows, what follows, branches and executions that ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from registry.models.base import uuid7
from workflows.decide import DEFAULT_CONCURRENCY, Finish, Row, first_of_branch, has_ended
from workflows.store.children import start_child, wake_parents
from workflows.store.dialect import Dialect, key_of
from workflows.store.values import COUNTERS, Batch, Claim, Committed, Settled

_SETTLED = (
    "id", "fence", "status", "service", "instance", "input", "output", "error", "started_at",
    "completed_at", "wake_at", *COUNTERS,
)  # fmt: skip
_INSERTED = (
    "id", "execution_id", "step_id", "path", "scope", "attempt", "name", "status", "service",
    "instance", "action", "input", "output", "error", "started_at", "completed_at", "wake_at",
    "held_wake_at", "lease_owner", "lease_until", "fence", "retry_base", "retry_since", *COUNTERS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Standing:
    """What the locked row of an execution says."""

    status: str
    sequence: int


class Recorder:
    """Writes the outcomes of one batch inside its transaction."""

    def __init__(
        self, dialect: Dialect, cursor: Any, *, owner: str, lease: timedelta, now: datetime
    ) -> None:
        self._dialect = dialect
        self._cursor = cursor
        self._owner = owner
        self._lease = lease
        self._now = now
        self._standings: dict[str, Standing] = {}

    def record(self, batch: Batch, done: Committed) -> None:
        """Write what became of claims whose fence still holds, and nothing of the others."""
        settled = batch.settled
        # Executions first, in one order, as every other writer does: no deadlock, and a cancel
        # either sees the followers or makes these fences stale.
        self._lock_executions({s.claim.run.id for s in settled})
        held = self._settle_rows(settled)
        kept = [s for s in settled if self._dialect.id(s.claim.row.id) in held]
        done.lost.extend(s.claim for s in settled if self._dialect.id(s.claim.row.id) not in held)
        inserts: list[dict[str, Any]] = []
        for item in kept:
            self._add_followers(item, inserts, done, take=batch.take)
        self._insert_steps(inserts)
        self._abandon([s for s in kept if s.transition.abandons])
        self._leave_branches([s for s in kept if s.transition.leaves is not None], done)
        for item in kept:
            if item.transition.child is not None:
                start_child(item, now=self._now, done=done)
        self._finish([s for s in kept if s.transition.finish is not None], done)

    def _lock_executions(self, ids: set[str]) -> None:
        where, params = self._dialect.among("id", ids)
        lock = self._dialect.lock("FOR NO KEY UPDATE")
        self._cursor.execute(
            "SELECT id, status, last_sequence FROM workflow_execution"
            f" WHERE {where} ORDER BY id {lock}",
            params,
        )
        self._standings = {
            key_of(found): Standing(status, sequence)
            for found, status, sequence in self._cursor.fetchall()
        }

    def _settle_rows(self, settled: Sequence[Settled]) -> set[Any]:
        rows = []
        for item in settled:
            row = item.transition.settled
            assert row is not None
            values = {name: getattr(row, name) for name in _SETTLED}
            values["fence"] = item.claim.fence
            if item.transition.parked and self._has_news(item):
                values.update(status="PENDING", wake_at=self._now)
            rows.append(values)
        source, params = self._dialect.source(_SETTLED, rows)
        sets = ", ".join(f"{c} = v.{c}" for c in _SETTLED if c not in ("id", "fence"))
        self._cursor.execute(
            f"UPDATE workflow_step SET {sets}, lease_owner = '', lease_until = NULL,"
            f" updated_at = %s FROM {source}"
            " WHERE workflow_step.id = v.id AND workflow_step.fence = v.fence"
            " AND workflow_step.status = 'RUNNING' RETURNING workflow_step.id",
            [self._dialect.time(self._now), *params],
        )
        return {found for (found,) in self._cursor.fetchall()}

    def _has_news(self, item: Settled) -> bool:
        """Whether something happened to the execution since its row was read."""
        standing = self._standings.get(item.claim.run.id)
        return standing is not None and standing.sequence != item.claim.run.sequence

    def _add_followers(
        self, item: Settled, inserts: list[dict[str, Any]], done: Committed, *, take: bool
    ) -> None:
        """Followers that are due are inserted as ours: the settled row leaves its place to them.

        First rows of branches are left to be claimed, since they see another part of the execution;
        so are those that need facts.
        """
        claim = item.claim
        paused = self._standings[claim.run.id].status == "PAUSED"
        for row in item.transition.followers:
            values = self._values_of(claim.run.id, row)
            is_open = row.status in ("PENDING", "WAITING")
            if paused and is_open:
                values.update(wake_at=None, held_wake_at=row.wake_at)
            elif row.status == "PENDING" and (row.unclaimed or row.scope != claim.run.scope):
                done.ready.append(row.id)
            elif row.status == "PENDING" and take:
                row.started_at = self._now
                values.update(
                    status="RUNNING",
                    started_at=self._now,
                    wake_at=None,
                    lease_owner=self._owner,
                    lease_until=self._now + self._lease,
                    fence=1,
                )
                done.claims.append(Claim(claim.run, row, 1, self._now, claim.correlation_id))
            inserts.append(values)

    @staticmethod
    def _values_of(execution: str, row: Row) -> dict[str, Any]:
        values = {name: getattr(row, name, None) for name in _INSERTED}
        values.update(execution_id=execution, lease_owner="", lease_until=None, fence=0)
        return values

    def _insert_steps(self, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            stamp = self._dialect.time(self._now)
            fixed = {"created_at": stamp, "updated_at": stamp, "deaths": 0}
            self._dialect.insert(self._cursor, "workflow_step", _INSERTED, rows, fixed=fixed)

    # Branches

    def _abandon(self, settled: Iterable[Settled]) -> None:
        """Cancel what still goes on below containers whose outcome is known."""
        for item in settled:
            prefix = f"{item.transition.abandons}/"
            stamp = self._dialect.time(self._now)
            self._cursor.execute(
                "UPDATE workflow_step SET status = 'CANCELLED', wake_at = NULL, lease_until = NULL,"
                " lease_owner = '', fence = fence + 1, completed_at = %s, updated_at = %s"
                " WHERE execution_id = %s AND status IN ('PENDING', 'WAITING', 'RUNNING')"
                " AND substr(scope, 1, %s) = %s",
                [stamp, stamp, self._dialect.id(item.claim.run.id), len(prefix), prefix],
            )

    def _leave_branches(self, settled: Sequence[Settled], done: Committed) -> None:
        """Count ended branches at their containers; begin the next elements, or wake them."""
        if not settled:
            return
        counts: dict[tuple[str, str], dict[str, Any]] = {}
        for item in settled:
            assert item.transition.leaves is not None
            path = item.claim.run.scope.rpartition("/")[0]
            row = counts.setdefault(
                (item.claim.run.id, path),
                {"execution_id": item.claim.run.id, "path": path, "done": 0, "failed": 0},
            )
            row["done" if item.transition.leaves.status == "COMPLETED" else "failed"] += 1
        runs = {item.claim.run.id: item.claim.run for item in settled}
        for found in self._count(list(counts.values())):
            execution = found.pop("execution_id")
            container = Row(**found)
            definition = runs[execution].definition
            if has_ended(container):
                self._wake(container, done, paused=self._is_paused(execution))
            elif container.begun < container.total:
                body = definition.steps[container.step_id].body
                assert body is not None
                self._begin_more(execution, runs[execution], container, body.first, done)

    def _is_paused(self, execution: str) -> bool:
        return self._standings[execution].status == "PAUSED"

    def _count(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        source, params = self._dialect.source(("execution_id", "path", "done", "failed"), rows)
        columns = ("id", "execution_id", "step_id", "path", "scope", *COUNTERS)
        returned = ", ".join(f"workflow_step.{c}" for c in columns)
        self._cursor.execute(
            "UPDATE workflow_step SET done = workflow_step.done + v.done,"
            f" failed = workflow_step.failed + v.failed FROM {source}"
            " WHERE workflow_step.execution_id = v.execution_id AND workflow_step.path = v.path"
            f" AND workflow_step.status = 'WAITING' RETURNING {returned}",
            params,
        )
        found = [dict(zip(columns, row, strict=True)) for row in self._cursor.fetchall()]
        for values in found:
            values["id"] = key_of(values["id"])
            values["execution_id"] = key_of(values["execution_id"])
        return found

    def _wake(self, container: Row, done: Committed, *, paused: bool) -> None:
        column = "held_wake_at" if paused else "wake_at"
        self._cursor.execute(
            f"UPDATE workflow_step SET status = 'PENDING', {column} = %s WHERE id = %s",
            [self._dialect.time(self._now), self._dialect.id(container.id)],
        )
        done.ready.append(container.id)

    def _begin_more(
        self, execution: str, run: Any, container: Row, first: str, done: Committed
    ) -> None:
        """Keep as many elements running as ran before: one begins for each that ended."""
        going = container.begun - container.done - container.failed
        step = run.definition.steps[container.step_id]
        room = (step.max_concurrency or DEFAULT_CONCURRENCY) - going
        last = min(container.begun + max(room, 0), container.total)
        indexes = range(container.begun, last)
        rows = [first_of_branch(run, container, first, i, self._now) for i in indexes]
        values = [self._values_of(execution, row) for row in rows]
        if self._is_paused(execution):
            for value in values:
                value.update(wake_at=None, held_wake_at=self._now)
        self._insert_steps(values)
        self._cursor.execute(
            "UPDATE workflow_step SET begun = %s WHERE id = %s",
            [last, self._dialect.id(container.id)],
        )
        done.ready.extend(row.id for row in rows)

    # The end

    def _finish(self, settled: Sequence[Settled], done: Committed) -> None:
        if not settled:
            return
        rows, events = [], []
        for item in settled:
            execution, finish = item.claim.run.id, item.transition.finish
            assert finish is not None
            sequence = self._standings[execution].sequence + 1
            rows.append(_execution_values(execution, finish, sequence))
            events.append(_event_values(execution, finish, sequence))
            done.ended.append((execution, finish))
        columns = ("id", "status", "output", "errors", "sequence")
        source, params = self._dialect.source(columns, rows)
        stamp = self._dialect.time(self._now)
        self._cursor.execute(
            "UPDATE workflow_execution SET status = v.status, output = v.output,"
            " errors = v.errors, last_sequence = v.sequence, completed_at = %s, updated_at = %s"
            f" FROM {source} WHERE workflow_execution.id = v.id",
            [stamp, stamp, *params],
        )
        columns = ("id", "execution_id", "sequence", "kind", "payload")
        fixed = {"created_at": stamp, "updated_at": stamp, "actor": "engine"}
        self._dialect.insert(self._cursor, "workflow_event", columns, events, fixed=fixed)
        done.ready.extend(
            wake_parents(self._dialect, self._cursor, [e for e, _ in done.ended], self._now)
        )


def _execution_values(execution: str, finish: Finish, sequence: int) -> dict[str, Any]:
    return {
        "id": execution,
        "status": finish.status,
        "output": finish.output,
        "errors": list(finish.errors),
        "sequence": sequence,
    }


def _event_values(execution: str, finish: Finish, sequence: int) -> dict[str, Any]:
    return {
        "id": str(uuid7()),
        "execution_id": execution,
        "sequence": sequence,
        "kind": finish.status,
        "payload": {"errors": list(finish.errors)} if finish.errors else {},
    }
