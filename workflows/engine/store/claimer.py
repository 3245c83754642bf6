"""Claiming rows, and loading what deciding needs to know of their executions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from core.failpoints import failpoint
from registry.models import RegistryChange
from workflows.decide import SETTLED_STATUSES, ExecutionState, Row, StepOutcome, recall
from workflows.definition import DefinitionError
from workflows.engine.store.batch import COUNTERS, Batch, Broken, Claim, Committed
from workflows.engine.store.compensation import outcomes_before_compensation
from workflows.engine.store.dialect import (
    Dialect,
    key_of,
    read_json,
    read_time,
    send,
    size_of,
)
from workflows.engine.store.due_query import (
    SOUND,
    SUSPECT,
    select_claimable,
    select_due,
    select_quarantined,
)
from workflows.engine.store.step_facts import load_facts
from workflows.engine.store.worker_cache import WorkerCache
from workflows.step_paths import is_compensation, scope_of, visible_scopes

_CLAIMED = (
    "id", "execution_id", "step_id", "path", "scope", "attempt", "name", "service", "action",
    "input", "error", "started_at", "fence", "retry_base", "retry_since", *COUNTERS,
)  # fmt: skip
# What a claim has to know of an execution, and the names that it has beside the step's columns.
_EXECUTION = {
    "workflow_name": "workflow",
    "started_at": "began",
    "version_id": "version",
    "correlation_id": "correlation",
    "last_sequence": "sequence",
    "priority": "priority",
    "deadline_at": "deadline",
    "input": "run_input",
    "context": "run_context",
}
_DOCUMENTS = ("input", "context")
_COLUMNS = (*_CLAIMED, *_EXECUTION.values(), "is_first", "registry")
# The newest change of the registry: who is called is as it was then, or later.
_REGISTRY = f'(SELECT MAX("index") FROM {RegistryChange._meta.db_table})'
_SETTLED = ", ".join(f"'{status}'" for status in SETTLED_STATUSES)
_TAKE = (
    "UPDATE workflow_step SET status = 'RUNNING', wake_at = NULL, lease_owner = %s,"
    " lease_until = %s, fence = fence + 1, started_at = COALESCE(started_at, %s), updated_at = %s"
)
_BEGIN = (
    "UPDATE workflow_execution SET status = 'RUNNING', updated_at = %s,"
    " started_at = COALESCE(started_at, %s)"
    " WHERE status IN ('PENDING', 'WAITING') AND"
)
# An execution, a scope of it, and the container in that scope that a row is in, or ''.
View = tuple[str, str, str]


def _of_execution(outside: str) -> str:
    """Columns of executions: with the documents where rows outside of branches are claimed."""
    named = (f"CASE WHEN {outside} THEN {c} END" if c in _DOCUMENTS else c for c in _EXECUTION)
    return ", ".join(named)


@lru_cache(maxsize=16)
def _take_and_begin(due: str) -> str:
    """One statement that claims the rows of `due`, begins their executions and tells of both.

    An execution is told of as it was when the statement began: what of it is read never changes,
    but for the number of its last event, and an older one only makes an EVENT look once more.
    `is_first` is a row outside of branches before which nothing ended there.
    """
    taken = ", ".join(f"taken.{column}" for column in _CLAIMED)
    about = _of_execution("taken.scope = ''")
    return (
        # PostgreSQL guesses that a CTE has a hundred rows, and would read a whole table to meet it.
        f"{due}, taken AS ({_TAKE} WHERE workflow_step.id = ANY(ARRAY(SELECT id FROM due))"
        f" RETURNING {', '.join(f'workflow_step.{column}' for column in _CLAIMED)}),"
        f" begun AS ({_BEGIN} id = ANY(ARRAY(SELECT execution_id FROM taken)))"
        f" SELECT {taken}, e.*, {_REGISTRY} FROM taken CROSS JOIN LATERAL"
        f" (SELECT {about}, taken.scope = '' AND NOT EXISTS (SELECT FROM workflow_step s"
        " WHERE s.execution_id = taken.execution_id AND s.scope = ''"
        f" AND s.status IN ({_SETTLED}))"
        # Not to be joined with all that there are.
        " FROM workflow_execution WHERE id = taken.execution_id OFFSET 0) e"
    )


class Claimer:
    """Claims for one worker, in the transaction at hand or in one of its own."""

    def __init__(
        self,
        dialect: Dialect,
        cursor: Any,
        memory: WorkerCache,
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
        select = select_quarantined if self._suspects else select_due
        due, params = select(self._dialect, self._dialect.time(self._now), room)
        return self._take(due, params)

    def _take(self, due: str, params: Sequence[Any]) -> list[Any]:
        """Claim the rows of the table expression `due`; give `_COLUMNS` of each."""
        stamp = self._dialect.time(self._now)
        until = self._dialect.time(self._now + self._lease)
        given = [*params, self._owner, until, stamp, stamp]
        if not self._dialect.is_postgres:
            returned = ", ".join(f"workflow_step.{c}" for c in _CLAIMED)
            among = "FROM due WHERE workflow_step.id = due.id"
            self._cursor.execute(f"{due} {_TAKE} {among} RETURNING {returned}", given)
            return self._with_executions(self._cursor.fetchall(), stamp)
        self._cursor.execute(_take_and_begin(due), [*given, stamp, stamp])
        return list(self._cursor.fetchall())

    def _with_executions(self, rows: Sequence[Any], stamp: Any) -> list[Any]:
        """Begin the executions of claimed rows, and add what is known of them to each."""
        place, scope = _CLAIMED.index("execution_id"), _CLAIMED.index("scope")
        where, params = self._dialect.among("id", {row[place] for row in rows})
        self._cursor.execute(f"{_BEGIN} {where}", [stamp, stamp, *params])
        outside, of_outside = self._dialect.among("id", {r[place] for r in rows if not r[scope]})
        self._cursor.execute(
            f"SELECT id, {_REGISTRY}, {_of_execution(outside)} FROM workflow_execution"
            f" WHERE {where}",
            [*of_outside, *of_outside, *params],
        )
        found = {key: (*about, False, newest) for key, newest, *about in self._cursor.fetchall()}
        return [(*row, *found[row[place]]) for row in rows]

    def _load(self, rows: Sequence[Any], done: Committed) -> None:
        records = [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
        for record in records:
            record["id"] = key_of(record["id"])
            record["execution_id"] = key_of(record["execution_id"])
        seeing = [r for r in records if not (r["is_first"] or is_compensation(r["path"]))]
        # Both are sent before one is read, so that they may share an exchange.
        documents, sent = self._ask_for_documents(records)
        outcomes, places, asked = self._ask_for_outcomes(seeing)
        self._read_documents(sent, documents)
        outcomes |= self._read_outcomes(asked, places)
        made: list[Claim] = []
        for record in records:
            run = self._run_of(record, documents[record["execution_id"]])
            claim = Claim(run, _row_of(record), record["fence"], self._now, record["correlation"])
            definition = self._memory.definition(self._dialect, self._cursor, record["version"])
            if isinstance(definition, DefinitionError):
                done.broken.append(Broken(claim, definition))
                continue
            run.definition = definition
            self._look_around(claim, record, outcomes)
            made.append(claim)
        load_facts(self._dialect, self._cursor, made)
        done.claims.extend(made)

    def _ask_for_documents(
        self, records: Sequence[Mapping[str, Any]]
    ) -> tuple[dict[str, dict[str, Any]], Any]:
        """The input and context of each execution that are at hand; send for the others.

        Rows in branches come without them: each of ten thousand elements would bring the same.
        """
        documents: dict[str, dict[str, Any]] = {}
        missing: set[str] = set()
        for record in records:
            key = record["execution_id"]
            if key in documents:
                continue
            if record["run_input"] is not None:
                documents[key] = {n: read_json(record[_EXECUTION[n]]) or {} for n in _DOCUMENTS}
            elif known := self._memory.documents.get(key):
                documents[key] = known
            else:
                missing.add(key)
        missing -= documents.keys()
        if not missing:
            return documents, None
        where, params = self._dialect.among("id", missing)
        return documents, send(
            f"SELECT id, {', '.join(_DOCUMENTS)} FROM workflow_execution WHERE {where}", params
        )

    def _read_documents(self, sent: Any, documents: dict[str, dict[str, Any]]) -> None:
        for key, *texts in sent.fetchall() if sent is not None else ():
            found = {n: read_json(t) or {} for n, t in zip(_DOCUMENTS, texts, strict=True)}
            documents[key_of(key)] = found
            self._memory.documents.keep(key_of(key), found, size=sum(map(size_of, texts)))

    def _ask_for_outcomes(
        self, records: Iterable[Mapping[str, Any]]
    ) -> tuple[dict[View, list[StepOutcome]], set[View], Any]:
        """Send for what the steps came to that the claimed rows can see.

        What of it is known, by execution, scope, and the container in that scope that the claimed
        row is in, or ''; what is not; and where the answer is to be read.
        """
        found: dict[View, list[StepOutcome]] = {}
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
            f" WHERE s.status IN ({_SETTLED}){only}"
            " ORDER BY s.completed_at, s.id",
            [*params, *ids],
        )
        return found, wanted, sent

    def _read_outcomes(self, sent: Any, wanted: set[View]) -> dict[View, list[StepOutcome]]:
        """The outcomes that were sent for, each view in the order of their end."""
        if sent is None:
            return {}
        read: dict[tuple[str, str], list[StepOutcome]] = {}
        sizes: dict[tuple[str, str], int] = {}
        for execution, scope, step_id, path, status, output, error in sent.fetchall():
            place = (key_of(execution), scope)
            outcome = StepOutcome(step_id, path, status, read_json(output), read_json(error))
            read.setdefault(place, []).append(outcome)
            sizes[place] = sizes.get(place, 0) + size_of(output) + size_of(error)
        found = {}
        for key in wanted:
            found[key] = read.get(key[:2], [])
            if key[2]:
                self._memory.surroundings.keep(key, found[key], size=sizes.get(key[:2], 0))
        return found

    def _run_of(self, record: Mapping[str, Any], documents: Mapping[str, Any]) -> ExecutionState:
        undoes = is_compensation(record["path"])
        return ExecutionState(
            id=record["execution_id"],
            workflow=record["workflow"],
            started_at=read_time(record["began"]) or self._now,
            input=documents["input"],
            context=documents["context"],
            definition=None,  # type: ignore[arg-type]
            # What undoes a step sees what the step saw.
            scope=scope_of(record["path"]) if undoes else record["scope"],
            sequence=record["sequence"],
            priority=record["priority"],
            deadline=read_time(record["deadline"]),
            registry=record["registry"] or 0,
        )

    def _look_around(
        self,
        claim: Claim,
        record: Mapping[str, Any],
        outcomes: Mapping[View, Iterable[StepOutcome]],
    ) -> None:
        """Put in view what the row can see."""
        run = claim.execution
        recall(
            run,
            _sight(record, outcomes),
            lambda path: self._memory.elements(self._dialect, self._cursor, run.id, path),
            step_id=claim.row.step_id,
            path=claim.row.path,
        )


def _sight(
    record: Mapping[str, Any], outcomes: Mapping[View, Iterable[StepOutcome]]
) -> Callable[[str], Iterable[StepOutcome]]:
    """The outcomes that a row can see, by scope."""
    if is_compensation(record["path"]):
        before = outcomes_before_compensation(record)
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
