"""Claiming rows, and loading what deciding needs to know of their executions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from workflows.decide import Row, Run
from workflows.definition import Definition, DefinitionError, parse
from workflows.scopes import visible_scopes
from workflows.store.dialect import Dialect, key_of, read_json, read_time
from workflows.store.facts import load_facts
from workflows.store.values import COUNTERS, Batch, Broken, Claim, Committed

_CLAIMED = (
    "id", "execution_id", "step_id", "path", "scope", "attempt", "name", "service", "action",
    "input", "error", "started_at", "fence", "retry_base", "retry_since", *COUNTERS,
)  # fmt: skip
_EXECUTION = (
    "id", "workflow_name", "started_at", "input", "context", "version_id", "correlation_id",
    "last_sequence",
)  # fmt: skip
MOST_DEFINITIONS = 500
MOST_LISTS = 20


class Memory:
    """What never changes and is worth keeping between claims: definitions, and lists gone over."""

    def __init__(self) -> None:
        self._definitions: dict[str, Definition | DefinitionError] = {}
        self._lists: dict[tuple[str, str], list[Any]] = {}

    def definition(self, dialect: Dialect, cursor: Any, version: Any) -> Any:
        """The parsed definition of a version, or the error that reading it gives."""
        key = key_of(version) if version else ""
        if key not in self._definitions:
            _make_room(self._definitions, MOST_DEFINITIONS)
            self._definitions[key] = _read_definition(dialect, cursor, key)
        return self._definitions[key]

    def elements(self, dialect: Dialect, cursor: Any, execution: str, path: str) -> list[Any]:
        """The list that the MAP at this path goes over."""
        key = (execution, path)
        if key not in self._lists:
            _make_room(self._lists, MOST_LISTS)
            cursor.execute(
                "SELECT input FROM workflow_step WHERE execution_id = %s AND path = %s"
                " ORDER BY attempt DESC LIMIT 1",
                [dialect.id(execution), path],
            )
            found = cursor.fetchone()
            self._lists[key] = (read_json(found[0]) or {}).get("over", []) if found else []
        return self._lists[key]


def _make_room(kept: dict[Any, Any], most: int) -> None:
    if len(kept) >= most:
        kept.pop(next(iter(kept)))


def _read_definition(dialect: Dialect, cursor: Any, key: str) -> Definition | DefinitionError:
    found = None
    if key:
        where, params = dialect.among("id", [key])
        cursor.execute(f"SELECT steps, options FROM workflow_version WHERE {where}", params)
        found = cursor.fetchone()
    if found is None:
        return DefinitionError("The definition of this execution was deleted.")
    try:
        return parse({**read_json(found[1]), "steps": read_json(found[0])})
    except DefinitionError as error:
        return error


class Claimer:
    """Claims for one worker inside one transaction."""

    def __init__(
        self,
        dialect: Dialect,
        cursor: Any,
        memory: Memory,
        *,
        owner: str,
        lease: timedelta,
        now: datetime,
    ) -> None:
        self._dialect = dialect
        self._cursor = cursor
        self._memory = memory
        self._owner = owner
        self._lease = lease
        self._now = now

    def claim(self, batch: Batch, done: Committed) -> None:
        """Claim the rows that are named, those that this batch made ready, and whatever is due."""
        room = batch.room - len(done.claims)
        wanted = [*done.ready, *batch.wanted]
        rows: list[Any] = []
        if wanted and room > 0:
            rows += self._claim_rows(room, only=wanted)
        if batch.look and len(rows) < room:
            rows += self._claim_rows(room - len(rows))
        done.filled = len(rows) >= room and bool(wanted or batch.look)
        if rows:
            self._load(rows, done)

    def _claim_rows(self, limit: int, only: Sequence[str] = ()) -> list[Any]:
        # Both rows are locked without waiting: this skips what a cancel holds.
        lock = self._dialect.lock("FOR NO KEY UPDATE OF s, e SKIP LOCKED")
        stamp = self._dialect.time(self._now)
        # A PENDING row is due; only a look at everything finds it by its time.
        where, params = "s.wake_at <= %s", [stamp]
        if only:
            where, params = self._dialect.among("s.id", only)
            where += " AND (s.wake_at <= %s OR s.status = 'PENDING' AND s.wake_at IS NOT NULL)"
            params = [*params, stamp]
        returned = ", ".join(f"workflow_step.{c}" for c in _CLAIMED)
        until = self._dialect.time(self._now + self._lease)
        self._cursor.execute(
            "WITH due AS (SELECT s.id FROM workflow_step s"
            " JOIN workflow_execution e ON e.id = s.execution_id"
            f" WHERE {where} AND s.status IN ('PENDING', 'WAITING')"
            " AND e.status IN ('PENDING', 'RUNNING')"
            f" ORDER BY s.wake_at LIMIT %s {lock})"
            " UPDATE workflow_step SET status = 'RUNNING', wake_at = NULL, lease_owner = %s,"
            " lease_until = %s, fence = fence + 1, started_at = COALESCE(started_at, %s),"
            " updated_at = %s FROM due WHERE workflow_step.id = due.id"
            f" RETURNING {returned}",
            [*params, limit, self._owner, until, stamp, stamp],
        )
        return list(self._cursor.fetchall())

    def _load(self, rows: Sequence[Any], done: Committed) -> None:
        records = [dict(zip(_CLAIMED, row, strict=True)) for row in rows]
        for record in records:
            record["id"], record["execution_id"] = (
                key_of(record["id"]),
                key_of(record["execution_id"]),
            )
        executions = self._load_executions({r["execution_id"] for r in records})
        outcomes = self._load_outcomes(records)
        made: list[Claim] = []
        for record in records:
            execution = executions[record["execution_id"]]
            claim = self._claim_of(record, execution, outcomes)
            definition = self._memory.definition(
                self._dialect, self._cursor, execution["version_id"]
            )
            if isinstance(definition, DefinitionError):
                done.broken.append(Broken(claim, definition))
                continue
            claim.run.definition = definition
            self._enter_elements(claim)
            made.append(claim)
        load_facts(self._dialect, self._cursor, made)
        done.claims.extend(made)

    def _load_executions(self, ids: set[str]) -> dict[str, dict[str, Any]]:
        where, params = self._dialect.among("id", ids)
        stamp = self._dialect.time(self._now)
        self._cursor.execute(
            "UPDATE workflow_execution SET status = 'RUNNING', updated_at = %s,"
            f" started_at = COALESCE(started_at, %s) WHERE {where} AND status = 'PENDING'",
            [stamp, stamp, *params],
        )
        self._cursor.execute(
            f"SELECT {', '.join(_EXECUTION)} FROM workflow_execution WHERE {where}", params
        )
        found = (dict(zip(_EXECUTION, row, strict=True)) for row in self._cursor.fetchall())
        return {key_of(e["id"]): {**e, "id": key_of(e["id"])} for e in found}

    def _load_outcomes(
        self, records: Iterable[Mapping[str, Any]]
    ) -> dict[tuple[str, str], list[tuple[Any, ...]]]:
        """What the steps came to that the claimed rows can see, in the order of their end."""
        wanted = {(r["execution_id"], s) for r in records for s in visible_scopes(r["scope"])}
        rows = [{"execution_id": execution, "scope": scope} for execution, scope in wanted]
        source, params = self._dialect.source(("execution_id", "scope"), rows)
        self._cursor.execute(
            "SELECT s.execution_id, s.scope, s.step_id, s.path, s.status, s.output, s.error"
            f" FROM workflow_step s JOIN {source}"
            " ON s.execution_id = v.execution_id AND s.scope = v.scope"
            " WHERE s.status IN ('COMPLETED', 'SKIPPED', 'FAILED')"
            " ORDER BY s.completed_at, s.id",
            params,
        )
        found: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
        for execution, scope, *rest in self._cursor.fetchall():
            found.setdefault((key_of(execution), scope), []).append(tuple(rest))
        return found

    def _claim_of(
        self,
        record: Mapping[str, Any],
        execution: Mapping[str, Any],
        outcomes: Mapping[tuple[str, str], Iterable[tuple[Any, ...]]],
    ) -> Claim:
        run = Run(
            id=execution["id"],
            workflow=execution["workflow_name"],
            started_at=read_time(execution["started_at"]) or self._now,
            input=read_json(execution["input"]) or {},
            context=read_json(execution["context"]) or {},
            definition=None,  # type: ignore[arg-type]
            scope=record["scope"],
            sequence=execution["last_sequence"],
        )
        paths: dict[str, set[str]] = {record["step_id"]: {record["path"]}}
        for scope in visible_scopes(run.scope):
            outside = scope != run.scope
            for step_id, path, status, output, error in outcomes.get((run.id, scope), ()):
                if not outside:
                    paths.setdefault(step_id, set()).add(path)
                run.learn(
                    step_id,
                    status=status,
                    output=read_json(output),
                    error=read_json(error),
                    outside=outside,
                )
        run.visits = {step_id: len(found) for step_id, found in paths.items()}
        return Claim(run, _row_of(record), record["fence"], self._now, execution["correlation_id"])

    def _enter_elements(self, claim: Claim) -> None:
        """Put the item at hand in view, for a row inside the elements of MAPs."""
        run = claim.run
        for scope in visible_scopes(run.scope)[1:]:
            path, _, index = scope.rpartition("/")
            step_id = path.rpartition("/")[2].partition("#")[0]
            if run.definition.steps[step_id].kind == "MAP":
                elements = self._memory.elements(self._dialect, self._cursor, run.id, path)
                run.enter_element(item=elements[int(index)], index=int(index))


def _row_of(record: Mapping[str, Any]) -> Row:
    same = ("id", "step_id", "path", "scope", "attempt", "name", "service", "action", "retry_base")
    return Row(
        **{name: record[name] for name in (*same, *COUNTERS)},
        status="RUNNING",
        input=read_json(record["input"]),
        error=read_json(record["error"]),
        started_at=read_time(record["started_at"]),
        retry_since=read_time(record["retry_since"]),
    )
