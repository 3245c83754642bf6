"""The columns of a step as the engine writes them, when it ends and when it begins."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from core.db.uuid7 import uuid7
from workflows.decide import ExecutionState, Finish, Row
from workflows.engine.store.batch import COUNTERS

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
# What is set from a `source` of settled rows, which is named `v`. The fence is written too: the
# same number, unless a stale holder gets here, and then check_invariants sees it. A row that waits
# now has outlived its worker: it is under no suspicion any more.
SETTLED_SETS = (
    ", ".join(f"{c} = v.{c}" for c in SETTLED if c != "id")
    + ", lease_owner = '', lease_until = NULL, deaths = CASE"
    " WHEN v.status IN ('PENDING', 'WAITING') THEN 0 ELSE workflow_step.deaths END"
)


def follower_values(run: ExecutionState, row: Row) -> dict[str, Any]:
    """What is inserted for a row that nobody holds."""
    values = {name: getattr(row, name, None) for name in INSERTED}
    values.update(
        execution_id=run.id, priority=run.priority, lease_owner="", lease_until=None, fence=0
    )
    return values


def taken_by(owner: str, *, lease: timedelta, now: datetime) -> dict[str, Any]:
    """What is inserted instead for one that its worker goes on with at once."""
    return {
        "status": "RUNNING",
        "started_at": now,
        "wake_at": None,
        "lease_owner": owner,
        "lease_until": now + lease,
        "fence": 1,
    }


def end_values(execution: str, finish: Finish) -> dict[str, Any]:
    """How an execution ends, and the event that tells of it: all but its place in the order."""
    errors = list(finish.errors)
    return {
        "id": str(uuid7()),
        "execution_id": execution,
        "status": finish.status,
        "output": finish.output,
        "errors": errors,
        "payload": {"errors": errors} if errors else {},
    }
