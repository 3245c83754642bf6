"""Claiming rows, and loading what deciding needs to know of their executions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from core.failpoints import failpoint
from workflows.decide import ExecutionState, Row, StepOutcome, recall
from workflows.definition import DefinitionError
from workflows.definition.step_paths import is_compensation, scope_of, visible_scopes
from workflows.definition_cache import definition_with_id
from workflows.engine.store.batch import COUNTERS, Batch, Broken, Claim, Committed
from workflows.engine.store.claim_sql import COLUMNS, DOCUMENTS, EXECUTION, SETTLED
from workflows.engine.store.compensation import outcomes_before_compensation
from workflows.engine.store.dialect import key_of, read_json, read_time, size_of
from workflows.engine.store.due_query import LOCK, due_among, due_in_quarantine
from workflows.engine.store.step_facts import load_facts
from workflows.engine.store.transaction import Transaction
from workflows.engine.store.worker_cache import WorkerCache
from workflows.models import StepStatus

# An execution, a scope of it, and the container in that scope that a row is in, or ''.
View = tuple[str, str, str]
Documents = dict[str, dict[str, Any]]


class Claimer:
    """Claims for one worker, in the transaction at hand or in one of its own."""

    def __init__(
        self, transaction: Transaction, cache: WorkerCache, *, quarantine: bool = False
    ) -> None:
        self._transaction = transaction
        self._dialect = transaction.dialect
        self._cache = cache
        self._quarantine = quarantine

    def claim(self, batch: Batch, committed: Committed) -> None:
        """Claim the rows that are named and those that this batch made ready, or whatever is due.

        Named rows are all claimed, or else the most urgent of all: a burst of starts must not take
        the last places from what comes before it.
        """
        room = batch.room - len(committed.claims)
        wanted = [*committed.ready, *batch.wanted]
        failpoint("C3")
        rows: list[Any] = []
        if room > 0 and (batch.look or len(wanted) > room):
            rows = self._take(self._due(), room)
        elif room > 0 and wanted:
            rows = self._take(self._due_among(), room, ids=self._dialect.ids(wanted))
        committed.filled = len(rows) >= room and bool(wanted or batch.look)
        if rows:
            self._load(rows, committed)

    def _due(self) -> str:
        if self._quarantine:
            return due_in_quarantine(self._dialect.lock(LOCK))
        return self._dialect.due()

    def _due_among(self) -> str:
        lock, among = self._dialect.lock(LOCK), self._dialect.among("s.id")
        return due_among(among, lock, quarantine=self._quarantine)

    def _take(self, due: str, room: int, **params: Any) -> list[Any]:
        return self._dialect.take(
            self._transaction,
            due,
            room=room,
            owner=self._transaction.owner,
            lease_end=self._transaction.lease_end(),
            **params,
        )

    def _load(self, rows: Sequence[Any], committed: Committed) -> None:
        records = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
        for record in records:
            record["id"] = key_of(record["id"])
            record["execution_id"] = key_of(record["execution_id"])
        seeing = [r for r in records if not (r["is_first"] or is_compensation(r["path"]))]
        # Both are sent before one is read, so that they may share an exchange.
        documents, documents_answer = self._ask_for_documents(records)
        outcomes, views, outcomes_answer = self._ask_for_outcomes(seeing)
        self._read_documents(documents_answer, documents)
        outcomes |= self._read_outcomes(outcomes_answer, views)
        claims: list[Claim] = []
        for record in records:
            execution = self._state_of(record, documents[record["execution_id"]])
            correlation = record["correlation"]
            row, now = _row_of(record), self._transaction.now
            version = record["version"]
            claim = Claim(execution, row, record["fence"], now, correlation, version)
            try:
                execution.definition = definition_with_id(version)
            except DefinitionError as error:
                committed.broken.append(Broken(claim, error))
                continue
            self._look_around(claim, record, outcomes)
            claims.append(claim)
        load_facts(self._transaction, claims)
        committed.claims.extend(claims)

    def _ask_for_documents(self, records: Sequence[Mapping[str, Any]]) -> tuple[Documents, Any]:
        """Return the input and context of each execution that are at hand; send for the others.

        Rows in branches come without them: each of ten thousand elements would bring the same.
        """
        documents: Documents = {}
        missing: set[str] = set()
        for record in records:
            key = record["execution_id"]
            if key in documents:
                continue
            if record["execution_input"] is not None:
                documents[key] = {n: read_json(record[EXECUTION[n]]) or {} for n in DOCUMENTS}
            elif cached := self._cache.documents.get(key):
                documents[key] = cached
            else:
                missing.add(key)
        missing -= documents.keys()
        if not missing:
            return documents, None
        columns, where = ", ".join(DOCUMENTS), self._dialect.among("id")
        return documents, self._transaction.send(
            f"SELECT id, {columns} FROM workflow_execution WHERE {where}",
            ids=self._dialect.ids(missing),
        )

    def _read_documents(self, answer: Any, documents: Documents) -> None:
        for key, *texts in answer.fetchall() if answer is not None else ():
            read = {n: read_json(t) or {} for n, t in zip(DOCUMENTS, texts, strict=True)}
            documents[key_of(key)] = read
            self._cache.documents.add(key_of(key), read, size=sum(map(size_of, texts)))

    def _ask_for_outcomes(
        self, records: Iterable[Mapping[str, Any]]
    ) -> tuple[dict[View, list[StepOutcome]], set[View], Any]:
        """Send for the outcomes of steps that the claimed rows can see.

        Returns those that are cached, the views that are not, and the cursor of their answer.
        """
        outcomes: dict[View, list[StepOutcome]] = {}
        views = {view for r in records for view in _views(r["execution_id"], r["scope"])}
        for view in views:
            cached = self._cache.surroundings.get(view) if view[2] else None
            if cached is not None:
                outcomes[view] = cached
        views -= outcomes.keys()
        scopes = {view[:2] for view in views}
        if not scopes:
            return outcomes, views, None
        columns = ("execution_id", "scope")
        answer = self._transaction.send(
            f"""
            SELECT s.execution_id, s.scope, s.step_id, s.path, s.status, s.output, s.error
            FROM workflow_step s JOIN {self._dialect.rows(columns)}
              ON s.execution_id = v.execution_id AND s.scope = v.scope
            WHERE s.status IN ({SETTLED}){self._dialect.only("s.execution_id")}
            ORDER BY s.completed_at, s.id""",
            rows=self._dialect.encode_rows(
                columns, (dict(zip(columns, s, strict=True)) for s in scopes)
            ),
            ids=self._dialect.ids(execution for execution, _ in scopes),
        )
        return outcomes, views, answer

    def _read_outcomes(self, answer: Any, views: set[View]) -> dict[View, list[StepOutcome]]:
        """Return the outcomes that were sent for, each view in the order of their end."""
        if answer is None:
            return {}
        read: dict[tuple[str, str], list[StepOutcome]] = {}
        sizes: dict[tuple[str, str], int] = {}
        for execution, scope, step_id, path, status, output, error in answer.fetchall():
            place = (key_of(execution), scope)
            outcome = StepOutcome(step_id, path, status, read_json(output), read_json(error))
            read.setdefault(place, []).append(outcome)
            sizes[place] = sizes.get(place, 0) + size_of(output) + size_of(error)
        outcomes = {}
        for view in views:
            outcomes[view] = read.get(view[:2], [])
            if view[2]:
                size = sizes.get(view[:2], 0)
                self._cache.surroundings.add(view, outcomes[view], size=size)
        return outcomes

    def _state_of(self, record: Mapping[str, Any], documents: Mapping[str, Any]) -> ExecutionState:
        path = record["path"]
        return ExecutionState(
            id=record["execution_id"],
            workflow=record["workflow"],
            started_at=read_time(record["began"]) or self._transaction.now,
            input=documents["input"],
            context=documents["context"],
            definition=None,  # type: ignore[arg-type]
            # A compensation sees what its step saw.
            scope=scope_of(path) if is_compensation(path) else record["scope"],
            sequence=record["sequence"],
            priority=record["priority"],
            deadline=read_time(record["deadline"]),
            registry=record["registry"] or 0,
            started_by=record["started_by"],
        )

    def _look_around(
        self,
        claim: Claim,
        record: Mapping[str, Any],
        outcomes: Mapping[View, Iterable[StepOutcome]],
    ) -> None:
        """Put in view what the row can see."""
        execution = claim.execution
        recall(
            execution,
            _sight(record, outcomes),
            lambda path: self._cache.elements(self._transaction, execution.id, path),
            step_id=claim.row.step_id,
            path=claim.row.path,
        )


def _sight(
    record: Mapping[str, Any], outcomes: Mapping[View, Iterable[StepOutcome]]
) -> Callable[[str], Iterable[StepOutcome]]:
    """Return what gives the outcomes that a row can see in a scope."""
    if is_compensation(record["path"]):
        before = outcomes_before_compensation(record)
        return lambda scope: before.get(scope, ())
    views = {view[1]: view for view in _views(record["execution_id"], record["scope"])}
    return lambda scope: outcomes.get(views[scope], ())


def _views(execution: str, scope: str) -> list[View]:
    """Return the scopes that a row can see, outermost first, each with its container there.

    Of a row in `each/3/both/0`: ('', 'each'), ('each/3', 'each/3/both'), ('each/3/both/0', '').
    """
    scopes = visible_scopes(scope)
    containers = [inner.rpartition("/")[0] for inner in scopes[1:]]
    return [(execution, *view) for view in zip(scopes, [*containers, ""], strict=True)]


def _row_of(record: Mapping[str, Any]) -> Row:
    same = ("id", "step_id", "path", "scope", "attempt", "name", "service", "action", "retry_base")
    return Row(
        **{name: record[name] for name in (*same, *COUNTERS)},
        status=StepStatus.RUNNING,
        input=read_json(record["input"]),
        error=read_json(record["error"]),
        started_at=read_time(record["started_at"]),
        retry_since=read_time(record["retry_since"]),
    )
