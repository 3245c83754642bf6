"""The columns of a step as the engine writes them, when it ends and when it begins."""

from __future__ import annotations

from typing import Any

from core.db.uuid7 import uuid7
from workflows.decide import ExecutionState, Finish, Row
from workflows.engine.store.batch import COUNTERS
from workflows.engine.store.transaction import Transaction
from workflows.models import StepStatus

SETTLED = (
    "id", "fence", "status", "service", "instance", "input", "output", "error", "warnings",
    "started_at", "completed_at", "wake_at", *COUNTERS,
)  # fmt: skip
INSERTED = (
    "id", "execution_id", "step_id", "path", "scope", "attempt", "name", "status", "service",
    "instance", "action", "input", "output", "error", "warnings", "started_at", "completed_at",
    "wake_at",
    "held_wake_at", "lease_owner", "lease_until", "fence", "priority", "retry_base", "retry_since",
    *COUNTERS,
)  # fmt: skip


def settled_values(row: Row, fence: int) -> dict[str, Any]:
    """Return what is written for an outcome; `fence` is the one that the claim held."""
    return {**{name: getattr(row, name) for name in SETTLED}, "fence": fence}


def follower_values(execution: ExecutionState, row: Row) -> dict[str, Any]:
    """Return what is inserted for a row that nobody holds."""
    values = {name: getattr(row, name, None) for name in INSERTED}
    values.update(
        execution_id=execution.id,
        priority=execution.priority,
        lease_owner="",
        lease_until=None,
        fence=0,
    )
    return values


def taken_by(transaction: Transaction) -> dict[str, Any]:
    """Return what is inserted instead for one that its worker goes on with at once."""
    return {
        "status": StepStatus.RUNNING,
        "started_at": transaction.now,
        "wake_at": None,
        "lease_owner": transaction.owner,
        "lease_until": transaction.now + transaction.lease,
        "fence": 1,
    }


def end_values(execution: str, finish: Finish) -> dict[str, Any]:
    """Return how an execution ends and the event that tells of it, but for its number."""
    errors = list(finish.errors)
    return {
        "id": str(uuid7()),
        "execution_id": execution,
        "status": finish.status,
        "output": finish.output,
        "errors": errors,
        "payload": {"errors": errors} if errors else {},
    }
