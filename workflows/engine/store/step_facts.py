"""What only some kinds of steps ask for: branches that ended, signals not yet taken, a child."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workflows.decide import SETTLED_STATUSES, BranchResult, ChildExecution, Facts, Signal
from workflows.engine.store.batch import Claim
from workflows.engine.store.dialect import Dialect, key_of, read_json
from workflows.step_paths import is_compensation


def load_facts(dialect: Dialect, cursor: Any, claims: Sequence[Claim]) -> None:
    """Give each claim the facts that its kind asks for; most ask for none."""
    for claim in claims:
        if is_compensation(claim.row.path):
            continue
        kind = claim.execution.definition.steps[claim.row.step_id].kind
        if kind in ("PARALLEL", "MAP") and claim.row.total:
            claim.execution.facts = Facts(results=_load_results(dialect, cursor, claim))
        elif kind == "EVENT":
            claim.execution.facts = Facts(signals=_load_signals(dialect, cursor, claim))
        elif kind == "WORKFLOW":
            claim.execution.facts = Facts(child=_load_child(dialect, cursor, claim))


def _load_results(dialect: Dialect, cursor: Any, claim: Claim) -> list[BranchResult]:
    """How each branch that has ended did so, from the last of its own rows."""
    prefix = f"{claim.row.path}/"
    cursor.execute(
        "SELECT scope, step_id, status, output, error FROM workflow_step"
        " WHERE execution_id = %s AND substr(scope, 1, %s) = %s"
        " AND status <> 'CANCELLED' ORDER BY completed_at, id",
        [dialect.id(claim.execution.id), len(prefix), prefix],
    )
    found: dict[int, BranchResult] = {}
    going_on: set[int] = set()
    for scope, step_id, status, output, error in cursor.fetchall():
        index = scope.removeprefix(prefix)
        if not index.isdigit():
            continue  # inside a branch of a branch
        if status not in SETTLED_STATUSES:
            going_on.add(int(index))
            continue
        described = read_json(error) if status == "FAILED" else None
        failure = described if described and "handled" not in described else None
        before = found.get(int(index))
        value = read_json(output) if status == "COMPLETED" else None
        if value is None and before is not None:
            value = before.output
        found[int(index)] = BranchResult(int(index), step_id, value, failure)
    # What a branch gave so far is not yet what it came to.
    return [result for index, result in found.items() if index not in going_on]


def _load_signals(dialect: Dialect, cursor: Any, claim: Claim) -> list[Signal]:
    """Signals in their order, without those that another EVENT step took."""
    taken = taken_signals(dialect, cursor, claim)
    cursor.execute(
        "SELECT sequence, payload FROM workflow_event"
        " WHERE execution_id = %s AND kind = 'SIGNAL' ORDER BY sequence",
        [dialect.id(claim.execution.id)],
    )
    found = [(sequence, read_json(payload)) for sequence, payload in cursor.fetchall()]
    return [Signal(n, p["name"], p.get("payload")) for n, p in found if n not in taken]


def taken_signals(dialect: Dialect, cursor: Any, claim: Claim) -> set[Any]:
    """The places of the signals that EVENT steps of this execution took."""
    events = [s.id for s in claim.execution.definition.steps.values() if s.kind == "EVENT"]
    marks = ", ".join("%s" for _ in events)
    cursor.execute(
        "SELECT input FROM workflow_step WHERE execution_id = %s AND status = 'COMPLETED'"
        f" AND step_id IN ({marks})",
        [dialect.id(claim.execution.id), *events],
    )
    return {(read_json(row[0]) or {}).get("taken") for row in cursor.fetchall()}


def _load_child(dialect: Dialect, cursor: Any, claim: Claim) -> ChildExecution | None:
    cursor.execute(
        "SELECT id, status, output, errors FROM workflow_execution WHERE parent_step_id = %s",
        [dialect.id(claim.row.id)],
    )
    found = cursor.fetchone()
    if found is None:
        return None
    key, status, output, errors = found
    return ChildExecution(key_of(key), status, read_json(output), read_json(errors) or [])
