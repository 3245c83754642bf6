"""The engine's SQL: one transaction per batch of outcomes, claims and renewals.

Every statement takes a whole batch: PostgreSQL reads it from one JSON parameter with
`jsonb_to_recordset`, SQLite with `json_each`. A claim is a conditional update that raises the row's
fence; a write that names an older fence changes nothing.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import DatabaseError, connection, transaction

from registry.models.base import uuid7
from workflows.decide import Finish, Row, Run, Transition
from workflows.definition import Definition, DefinitionError, parse
from workflows.expressions import StepOutcomes
from workflows.models import Worker

_COLUMNS = {
    "id": "uuid",
    "execution_id": "uuid",
    "fence": "bigint",
    "step_id": "text",
    "path": "text",
    "attempt": "integer",
    "name": "text",
    "status": "text",
    "service": "text",
    "instance": "text",
    "action": "text",
    "input": "jsonb",
    "output": "jsonb",
    "error": "jsonb",
    "errors": "jsonb",
    "payload": "jsonb",
    "started_at": "timestamptz",
    "completed_at": "timestamptz",
    "wake_at": "timestamptz",
    "lease_until": "timestamptz",
    "lease_owner": "text",
    "retry_base": "integer",
    "retry_since": "timestamptz",
    "sequence": "integer",
    "kind": "text",
}
_SETTLED = (
    "id", "fence", "status", "service", "instance", "input", "output", "error",
    "started_at", "completed_at",
)  # fmt: skip
_INSERTED = (
    "id", "execution_id", "step_id", "path", "attempt", "name", "status", "service", "instance",
    "action", "input", "output", "error", "started_at", "completed_at", "wake_at", "lease_owner",
    "lease_until", "fence", "retry_base", "retry_since",
)  # fmt: skip
_CLAIMED = (
    "id", "execution_id", "step_id", "path", "attempt", "name", "service", "action", "input",
    "started_at", "fence", "retry_base", "retry_since",
)  # fmt: skip
MAX_DEFINITIONS = 500


@dataclass(slots=True)
class Claim:
    """A step that this worker holds: nobody else may record it while the lease lasts."""

    run: Run
    row: Row
    fence: int
    claimed_at: datetime
    correlation_id: str = ""


@dataclass(frozen=True, slots=True)
class Settled:
    """A claim and what became of it."""

    claim: Claim
    transition: Transition


@dataclass(frozen=True, slots=True)
class Broken:
    """A claimed row whose definition cannot be read; `error` says why."""

    claim: Claim
    error: DefinitionError


@dataclass(slots=True)
class Batch:
    """What one transaction is to do.

    `look` claims whatever is due, `wanted` names rows, `room` bounds both. Without `take`, followers
    are left for another worker.
    """

    settled: list[Settled] = field(default_factory=list)
    wanted: list[str] = field(default_factory=list)
    look: bool = False
    renew: list[Claim] = field(default_factory=list)
    room: int = 0
    take: bool = True


@dataclass(slots=True)
class Committed:
    """What it did: new claims, claims that were lost, executions that ended.

    `filled` says that there may be more to claim than there was room for.
    """

    claims: list[Claim] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    lost: list[Claim] = field(default_factory=list)
    ended: list[tuple[str, Finish]] = field(default_factory=list)
    filled: bool = False


class Store:
    """Reads and writes for one worker, from one thread."""

    def __init__(self, *, owner: str, lease_seconds: float) -> None:
        self.owner = owner
        self.lease = timedelta(seconds=lease_seconds)
        self.is_postgres = connection.vendor == "postgresql"
        self._definitions: dict[str, Definition | DefinitionError] = {}
        self._offset = timedelta(0)

    # Time: the database's, by a measured offset to this machine's clock

    def measure_clock(self) -> None:
        """Learn how far this machine's clock is from the database's."""
        if not self.is_postgres:
            return
        before = datetime.now(UTC)
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            reading = cursor.fetchone()[0]
        self._offset = reading - (before + (datetime.now(UTC) - before) / 2)

    def now(self) -> datetime:
        """The database's time."""
        return datetime.now(UTC) + self._offset

    # The worker itself

    def show_worker(self, *, in_flight: int) -> None:
        """Tell that this worker is alive."""
        Worker.objects.update_or_create(
            name=self.owner, defaults={"in_flight": in_flight, "seen_at": self.now()}
        )

    def forget_worker(self) -> None:
        """Tell that it left, if the database still answers."""
        with contextlib.suppress(DatabaseError):
            Worker.objects.filter(name=self.owner).delete()

    # The transaction

    def commit(self, batch: Batch) -> Committed:
        """Do a whole batch, or nothing of it."""
        done = Committed()
        now = self.now()
        with transaction.atomic(), connection.cursor() as cursor:
            if batch.settled:
                self._record(cursor, batch, done, now)
            if batch.renew:
                self._renew(cursor, batch.renew, done, now)
            if batch.wanted or batch.look:
                self._claim(cursor, batch, done, now, room=batch.room - len(done.claims))
        return done

    def _record(self, cursor: Any, batch: Batch, done: Committed, now: datetime) -> None:
        settled = batch.settled
        # Executions first, in one order, as every other writer does: no deadlock, and a cancel
        # either sees the followers or makes these fences stale.
        sequences = self._lock_executions(cursor, {s.claim.run.id for s in settled})
        held = self._settle_rows(cursor, settled)
        kept = [s for s in settled if self._id(s.claim.row.id) in held]
        done.lost.extend(s.claim for s in settled if self._id(s.claim.row.id) not in held)
        inserts: list[dict[str, Any]] = []
        for item in kept:
            self._add_followers(item, inserts, done, now, take=batch.take)
        if inserts:
            self._insert(cursor, "workflow_step", _INSERTED, inserts, now)
        ended = [(s.claim.run.id, f) for s in kept if (f := s.transition.finish) is not None]
        if ended:
            self._finish(cursor, ended, sequences, now)
            done.ended.extend(ended)

    def _lock_executions(self, cursor: Any, ids: set[str]) -> dict[str, int]:
        lock = "FOR NO KEY UPDATE" if self.is_postgres else ""
        where, params = self._among("id", ids)
        cursor.execute(
            f"SELECT id, last_sequence FROM workflow_execution WHERE {where} ORDER BY id {lock}",
            params,
        )
        return {str(self._key(found)): sequence for found, sequence in cursor.fetchall()}

    def _settle_rows(self, cursor: Any, settled: Sequence[Settled]) -> set[Any]:
        rows = []
        for item in settled:
            row = item.transition.settled
            assert row is not None
            values = {name: getattr(row, name) for name in _SETTLED if name != "fence"}
            rows.append({**values, "fence": item.claim.fence})
        source, params = self._source(_SETTLED, rows)
        sets = ", ".join(f"{c} = v.{c}" for c in _SETTLED if c not in ("id", "fence"))
        cursor.execute(
            f"UPDATE workflow_step SET {sets}, wake_at = NULL, lease_owner = '',"
            f" lease_until = NULL, updated_at = %s FROM {source}"
            " WHERE workflow_step.id = v.id AND workflow_step.fence = v.fence"
            " AND workflow_step.status = 'RUNNING' RETURNING workflow_step.id",
            [self._time(self.now()), *params],
        )
        return {found for (found,) in cursor.fetchall()}

    def _add_followers(
        self,
        item: Settled,
        inserts: list[dict[str, Any]],
        done: Committed,
        now: datetime,
        *,
        take: bool,
    ) -> None:
        """Followers that are due are inserted as ours: the settled row leaves its place to them."""
        claim = item.claim
        for row in item.transition.followers:
            values = {name: getattr(row, name, None) for name in _INSERTED}
            values.update(execution_id=claim.run.id, lease_owner="", lease_until=None, fence=0)
            if row.status == "PENDING" and take:
                row.started_at = now
                values.update(
                    status="RUNNING",
                    started_at=now,
                    wake_at=None,
                    lease_owner=self.owner,
                    lease_until=now + self.lease,
                    fence=1,
                )
                done.claims.append(Claim(claim.run, row, 1, now, claim.correlation_id))
            inserts.append(values)

    def _finish(
        self,
        cursor: Any,
        ended: Iterable[tuple[str, Finish]],
        sequences: Mapping[str, int],
        now: datetime,
    ) -> None:
        rows, events = [], []
        for execution, finish in ended:
            sequence = sequences[execution] + 1
            rows.append(
                {
                    "id": execution,
                    "status": finish.status,
                    "output": finish.output,
                    "errors": list(finish.errors),
                    "sequence": sequence,
                }
            )
            events.append(
                {
                    "id": str(uuid7()),
                    "execution_id": execution,
                    "sequence": sequence,
                    "kind": finish.status,
                    "payload": {"errors": list(finish.errors)} if finish.errors else {},
                }
            )
        source, params = self._source(("id", "status", "output", "errors", "sequence"), rows)
        stamp = self._time(now)
        cursor.execute(
            "UPDATE workflow_execution SET status = v.status, output = v.output,"
            " errors = v.errors, last_sequence = v.sequence, completed_at = %s, updated_at = %s"
            f" FROM {source} WHERE workflow_execution.id = v.id",
            [stamp, stamp, *params],
        )
        columns = ("id", "execution_id", "sequence", "kind", "payload")
        self._insert(cursor, "workflow_event", columns, events, now, actor="engine")

    def _renew(self, cursor: Any, claims: Sequence[Claim], done: Committed, now: datetime) -> None:
        rows = [{"id": c.row.id, "fence": c.fence} for c in claims]
        source, params = self._source(("id", "fence"), rows)
        cursor.execute(
            f"UPDATE workflow_step SET lease_until = %s FROM {source} WHERE workflow_step.id = v.id"
            " AND workflow_step.fence = v.fence AND workflow_step.status = 'RUNNING'"
            " RETURNING workflow_step.id",
            [self._time(now + self.lease), *params],
        )
        held = {found for (found,) in cursor.fetchall()}
        done.lost.extend(c for c in claims if self._id(c.row.id) not in held)
        for claim in claims:
            claim.claimed_at = now

    # Claims

    def _claim(self, cursor: Any, batch: Batch, done: Committed, now: datetime, room: int) -> None:
        rows: list[Any] = []
        if batch.wanted and room > 0:
            rows += self._claim_rows(cursor, now, room, only=batch.wanted)
        if batch.look and len(rows) < room:
            rows += self._claim_rows(cursor, now, room - len(rows))
        done.filled = len(rows) >= room
        if rows:
            self._load_claims(cursor, rows, done, now)

    def _claim_rows(
        self, cursor: Any, now: datetime, limit: int, only: Sequence[str] = ()
    ) -> list[Any]:
        # Both rows are locked without waiting: a cancel that holds the execution makes this skip it.
        lock = "FOR NO KEY UPDATE OF s, e SKIP LOCKED" if self.is_postgres else ""
        where, params = self._among("s.id", only) if only else ("TRUE", [])
        returned = ", ".join(f"workflow_step.{c}" for c in _CLAIMED)
        stamp = self._time(now)
        cursor.execute(
            "WITH due AS (SELECT s.id FROM workflow_step s"
            " JOIN workflow_execution e ON e.id = s.execution_id"
            f" WHERE {where} AND s.status IN ('PENDING', 'WAITING') AND s.wake_at <= %s"
            " AND e.status IN ('PENDING', 'RUNNING')"
            f" ORDER BY s.wake_at LIMIT %s {lock})"
            " UPDATE workflow_step SET status = 'RUNNING', wake_at = NULL, lease_owner = %s,"
            " lease_until = %s, fence = fence + 1, started_at = COALESCE(started_at, %s),"
            " updated_at = %s FROM due WHERE workflow_step.id = due.id"
            f" RETURNING {returned}",
            [*params, stamp, limit, self.owner, self._time(now + self.lease), stamp, stamp],
        )
        return cursor.fetchall()

    def _load_claims(
        self, cursor: Any, rows: Sequence[Any], done: Committed, now: datetime
    ) -> None:
        records = [dict(zip(_CLAIMED, row, strict=True)) for row in rows]
        ids = {self._key(r["execution_id"]) for r in records}
        executions = self._load_executions(cursor, ids, now)
        outcomes = self._load_outcomes(cursor, ids)
        for record in records:
            execution = executions[self._key(record["execution_id"])]
            claim = self._claim_of(record, execution, outcomes.get(execution["id"], ()), now)
            definition = self._definition(cursor, execution["version_id"])
            if isinstance(definition, DefinitionError):
                done.broken.append(Broken(claim, definition))
            else:
                claim.run.definition = definition
                done.claims.append(claim)

    def _load_executions(
        self, cursor: Any, ids: set[str], now: datetime
    ) -> dict[str, dict[str, Any]]:
        where, params = self._among("id", ids)
        stamp = self._time(now)
        cursor.execute(
            "UPDATE workflow_execution SET status = 'RUNNING', updated_at = %s,"
            f" started_at = COALESCE(started_at, %s) WHERE {where} AND status = 'PENDING'",
            [stamp, stamp, *params],
        )
        columns = ("id", "workflow_name", "started_at", "input", "context", "version_id",
                   "correlation_id")  # fmt: skip
        cursor.execute(f"SELECT {', '.join(columns)} FROM workflow_execution WHERE {where}", params)
        found = (dict(zip(columns, row, strict=True)) for row in cursor.fetchall())
        return {self._key(e["id"]): {**e, "id": self._key(e["id"])} for e in found}

    def _load_outcomes(self, cursor: Any, ids: set[str]) -> dict[str, list[tuple[Any, ...]]]:
        """What the executions' steps came to, in the order in which they came to it."""
        where, params = self._among("execution_id", ids)
        cursor.execute(
            "SELECT execution_id, step_id, path, status, output, error FROM workflow_step"
            f" WHERE {where} AND status IN ('COMPLETED', 'SKIPPED', 'FAILED')"
            " ORDER BY completed_at, id",
            params,
        )
        found: dict[str, list[tuple[Any, ...]]] = {}
        for execution, *rest in cursor.fetchall():
            found.setdefault(self._key(execution), []).append(tuple(rest))
        return found

    def _claim_of(
        self,
        record: Mapping[str, Any],
        execution: Mapping[str, Any],
        outcomes: Iterable[tuple[Any, ...]],
        now: datetime,
    ) -> Claim:
        run = Run(
            id=execution["id"],
            workflow=execution["workflow_name"],
            started_at=_read_time(execution["started_at"]) or now,
            input=_read_json(execution["input"]) or {},
            context=_read_json(execution["context"]) or {},
            definition=None,  # type: ignore[arg-type]
            steps=StepOutcomes(),
        )
        paths: dict[str, set[str]] = {record["step_id"]: {record["path"]}}
        for step_id, path, status, output, error in outcomes:
            paths.setdefault(step_id, set()).add(path)
            run.learn(step_id, status=status, output=_read_json(output), error=_read_json(error))
        run.visits = {step_id: len(found) for step_id, found in paths.items()}
        row = Row(
            id=self._key(record["id"]),
            step_id=record["step_id"],
            path=record["path"],
            attempt=record["attempt"],
            name=record["name"],
            status="RUNNING",
            service=record["service"],
            action=record["action"],
            input=_read_json(record["input"]),
            started_at=_read_time(record["started_at"]),
            retry_base=record["retry_base"],
            retry_since=_read_time(record["retry_since"]),
        )
        return Claim(run, row, record["fence"], now, execution["correlation_id"])

    def _definition(self, cursor: Any, version: Any) -> Definition | DefinitionError:
        """The parsed definition of a version; versions never change, so they are kept."""
        key = self._key(version) if version else ""
        if key not in self._definitions:
            if len(self._definitions) >= MAX_DEFINITIONS:
                self._definitions.pop(next(iter(self._definitions)))
            self._definitions[key] = self._read_definition(cursor, key)
        return self._definitions[key]

    def _read_definition(self, cursor: Any, key: str) -> Definition | DefinitionError:
        found = None
        if key:
            where, params = self._among("id", [key])
            cursor.execute(f"SELECT steps, options FROM workflow_version WHERE {where}", params)
            found = cursor.fetchone()
        if found is None:
            return DefinitionError("The definition of this execution was deleted.")
        try:
            return parse({**_read_json(found[1]), "steps": _read_json(found[0])})
        except DefinitionError as error:
            return error

    # Dialect

    def _source(
        self, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]
    ) -> tuple[str, list[Any]]:
        """A table expression `v` with these rows, and its one parameter."""
        plain = [{c: self._plain(c, r.get(c)) for c in columns} for r in rows]
        text = json.dumps(plain, allow_nan=False)
        if self.is_postgres:
            types = ", ".join(f"{c} {_COLUMNS[c]}" for c in columns)
            return f"jsonb_to_recordset(%s::jsonb) AS v({types})", [text]
        picked = ", ".join(f"json_extract(value, '$.{c}') AS {c}" for c in columns)
        return f"(SELECT {picked} FROM json_each(%s)) AS v", [text]

    def _insert(
        self,
        cursor: Any,
        table: str,
        columns: Sequence[str],
        rows: Sequence[Mapping[str, Any]],
        now: datetime,
        *,
        actor: str | None = None,
    ) -> None:
        source, params = self._source(columns, rows)
        fixed: dict[str, Any] = {"created_at": self._time(now), "updated_at": self._time(now)}
        fixed |= {"actor": actor} if actor is not None else {"deaths": 0}
        names = ", ".join((*columns, *fixed))
        picked = ", ".join((*(f"v.{c}" for c in columns), *("%s" for _ in fixed)))
        cursor.execute(
            f"INSERT INTO {table} ({names}) SELECT {picked} FROM {source}",
            [*fixed.values(), *params],
        )

    def _plain(self, column: str, value: Any) -> Any:
        kind = _COLUMNS[column]
        if value is None:
            return None
        if kind == "uuid":
            return self._key(value) if self.is_postgres else uuid.UUID(str(value)).hex
        if kind == "timestamptz":
            return value.isoformat() if self.is_postgres else self._time(value)
        return value

    def _among(self, column: str, ids: Iterable[str]) -> tuple[str, list[Any]]:
        keys = [str(self._id(i)) for i in ids]
        if self.is_postgres:
            return f"{column} = ANY(%s::uuid[])", [keys]
        return f"{column} IN (SELECT value FROM json_each(%s))", [json.dumps(keys)]

    def _id(self, value: Any) -> Any:
        """An id as the driver hands it out."""
        made = value if isinstance(value, uuid.UUID) else uuid.UUID(str(value))
        return made if self.is_postgres else made.hex

    @staticmethod
    def _key(value: Any) -> str:
        """An id as the engine keeps it, whatever the driver hands out."""
        return str(value) if isinstance(value, uuid.UUID) else str(uuid.UUID(str(value)))

    def _time(self, value: datetime) -> Any:
        if self.is_postgres:
            return value
        return str(value.astimezone(UTC).replace(tzinfo=None))


def _read_json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str | bytes) else value


def _read_time(value: Any) -> datetime | None:
    if value is None:
        return None
    read = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return read if read.tzinfo else read.replace(tzinfo=UTC)
