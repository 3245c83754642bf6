"""Says in one statement whether a sweep has anything to do, which mostly it has not.

The words of each condition are those of its index: SQLite uses a narrow index only for what it can
read in the statement.
"""

from __future__ import annotations

from core.db.clock import clock
from core.db.signs import RowSigns
from workflows.engine.lease_recovery import NOTED_EACH

_OPEN = "'PENDING', 'RUNNING', 'WAITING', 'PAUSED'"
_TO_CLAIM = "status IN ('PENDING', 'WAITING') AND wake_at IS NOT NULL"
_WORK = RowSigns(
    held="SELECT 1 FROM workflow_step WHERE status = 'RUNNING'",
    overdue=(
        f"SELECT 1 FROM workflow_execution WHERE deadline_at < %(now)s AND status IN ({_OPEN})"
    ),
    children=(
        f"SELECT 1 FROM workflow_execution WHERE parent_step_id IS NOT NULL AND status IN ({_OPEN})"
    ),
    queued=("SELECT 1 FROM workflow_execution WHERE queued_at IS NOT NULL AND status = 'PENDING'"),
    bulk="SELECT 1 FROM bulk_operation WHERE status = 'RUNNING'",
    waiting=f"SELECT 1 FROM workflow_step WHERE {_TO_CLAIM}",
    dead="SELECT 1 FROM workflow_step WHERE deaths > 0 AND status IN ('PENDING', 'WAITING')",
    sweep=(
        "SELECT 1 FROM worker WHERE name = %(worker)s"
        " AND (swept_at IS NULL OR swept_at < %(noted_before)s)"
    ),
)
_SCHEDULED = RowSigns(
    due=(
        "SELECT 1 FROM workflow_schedule"
        " WHERE enabled AND next_run_at IS NOT NULL AND next_run_at <= %(now)s"
    ),
    open="SELECT 1 FROM workflow_schedule_run WHERE outcome IN ('PENDING', 'QUEUED')",
)


def signs_of_work(worker: str) -> set[str]:
    """Return what there are signs of: steps held, executions overdue, and so on.

    `sweep` says that the worker of this name has not told for five seconds that it swept.
    """
    now = clock.now()
    return _WORK.seen(now=now, worker=worker, noted_before=now - NOTED_EACH)


def has_scheduled_work() -> bool:
    """Return whether a schedule is due, or a run of one is open."""
    return bool(_SCHEDULED.seen(now=clock.now()))
