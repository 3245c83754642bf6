"""The engine's SQL: one transaction per batch of outcomes, claims and renewals.

A claim is a conditional update that raises the row's fence; a write that names an older fence
changes nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import DatabaseError, connection

from core.db.clock import DatabaseClock
from core.db.pipeline import prepared_cursor
from workflows.engine.store.batch import Batch, Broken, Claim, Committed, Settled
from workflows.engine.store.claimer import Claimer
from workflows.engine.store.dialect import is_key, own_dialect
from workflows.engine.store.fast_path import record_in_one, takes_fast_path
from workflows.engine.store.planner_settings import PlannerSettings
from workflows.engine.store.recorder import Recorder
from workflows.engine.store.transaction import Transaction
from workflows.engine.store.worker_cache import WorkerCache
from workflows.models import Worker

__all__ = ["Batch", "Broken", "Claim", "Committed", "Settled", "Store", "is_key"]


class Store:
    """Reads and writes for one worker, from one thread."""

    def __init__(self, *, owner: str, lease_seconds: float, quarantine: bool = False) -> None:
        self.owner = owner
        self.quarantine = quarantine
        self._lease = timedelta(seconds=lease_seconds)
        self._dialect = own_dialect()
        self._cache = WorkerCache()
        self.clock = DatabaseClock()
        self._planner_settings = PlannerSettings()

    # Time: the engine measures the clock itself, and lives with the last offset in an outage.

    def measure_clock(self) -> None:
        """Learn how far this machine's clock is from the database's."""
        self.clock.measure()

    def now(self) -> datetime:
        """Return the database's time."""
        return self.clock.estimate()

    # The worker itself

    def show_worker(self, *, in_flight: int) -> None:
        """Tell that this worker is alive."""
        Worker.objects.update_or_create(
            name=self.owner, defaults={"in_flight": in_flight, "seen_at": self.now()}
        )

    def forget_worker(self) -> None:
        """Tell that it left, if the database still answers."""
        with contextlib.suppress(DatabaseError):
            Worker.objects.filter(name=self.owner).delete()

    # The transaction

    def close_connection(self) -> None:
        """Give the connection of this thread back as it was."""
        self._planner_settings.release()
        connection.close()

    def commit(self, batch: Batch) -> Committed:
        """Do a whole batch, or nothing of it; what is `left` is still to be done."""
        self._planner_settings.apply()
        committed = Committed()
        in_one = self._dialect.has_fast_path and takes_fast_path(batch)
        # A claim alone is one statement, which is its own transaction.
        several = bool(batch.settled or batch.renew) and not in_one
        with self._planner_settings.transaction(several=several), prepared_cursor() as cursor:
            transaction = Transaction(self._dialect, cursor, self.owner, self._lease, self.now())
            if in_one:
                record_in_one(batch, committed, transaction)
                return committed
            if batch.settled:
                Recorder(transaction, committed).record(batch)
            if batch.renew:
                _renew(batch.renew, committed, transaction)
            if batch.wanted or batch.look or committed.ready:
                claimer = Claimer(transaction, self._cache, quarantine=self.quarantine)
                claimer.claim(batch, committed)
        return committed


def _renew(claims: Sequence[Claim], committed: Committed, transaction: Transaction) -> None:
    dialect, columns = transaction.dialect, ("id", "fence")
    answer = transaction.execute(
        f"""
        UPDATE workflow_step SET lease_until = %(lease_end)s FROM {dialect.rows(columns)}
        WHERE workflow_step.id = v.id AND workflow_step.fence = v.fence
          AND workflow_step.status = 'RUNNING'{dialect.only("workflow_step.id")}
        RETURNING workflow_step.id""",
        lease_end=transaction.lease_end(),
        rows=dialect.encode_rows(columns, ({"id": c.row.id, "fence": c.fence} for c in claims)),
        ids=dialect.ids(c.row.id for c in claims),
    )
    held = {step for (step,) in answer.fetchall()}
    committed.lost.extend(c for c in claims if dialect.id(c.row.id) not in held)
    for claim in claims:
        claim.claimed_at = transaction.now
