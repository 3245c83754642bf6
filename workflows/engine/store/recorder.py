"""Recording outcomes: settled rows, what follows, branches and executions that ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

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
from workflows.engine.store.batch import COUNTERS, Batch, Claim, Committed, Settled
from workflows.engine.store.child_executions import find_children, start_child, wake_parents
from workflows.engine.store.compensation import go_on, start_compensation
from workflows.engine.store.dialect import Dialect, key_of, send
from workflows.engine.store.idle import rest
from workflows.engine.store.step_columns import (
    INSERTED,
    SETTLED,
    SETTLED_SETS,
    end_values,
    follower_values,
    taken_by,
)
from workflows.engine.store.step_facts import taken_signals

SET_ASIDE = "SIGNAL_SET_ASIDE"


@dataclass(frozen=True, slots=True)
class LockedExecution:
    """What the locked row of an execution says."""

    status: str
    sequence: int
    queued: bool
    has_parent: bool

    @property
    def held(self) -> bool:
        """Whether nothing more of it may be claimed: it is paused, or lost its place."""
        return self.status == "PAUSED" or self.queued


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
        self._standings: dict[str, LockedExecution] = {}
        # Executions of which a branch went on, or the step around it.
        self._going: set[str] = set()

    def record(self, batch: Batch, done: Committed) -> None:
        """Write what became of claims whose fence still holds, and nothing of the others."""
        # Executions first, in one order, as every other writer does: no deadlock, and a cancel
        # either sees the followers or makes these fences stale.
        locks = self._lock_executions({s.claim.execution.id for s in batch.settled})
        if any(s.transition.parked or s.transition.takes is not None for s in batch.settled):
            self._read_standings(locks)
        settled = self._send_back(batch.settled, done)
        found = self._settle_rows(settled)
        # Read after both are sent, so that they share a round trip where statements are pipelined.
        self._read_standings(locks)
        held = set(found.fetchall())
        kept = [s for s in settled if self._key(s.claim) in held]
        done.lost.extend(s.claim for s in settled if self._key(s.claim) not in held)
        done.orphans.extend(s.transition.orphan for s in kept if s.transition.orphan)
        inserts: list[dict[str, Any]] = []
        for item in kept:
            self._add_followers(item, inserts, done, take=batch.take)
        self._insert_steps(inserts)
        for item in kept:
            if item.transition.child is not None:
                start_child(item, now=self._now, done=done)
        self._note_set_aside([s for s in kept if s.transition.set_aside])
        done.ready += go_on(kept, self._dialect, self._cursor, now=self._now, done=done)
        # After what this batch itself began below the containers, before branches are counted.
        self._abandon([s for s in kept if s.transition.abandons], done)
        self._leave_branches([s for s in kept if s.transition.leaves is not None], done)
        self._finish([s for s in kept if s.transition.finish is not None], done)
        self._going.update(claim.execution.id for claim in done.claims)
        rest(self._dialect, self._cursor, kept, going=self._going, now=self._now)

    def _key(self, claim: Claim) -> tuple[Any, int]:
        """A row and the fence it is held under: a batch may have outcomes of two claims of one."""
        return self._dialect.id(claim.row.id), claim.fence

    def _lock_executions(self, ids: set[str]) -> Any:
        """Send for what the executions say, and lock them; the answer is to be read."""
        where, params = self._dialect.among("id", ids)
        lock = self._dialect.lock("FOR NO KEY UPDATE")
        return send(
            "SELECT id, status, last_sequence, queued_at IS NOT NULL, parent_step_id IS NOT NULL"
            f" FROM workflow_execution WHERE {where} ORDER BY id {lock}",
            params,
        )

    def _read_standings(self, locks: Any) -> None:
        for found, status, sequence, queued, has_parent in locks.fetchall():
            standing = LockedExecution(status, sequence, bool(queued), bool(has_parent))
            self._standings[key_of(found)] = standing

    def _send_back(self, settled: Sequence[Settled], done: Committed) -> list[Settled]:
        """Let an EVENT look again whose signal another one took since its row was read."""
        taken: dict[str, set[Any]] = {}
        kept = []
        for item in settled:
            place, execution = item.transition.takes, item.claim.execution.id
            if place is not None:
                if execution not in taken:
                    taken[execution] = taken_signals(self._dialect, self._cursor, item.claim)
                if place in taken[execution]:
                    item = _looking_again(item, self._now)
                    done.ready.append(item.claim.row.id)
                taken[execution].add(place)
            kept.append(item)
        return kept

    def _settle_rows(self, settled: Sequence[Settled]) -> Any:
        """Send the outcomes; the answer names the rows that were still held, and their fences."""
        rows = []
        for item in settled:
            row = item.transition.settled
            assert row is not None
            values = {name: getattr(row, name) for name in SETTLED}
            values["fence"] = item.claim.fence
            if item.transition.parked and self._has_news(item):
                values.update(status="PENDING", wake_at=self._now)
            rows.append(values)
        source, params = self._dialect.source(SETTLED, rows)
        where, ids = self._dialect.only("workflow_step.id", [s.claim.row.id for s in settled])
        return send(
            f"UPDATE workflow_step SET {SETTLED_SETS}, updated_at = %s FROM {source}"
            " WHERE workflow_step.id = v.id AND workflow_step.fence = v.fence"
            f" AND workflow_step.status = 'RUNNING'{where}"
            " RETURNING workflow_step.id, workflow_step.fence",
            [self._dialect.time(self._now), *params, *ids],
        )

    def _has_news(self, item: Settled) -> bool:
        """Whether something happened to the execution since its row was read."""
        standing = self._standings.get(item.claim.execution.id)
        return standing is not None and standing.sequence != item.claim.execution.sequence

    def _add_followers(
        self, item: Settled, inserts: list[dict[str, Any]], done: Committed, *, take: bool
    ) -> None:
        """Followers that are due are inserted as ours: the settled row leaves its place to them.

        First rows of branches are left to be claimed, since they see another part of the execution;
        so are those that need facts.
        """
        claim = item.claim
        held = self._standings[claim.execution.id].held
        for row in item.transition.followers:
            values = follower_values(claim.execution, row)
            is_open = row.status in ("PENDING", "WAITING")
            if held and is_open:
                values.update(wake_at=None, held_wake_at=row.wake_at)
            elif row.status == "PENDING" and (row.unclaimed or row.scope != claim.execution.scope):
                done.ready.append(row.id)
            elif row.status == "PENDING" and take:
                row.started_at = self._now
                values |= taken_by(self._owner, lease=self._lease, now=self._now)
                done.claims.append(Claim(claim.execution, row, 1, self._now, claim.correlation_id))
            inserts.append(values)

    def _insert_steps(self, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            stamp = self._dialect.time(self._now)
            fixed = {"created_at": stamp, "updated_at": stamp, "deaths": 0}
            self._dialect.insert(self._cursor, "workflow_step", INSERTED, rows, fixed=fixed)

    def _note_set_aside(self, settled: Sequence[Settled]) -> None:
        """Tell in the history which signals could not be judged, and why."""
        if not settled:
            return
        events: list[dict[str, Any]] = []
        for item in settled:
            execution, row = item.claim.execution.id, item.claim.row
            standing = self._standings[execution]
            for place, signal in enumerate(item.transition.set_aside, start=standing.sequence + 1):
                about = {"step": row.path, "signal": signal.sequence, "name": signal.name}
                event = {"id": str(uuid7()), "execution_id": execution, "sequence": place}
                payload = {**about, "reason": signal.reason}
                events.append({**event, "kind": SET_ASIDE, "payload": payload})
            sequence = standing.sequence + len(item.transition.set_aside)
            self._standings[execution] = replace(standing, sequence=sequence)
        self._insert_events(events)
        newest = [
            {"execution_id": key, "sequence": self._standings[key].sequence}
            for key in {event["execution_id"] for event in events}
        ]
        source, params = self._dialect.source(("execution_id", "sequence"), newest)
        self._cursor.execute(
            f"UPDATE workflow_execution SET last_sequence = v.sequence FROM {source}"
            " WHERE workflow_execution.id = v.execution_id",
            params,
        )

    def _insert_events(self, events: Sequence[Mapping[str, Any]]) -> None:
        stamp = self._dialect.time(self._now)
        columns = ("id", "execution_id", "sequence", "kind", "payload")
        fixed = {"created_at": stamp, "updated_at": stamp, "actor": "engine"}
        self._dialect.insert(self._cursor, "workflow_event", columns, events, fixed=fixed)

    # Branches

    def _abandon(self, settled: Iterable[Settled], done: Committed) -> None:
        """Cancel what still goes on below containers whose outcome is known.

        Children of the cancelled steps are only named: each is cancelled in its own transaction.
        """
        for item in settled:
            prefix = f"{item.transition.abandons}/"
            stamp = self._dialect.time(self._now)
            self._cursor.execute(
                "UPDATE workflow_step SET status = 'CANCELLED', wake_at = NULL, lease_until = NULL,"
                " lease_owner = '', fence = fence + 1, completed_at = %s, updated_at = %s"
                " WHERE execution_id = %s AND status IN ('PENDING', 'WAITING', 'RUNNING')"
                " AND substr(scope, 1, %s) = %s RETURNING id",
                [stamp, stamp, self._dialect.id(item.claim.execution.id), len(prefix), prefix],
            )
            cancelled = [key_of(found) for (found,) in self._cursor.fetchall()]
            if cancelled:
                done.orphans += find_children(self._dialect, self._cursor, cancelled)

    def _leave_branches(self, settled: Sequence[Settled], done: Committed) -> None:
        """Count ended branches at their containers; begin the next elements, or wake them."""
        if not settled:
            return
        counts: dict[tuple[str, str], dict[str, Any]] = {}
        for item in settled:
            assert item.transition.leaves is not None
            path = item.claim.execution.scope.rpartition("/")[0]
            row = counts.setdefault(
                (item.claim.execution.id, path),
                {"execution_id": item.claim.execution.id, "path": path, "done": 0, "failed": 0},
            )
            row["done" if item.transition.leaves.status == "COMPLETED" else "failed"] += 1
        runs = {item.claim.execution.id: item.claim.execution for item in settled}
        for found in self._count(list(counts.values())):
            execution = found.pop("execution_id")
            container = Row(**found)
            definition = runs[execution].definition
            if has_ended(container):
                self._going.add(execution)
                self._wake(container, done, held=self._standings[execution].held)
            elif container.begun < container.total:
                body = definition.steps[container.step_id].body
                assert body is not None
                self._going.add(execution)
                self._begin_more(runs[execution], container, body.first, done)

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

    def _wake(self, container: Row, done: Committed, *, held: bool) -> None:
        column = "held_wake_at" if held else "wake_at"
        self._cursor.execute(
            f"UPDATE workflow_step SET status = 'PENDING', {column} = %s WHERE id = %s",
            [self._dialect.time(self._now), self._dialect.id(container.id)],
        )
        done.ready.append(container.id)

    def _begin_more(self, run: ExecutionState, container: Row, first: str, done: Committed) -> None:
        """Keep as many elements running as ran before: one begins for each that ended."""
        indexes = next_branches(container, run.definition.steps[container.step_id])
        rows = [first_of_branch(run, container, first, i, now=self._now) for i in indexes]
        values = [follower_values(run, row) for row in rows]
        if self._standings[run.id].held:
            for value in values:
                value.update(wake_at=None, held_wake_at=self._now)
        self._insert_steps(values)
        self._cursor.execute(
            "UPDATE workflow_step SET begun = %s WHERE id = %s",
            [indexes.stop, self._dialect.id(container.id)],
        )
        done.ready.extend(row.id for row in rows)

    # The end

    def _finish(self, settled: Sequence[Settled], done: Committed) -> None:
        settled = [s for s in settled if not start_compensation(s, now=self._now, done=done)]
        if not settled:
            return
        ends = []
        for item in settled:
            execution, finish = item.claim.execution.id, item.transition.finish
            assert finish is not None
            sequence = self._standings[execution].sequence + 1
            ends.append(end_values(execution, finish) | {"sequence": sequence})
            done.ended.append((execution, finish))
            if item.claim.execution.definition.concurrency:
                done.freed.append(execution)
        columns = ("execution_id", "status", "output", "errors", "sequence")
        source, params = self._dialect.source(columns, ends)
        where, ids = self._dialect.only("workflow_execution.id", [e["execution_id"] for e in ends])
        stamp = self._dialect.time(self._now)
        self._cursor.execute(
            "UPDATE workflow_execution SET status = v.status, output = v.output,"
            " errors = v.errors, last_sequence = v.sequence, completed_at = %s, updated_at = %s"
            f" FROM {source} WHERE workflow_execution.id = v.execution_id{where}",
            [stamp, stamp, *params, *ids],
        )
        failpoint("C10")
        self._insert_events([end | {"kind": end["status"]} for end in ends])
        children = [e for e, _ in done.ended if self._standings[e].has_parent]
        if children:
            done.ready.extend(wake_parents(self._dialect, self._cursor, children, self._now))


def _looking_again(item: Settled, now: datetime) -> Settled:
    row = item.transition.settled
    assert row is not None
    waited = {key: value for key, value in row.input.items() if key != "taken"}
    row = replace(
        row,
        status="PENDING",
        input=waited,
        output=None,
        error=None,
        completed_at=None,
        wake_at=now,
    )
    return Settled(item.claim, Transition(settled=row, set_aside=item.transition.set_aside))
