"""Keeps a dry run's rows in place of the database: by id, by path and by branch."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

from workflows.decide import SETTLED_STATUSES, BranchResult, Row, StepOutcome
from workflows.models import OPEN_STEP, StepStatus


class RowMemory:
    """The rows, in the order in which they were inserted."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self._by_path: dict[str, Row] = {}
        self._by_scope: dict[str, list[Row]] = {}

    def insert(self, row: Row) -> None:
        """Keep a row; the latest at a path is the one that is found there."""
        self.rows[row.id] = self._by_path[row.path] = row
        self._by_scope.setdefault(row.scope, []).append(row)

    def at(self, path: str) -> Row:
        """Return the latest row at a path."""
        return self._by_path[path]

    def next_to_wake(self) -> Row | None:
        """Return the row whose time comes first, of those that wait for a time."""
        waking = [(row.wake_at, row.id, row) for row in self.rows.values() if row.wake_at]
        timed = [entry for entry in waking if entry[2].status == StepStatus.WAITING]
        return min(timed)[2] if timed else None

    def cancel(self, prefix: str, *, now: datetime) -> None:
        """Cancel what is open in the branches below a prefix; with none, everything."""
        for row in self.rows.values():
            if row.status in OPEN_STEP and row.scope.startswith(prefix):
                row.status, row.completed_at, row.wake_at = StepStatus.CANCELLED, now, None

    def outcomes_in(self, scope: str) -> list[StepOutcome]:
        """Return the outcomes of the steps of a branch, in the order of their end."""
        rows = [r for r in self._by_scope.get(scope, ()) if r.status in SETTLED_STATUSES]
        rows.sort(key=_when)
        return [StepOutcome(r.step_id, r.path, r.status, r.output, r.error) for r in rows]

    def results_of(self, container: Row) -> list[BranchResult]:
        """Return how each branch ended, from the last of its own rows."""
        results: list[BranchResult] = []
        for index in range(container.total):
            settled = self.outcomes_in(f"{container.path}/{index}")
            if settled:
                results.append(_result(index, settled))
        return results

    def followers(self) -> dict[str, str]:
        """Return, by the id of each row, the path of the one entered after it in its branch."""
        after: dict[str, str] = {}
        for rows in self._by_scope.values():
            for row, following in pairwise(rows):
                if following.path != row.path:
                    after[row.id] = following.path
        return after


def _result(index: int, settled: list[StepOutcome]) -> BranchResult:
    last = settled[-1]
    failed = last.status == StepStatus.FAILED and "handled" not in last.error
    outputs = [
        o.output for o in settled if o.status == StepStatus.COMPLETED and o.output is not None
    ]
    value = outputs[-1] if outputs else None
    return BranchResult(index, last.step_id, value, last.error if failed else None)


def _when(row: Row) -> tuple[bool, datetime | None, str]:
    return (row.completed_at is not None, row.completed_at, row.id)
