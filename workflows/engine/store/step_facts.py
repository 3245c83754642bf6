"""Facts that only some kinds of steps need: branches that ended, signals not yet taken, a child."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workflows.decide import SETTLED_STATUSES, BranchResult, ChildExecution, Facts, Signal
from workflows.definition.step_paths import is_compensation
from workflows.engine.store.batch import Claim
from workflows.engine.store.dialect import key_of, read_json
from workflows.engine.store.transaction import Transaction
from workflows.models import StepStatus


def load_facts(transaction: Transaction, claims: Sequence[Claim]) -> None:
    """Give each claim the facts that its kind asks for; most ask for none."""
    for claim in claims:
        if is_compensation(claim.row.path):
            continue
        kind = claim.execution.definition.steps[claim.row.step_id].kind
        if kind in ("PARALLEL", "MAP") and claim.row.total:
            claim.execution.facts = Facts(results=_load_results(transaction, claim))
        elif kind == "EVENT":
            claim.execution.facts = Facts(signals=_load_signals(transaction, claim))
        elif kind == "WORKFLOW":
            claim.execution.facts = Facts(child=_load_child(transaction, claim))


def _load_results(transaction: Transaction, claim: Claim) -> list[BranchResult]:
    """Return how each branch that has ended did so, from the last of its own rows."""
    prefix = f"{claim.row.path}/"
    answer = transaction.execute(
        """
        SELECT scope, step_id, status, output, error FROM workflow_step
        WHERE execution_id = %(execution)s AND substr(scope, 1, %(length)s) = %(prefix)s
          AND status <> 'CANCELLED'
        ORDER BY completed_at, id""",
        execution=transaction.dialect.id(claim.execution.id),
        prefix=prefix,
        length=len(prefix),
    )
    results: dict[int, BranchResult] = {}
    going_on: set[int] = set()
    for scope, step_id, status, output, error in answer.fetchall():
        index = scope.removeprefix(prefix)
        if not index.isdigit():
            continue  # inside a branch of a branch
        if status not in SETTLED_STATUSES:
            going_on.add(int(index))
            continue
        described = read_json(error) if status == StepStatus.FAILED else None
        failure = described if described and "handled" not in described else None
        before = results.get(int(index))
        value = read_json(output) if status == StepStatus.COMPLETED else None
        if value is None and before is not None:
            value = before.output
        results[int(index)] = BranchResult(int(index), step_id, value, failure)
    # What a branch gave so far is not yet what it came to.
    return [result for index, result in results.items() if index not in going_on]


def _load_signals(transaction: Transaction, claim: Claim) -> list[Signal]:
    """Return signals in their order, without those that another EVENT step took."""
    taken = taken_signals(transaction, claim)
    answer = transaction.execute(
        "SELECT sequence, payload FROM workflow_event"
        " WHERE execution_id = %(execution)s AND kind = 'SIGNAL' ORDER BY sequence",
        execution=transaction.dialect.id(claim.execution.id),
    )
    signals = [(sequence, read_json(payload)) for sequence, payload in answer.fetchall()]
    return [Signal(n, p["name"], p.get("payload")) for n, p in signals if n not in taken]


def taken_signals(transaction: Transaction, claim: Claim) -> set[Any]:
    """Return the sequences of the signals that EVENT steps of this execution took."""
    steps = claim.execution.definition.steps.values()
    events = {f"event_{n}": step.id for n, step in enumerate(steps) if step.kind == "EVENT"}
    answer = transaction.execute(
        "SELECT input FROM workflow_step"
        " WHERE execution_id = %(execution)s AND status = 'COMPLETED'"
        f" AND step_id IN ({', '.join(f'%({name})s' for name in events)})",
        execution=transaction.dialect.id(claim.execution.id),
        **events,
    )
    return {(read_json(row[0]) or {}).get("taken") for row in answer.fetchall()}


def _load_child(transaction: Transaction, claim: Claim) -> ChildExecution | None:
    child = transaction.execute(
        "SELECT id, status, output, errors FROM workflow_execution WHERE parent_step_id = %(step)s",
        step=transaction.dialect.id(claim.row.id),
    ).fetchone()
    if child is None:
        return None
    key, status, output, errors = child
    return ChildExecution(key_of(key), status, read_json(output), read_json(errors) or [])
