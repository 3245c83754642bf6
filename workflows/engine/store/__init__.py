"""The engine's SQL: one transaction per batch of outcomes, claims and renewals.

A claim is a conditional update that raises the row's fence; a write that names an older fence
changes nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg
from django.db import DatabaseError, connection

from core.db.pipeline import has_own_session, one_statement, pipelined_transaction, prepared_cursor
from workflows.engine.database_clock import DatabaseClock
from workflows.engine.store.batch import Batch, Broken, Claim, Committed, Settled
from workflows.engine.store.claimer import Claimer
from workflows.engine.store.dialect import Dialect, is_key
from workflows.engine.store.fast_path import is_straight, record_straight
from workflows.engine.store.recorder import Recorder
from workflows.engine.store.worker_cache import WorkerCache
from workflows.models import Worker

__all__ = ["Batch", "Broken", "Claim", "Committed", "Settled", "Store", "is_key"]


# Without the second, what has to be read whole would be compiled first.
_SETTINGS = {"enable_seqscan": "off", "jit": "off", "plan_cache_mode": "force_generic_plan"}
TUNING = "; ".join(f"SET {name} = {value}" for name, value in _SETTINGS.items())
_UNTUNING = "; ".join([*(f"RESET {name}" for name in _SETTINGS), "DISCARD PLANS"])
_FOR_TRANSACTION = "SELECT " + ", ".join(
    f"set_config('{name}', '{value}', true)" for name, value in _SETTINGS.items()
)


class Store:
    """Reads and writes for one worker, from one thread."""

    def __init__(self, *, owner: str, lease_seconds: float, suspects: bool = False) -> None:
        self.owner = owner
        self._suspects = suspects
        self.lease = timedelta(seconds=lease_seconds)
        self._dialect = Dialect()
        self._memory = WorkerCache()
        self.clock = DatabaseClock()
        # The connection that was looked at, and whether its session is ours alone.
        self._connection: Any = None
        self._owns_session = True

    # Time: the engine measures the clock itself, and lives with the last offset in an outage.

    def measure_clock(self) -> None:
        """Learn how far this machine's clock is from the database's."""
        self.clock.measure()

    def now(self) -> datetime:
        """The database's time."""
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

    def _tune(self) -> None:
        """Have PostgreSQL plan each statement once, for large tables, on each new connection.

        A plan made while the tables are all but empty would read them whole, and be kept while they
        grow. Left to itself PostgreSQL plans statements about a list of ids anew each time, since
        it takes each list to be longer than it is; that takes as long as running them.
        """
        if not self._dialect.is_postgres or connection.in_atomic_block:
            return
        connection.ensure_connection()
        if connection.connection is self._connection:
            return
        self._owns_session = has_own_session(connection.connection)
        if self._owns_session:
            connection.connection.execute(TUNING, prepare=False)
        self._connection = connection.connection

    @contextlib.contextmanager
    def _transaction(self, *, several: bool) -> Iterator[None]:
        """A transaction, or none around one statement, in which statements are planned so.

        Where a pooler lends its sessions to others between transactions, the settings are of the
        transaction alone.
        """
        own = self._owns_session or not self._dialect.is_postgres
        with one_statement() if own and not several else pipelined_transaction():
            if not own:
                with prepared_cursor() as cursor:
                    cursor.execute(_FOR_TRANSACTION)
            yield

    def close_connection(self) -> None:
        """Give the connection of this thread back as it was; whoever has it next plans as usual."""
        tuned = connection.connection
        if tuned is not None and tuned is self._connection and self._owns_session:
            try:
                tuned.execute(_UNTUNING, prepare=False)
            except psycopg.Error:
                tuned.close()
        self._connection = None
        connection.close()

    def commit(self, batch: Batch) -> Committed:
        """Do a whole batch, or nothing of it; what it says is `left` is still to be done."""
        self._tune()
        done = Committed()
        now = self.now()
        if is_straight(self._dialect, batch):
            with self._transaction(several=False):
                done.left = record_straight(
                    self._dialect, batch.settled, done, owner=self.owner, lease=self.lease, now=now
                )
            return done
        # A claim alone is one statement, which is its own transaction.
        several = bool(batch.settled or batch.renew)
        with self._transaction(several=several), prepared_cursor() as cursor:
            if batch.settled:
                recorder = Recorder(
                    self._dialect, cursor, owner=self.owner, lease=self.lease, now=now
                )
                recorder.record(batch, done)
            if batch.renew:
                self._renew(cursor, batch.renew, done, now)
            if batch.wanted or batch.look or done.ready:
                claimer = Claimer(
                    self._dialect,
                    cursor,
                    self._memory,
                    owner=self.owner,
                    lease=self.lease,
                    now=now,
                    suspects=self._suspects,
                )
                claimer.claim(batch, done)
        return done

    def _renew(self, cursor: Any, claims: Sequence[Claim], done: Committed, now: datetime) -> None:
        rows = [{"id": c.row.id, "fence": c.fence} for c in claims]
        source, params = self._dialect.source(("id", "fence"), rows)
        where, ids = self._dialect.only("workflow_step.id", [c.row.id for c in claims])
        cursor.execute(
            f"UPDATE workflow_step SET lease_until = %s FROM {source} WHERE workflow_step.id = v.id"
            " AND workflow_step.fence = v.fence AND workflow_step.status = 'RUNNING'"
            f"{where} RETURNING workflow_step.id",
            [self._dialect.time(now + self.lease), *params, *ids],
        )
        held = {found for (found,) in cursor.fetchall()}
        done.lost.extend(c for c in claims if self._dialect.id(c.row.id) not in held)
        for claim in claims:
            claim.claimed_at = now
