"""Claiming rows, and loading what deciding needs to know of their executions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from registry.failpoints import failpoint
from workflows.decide import Outcome, Row, Run, recall
from workflows.definition import Definition, DefinitionError, parse
from workflows.scopes import is_compensation, scope_of, visible_scopes
from workflows.store.dialect import Dialect, key_of, read_json, read_time, send, size_of
from workflows.store.due import SOUND, SUSPECT, select_claimable, select_due, select_suspects
from workflows.store.facts import load_facts
from workflows.store.undoing import outcomes_before
from workflows.store.values import COUNTERS, Batch, Broken, Claim, Committed

_CLAIMED = (
    "id", "execution_id", "step_id", "path", "scope", "attempt", "name", "service", "action",
    "input", "error", "started_at", "fence", "retry_base", "retry_since", *COUNTERS,
)  # fmt: skip
_EXECUTION = (
    "id", "workflow_name", "started_at", "input", "context", "version_id", "correlation_id",
    "last_sequence", "priority",
)  # fmt: skip
MOST_DEFINITIONS = 500
# An execution, a scope of it, and the container in that scope that a row is in, or ''.
View = tuple[str, str, str]
# Of JSON text; as Python objects it is several times as much.
MOST_KEPT_BYTES = 16 * 1024 * 1024


class Memory:
    """What never changes and is worth keeping between claims.

    Definitions; and of executions with branches or elements what all of these see: the
    execution's input and context, the list gone over, and the outcomes around a container, which
    are settled before it begins. Without that, each of ten thousand elements would read them.
    """

    def __init__(self) -> None:
        self._definitions: dict[str, Definition | DefinitionError] = {}
        self._lists = Kept()
        self.documents = Kept()
        self.surroundings = Kept()

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
        found = self._lists.get(key)
        if found is None:
            cursor.execute(
                "SELECT input FROM workflow_step WHERE execution_id = %s AND path = %s"
                " ORDER BY attempt DESC LIMIT 1",
                [dialect.id(execution), path],
            )
            row = cursor.fetchone()
            found = (read_json(row[0]) or {}).get("over", []) if row else []
            self._lists.keep(key, found, size=size_of(row[0]) if row else 0)
        return found


class Kept:
    """Values by key, as many as fit into `MOST_KEPT_BYTES`; the oldest go first."""

    def __init__(self) -> None:
        self._values: dict[Any, tuple[Any, int]] = {}
        self._size = 0

    def get(self, key: Any) -> Any:
        found = self._values.get(key)
        return found[0] if found else None

    def keep(self, key: Any, value: Any, *, size: int) -> None:
        if key in self._values:
            return
        self._values[key] = (value, size)
        self._size += size
        while self._size > MOST_KEPT_BYTES and len(self._values) > 1:
            self._size -= self._values.pop(next(iter(self._values)))[1]


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
        suspects: bool = False,
    ) -> None:
        self._dialect = dialect
        self._cursor = cursor
        self._memory = memory
        self._owner = owner
        self._lease = lease
        self._now = now
        self._suspects = suspects

    def claim(self, batch: Batch, done: Committed) -> None:
        """Claim the rows that are named and those that this batch made ready, or whatever is due.

        Named rows are all claimed, or else the most urgent of all: a burst of starts must not take
        the last places from what comes before it.
        """
        room = batch.room - len(done.claims)
        wanted = [*done.ready, *batch.wanted]
        failpoint("C3")
        rows: list[Any] = []
        if room > 0 and (batch.look or len(wanted) > room):
            rows = self._claim_due(room)
        elif room > 0 and wanted:
            rows = self._claim_wanted(wanted, room)
        done.filled = len(rows) >= room and bool(wanted or batch.look)
        if rows:
            self._load(rows, done)

    def _claim_wanted(self, wanted: Sequence[str], room: int) -> list[Any]:
        where, params = self._dialect.among("s.id", wanted)
        # A PENDING row is due; only a WAITING one has its time.
        where += " AND (s.status = 'PENDING' AND s.wake_at IS NOT NULL OR s.wake_at <= %s)"
        due, params = select_claimable(
            self._dialect,
            f"{where} AND {SUSPECT if self._suspects else SOUND}",
            [*params, self._dialect.time(self._now)],
            limit=room,
        )
        return self._take(f"WITH due AS ({due})", params)

    def _claim_due(self, room: int) -> list[Any]:
        select = select_suspects if self._suspects else select_due
        due, params = select(self._dialect, self._dialect.time(self._now), room)
        return self._take(due, params)

    def _take(self, due: str, params: Sequence[Any]) -> list[Any]:
        """Claim the rows of the table expression `due`."""
        stamp = self._dialect.time(self._now)
        returned = ", ".join(f"workflow_step.{c}" for c in _CLAIMED)
        until = self._dialect.time(self._now + self._lease)
        # PostgreSQL guesses that `due` has a hundred rows, and would read a whole table to meet it.
        among = (
            "WHERE workflow_step.id = ANY(ARRAY(SELECT id FROM due))"
            if self._dialect.is_postgres
            else "FROM due WHERE workflow_step.id = due.id"
        )
        self._cursor.execute(
            f"{due} UPDATE workflow_step SET status = 'RUNNING', wake_at = NULL, lease_owner = %s,"
            " lease_until = %s, fence = fence + 1, started_at = COALESCE(started_at, %s),"
            f" updated_at = %s {among}"
            f" RETURNING {returned}",
            [*params, self._owner, until, stamp, stamp],
        )
        return list(self._cursor.fetchall())

    def _load(self, rows: Sequence[Any], done: Committed) -> None:
        records = [dict(zip(_CLAIMED, row, strict=True)) for row in rows]
        for record in records:
            record["id"], record["execution_id"] = (
                key_of(record["id"]),
                key_of(record["execution_id"]),
            )
        inside = {r["execution_id"] for r in records if r["scope"]}
        onward = [r for r in records if not is_compensation(r["path"])]
        # Both are sent before one is read, so that they share an exchange.
        known, sent = self._ask_for_executions({r["execution_id"] for r in records}, inside)
        outcomes, places, asked = self._ask_for_outcomes(onward)
        executions = self._read_executions(sent, known, inside)
        outcomes |= self._read_outcomes(asked, places)
        made: list[Claim] = []
        for record in records:
            execution = executions[record["execution_id"]]
            run = self._run_of(record, execution)
            claim = Claim(
                run, _row_of(record), record["fence"], self._now, execution["correlation_id"]
            )
            definition = self._memory.definition(
                self._dialect, self._cursor, execution["version_id"]
            )
            if isinstance(definition, DefinitionError):
                done.broken.append(Broken(claim, definition))
                continue
            run.definition = definition
            self._look_around(claim, record, outcomes)
            made.append(claim)
        load_facts(self._dialect, self._cursor, made)
        done.claims.extend(made)

    def _ask_for_executions(
        self, ids: set[str], inside: set[str]
    ) -> tuple[dict[str, dict[str, Any]], Any]:
        """Send for executions; what those with rows `inside` branches were given may be known."""
        where, params = self._dialect.among("id", ids)
        stamp = self._dialect.time(self._now)
        self._cursor.execute(
            "UPDATE workflow_execution SET status = 'RUNNING', updated_at = %s,"
            f" started_at = COALESCE(started_at, %s) WHERE {where}"
            " AND status IN ('PENDING', 'WAITING')",
            [stamp, stamp, *params],
        )
        known = {key: found for key in inside if (found := self._memory.documents.get(key))}
        columns = list(_EXECUTION)
        extra: list[Any] = []
        if known:
            of_known, extra = self._dialect.among("id", known)
            for name in ("input", "context"):
                columns[columns.index(name)] = f"CASE WHEN {of_known} THEN NULL ELSE {name} END"
        sent = send(
            f"SELECT {', '.join(columns)} FROM workflow_execution WHERE {where}",
            [*extra, *extra, *params],
        )
        return known, sent

    def _read_executions(
        self, sent: Any, known: Mapping[str, dict[str, Any]], inside: set[str]
    ) -> dict[str, dict[str, Any]]:
        found = {}
        for row in sent.fetchall():
            execution = dict(zip(_EXECUTION, row, strict=True))
            key = execution["id"] = key_of(execution["id"])
            found[key] = {**execution, **self._documents_of(key, execution, known, inside)}
        return found

    def _documents_of(
        self,
        key: str,
        execution: Mapping[str, Any],
        known: Mapping[str, dict[str, Any]],
        inside: set[str],
    ) -> dict[str, Any]:
        if key in known:
            return known[key]
        documents = {name: read_json(execution[name]) or {} for name in ("input", "context")}
        if key in inside:
            size = size_of(execution["input"]) + size_of(execution["context"])
            self._memory.documents.keep(key, documents, size=size)
        return documents

    def _ask_for_outcomes(
        self, records: Iterable[Mapping[str, Any]]
    ) -> tuple[dict[View, list[Outcome]], set[View], Any]:
        """Send for what the steps came to that the claimed rows can see.

        What of it is known, by execution, scope, and the container in that scope that the claimed
        row is in, or ''; what is not; and where the answer is to be read.
        """
        found: dict[View, list[Outcome]] = {}
        wanted = {key for r in records for key in _views(r["execution_id"], r["scope"])}
        for key in wanted:
            kept = self._memory.surroundings.get(key) if key[2] else None
            if kept is not None:
                found[key] = kept
        wanted -= found.keys()
        places = {key[:2] for key in wanted}
        if not places:
            return found, wanted, None
        rows = [{"execution_id": execution, "scope": scope} for execution, scope in places]
        source, params = self._dialect.source(("execution_id", "scope"), rows)
        only, ids = self._dialect.only("s.execution_id", [execution for execution, _ in places])
        sent = send(
            "SELECT s.execution_id, s.scope, s.step_id, s.path, s.status, s.output, s.error"
            f" FROM workflow_step s JOIN {source}"
            " ON s.execution_id = v.execution_id AND s.scope = v.scope"
            f" WHERE s.status IN ('COMPLETED', 'SKIPPED', 'FAILED'){only}"
            " ORDER BY s.completed_at, s.id",
            [*params, *ids],
        )
        return found, wanted, sent

    def _read_outcomes(self, sent: Any, wanted: set[View]) -> dict[View, list[Outcome]]:
        """The outcomes that were sent for, each view in the order of their end."""
        if sent is None:
            return {}
        read: dict[tuple[str, str], list[Outcome]] = {}
        sizes: dict[tuple[str, str], int] = {}
        for execution, scope, step_id, path, status, output, error in sent.fetchall():
            place = (key_of(execution), scope)
            outcome = Outcome(step_id, path, status, read_json(output), read_json(error))
            read.setdefault(place, []).append(outcome)
            sizes[place] = sizes.get(place, 0) + size_of(output) + size_of(error)
        found = {}
        for key in wanted:
            found[key] = read.get(key[:2], [])
            if key[2]:
                self._memory.surroundings.keep(key, found[key], size=sizes.get(key[:2], 0))
        return found

    def _run_of(self, record: Mapping[str, Any], execution: Mapping[str, Any]) -> Run:
        undoes = is_compensation(record["path"])
        return Run(
            id=execution["id"],
            workflow=execution["workflow_name"],
            started_at=read_time(execution["started_at"]) or self._now,
            input=execution["input"],
            context=execution["context"],
            definition=None,  # type: ignore[arg-type]
            # What undoes a step sees what the step saw.
            scope=scope_of(record["path"]) if undoes else record["scope"],
            sequence=execution["last_sequence"],
            priority=execution["priority"],
        )

    def _look_around(
        self,
        claim: Claim,
        record: Mapping[str, Any],
        outcomes: Mapping[View, Iterable[Outcome]],
    ) -> None:
        """Put in view what the row can see."""
        run = claim.run
        recall(
            run,
            _sight(record, outcomes),
            lambda path: self._memory.elements(self._dialect, self._cursor, run.id, path),
            step_id=claim.row.step_id,
            path=claim.row.path,
        )


def _sight(
    record: Mapping[str, Any], outcomes: Mapping[View, Iterable[Outcome]]
) -> Callable[[str], Iterable[Outcome]]:
    """The outcomes that a row can see, by scope."""
    if is_compensation(record["path"]):
        before = outcomes_before(record)
        return lambda scope: before.get(scope, ())
    views = {view[1]: view for view in _views(record["execution_id"], record["scope"])}
    return lambda scope: outcomes.get(views[scope], ())


def _views(execution: str, scope: str) -> list[View]:
    """The scopes that a row can see, outermost first, each with the container that it is in there.

    Of a row in `each/3/both/0`: ('', 'each'), ('each/3', 'each/3/both'), ('each/3/both/0', '').
    """
    scopes = visible_scopes(scope)
    containers = [inner.rpartition("/")[0] for inner in scopes[1:]]
    return [(execution, *view) for view in zip(scopes, [*containers, ""], strict=True)]


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
