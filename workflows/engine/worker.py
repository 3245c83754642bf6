"""Runs steps in one worker process: claim, call, commit, go on.

Two threads: the database thread gathers whatever is ready (claims to make, outcomes to record,
leases to renew) and writes it in one transaction, then gathers again; the event loop makes the
calls. So a thousand steps that wait for slow services cost a thousand coroutines, and commits are
shared by whoever happens to be ready. The database holds everything needed to go on elsewhere.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from core.exceptions import IntegrationError
from core.failpoints import failpoint
from core.mediator import mediator
from registry.calls.client import ServiceClient
from registry.calls.event_loop_thread import LoopThread
from workflows import decide
from workflows.decide import CallFailure, CallSuccess, Finish
from workflows.engine.lease_recovery import mark_unreadable_for_review, release
from workflows.engine.step_call import make_call
from workflows.engine.store import Batch, Broken, Claim, Committed, Settled, Store, is_key
from workflows.engine.worker_identity import own_name
from workflows.exceptions import WorkflowError
from workflows.services.executions.concurrency_limit import dequeue_after
from workflows.services.executions.control import (
    cancel_orphan,
    fail_execution,
    fail_full_execution,
)

logger = structlog.get_logger(__name__)

LARGEST_BATCH = 200
# Fewer are claimed at once, so that a burst is shared with the other workers.
LARGEST_CLAIM = 100
LONGEST_BACKOFF = 5.0
# Decisions at once that may take long; each has a part of the processor as others do.
MOST_DECIDING = 8
# How often a worker shows itself and sets its clock by the database's.
SHOW_SECONDS = 10.0
# A step that kills its worker mostly does so at once.
HARMLESS_SECONDS = 0.5


@dataclass(slots=True)
class _Inbox:
    """The work that waits for the database thread."""

    settled: list[Settled] = field(default_factory=list)
    wanted: list[str] = field(default_factory=list)
    look: bool = False
    stop: bool = False


class Engine:
    """Runs steps until stopped. `client_factory` makes the client, used on the event loop only.

    One for the `quarantine` runs only rows whose worker died, and leaves to others what follows
    from them; any other engine runs none of them. It takes the next one when the one before has
    ended or has done no harm for a while, so that a death has one cause.
    """

    def __init__(
        self,
        *,
        max_in_flight: int | None = None,
        lease_seconds: float | None = None,
        quarantine: bool = False,
        client_factory: Callable[[], Any] = ServiceClient,
    ) -> None:
        self.owner = own_name()
        self._quarantine = quarantine
        self._room = max_in_flight or settings.ENGINE_MAX_IN_FLIGHT
        self._lease = lease_seconds or settings.ENGINE_LEASE_SECONDS
        self._client = client_factory()
        self._loop = LoopThread("engine-calls")
        self._events = ThreadPoolExecutor(1, "engine-events")
        self._deciders = ThreadPoolExecutor(MOST_DECIDING, "engine-decisions")
        self._condition = threading.Condition()
        self._inbox = _Inbox()
        # Held claims belong to the database thread, their tasks to the event loop.
        self._flights: dict[str, Claim] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopping = False
        self._shown_at = -SHOW_SECONDS
        self._store = Store(owner=self.owner, lease_seconds=self._lease, quarantine=quarantine)
        self._thread = threading.Thread(target=self._run, name="engine-database", daemon=True)

    # From outside

    @property
    def in_flight(self) -> int:
        """Return how many steps this engine holds."""
        return len(self._flights)

    def start(self) -> None:
        """Begin to claim and to call."""
        self._thread.start()
        self.look()

    def look(self, ids: Iterable[str] = ()) -> None:
        """Claim these rows if they are due, or whatever is due; what is no id names no row."""
        wanted = [key for key in ids if is_key(key)]
        with self._condition:
            self._inbox.wanted.extend(wanted)
            self._inbox.look = self._inbox.look or not wanted
            self._condition.notify_all()

    def stop(self, grace_seconds: float) -> None:
        """Claim nothing more, give calls their grace, and free the rest at once."""
        self._stopping = True
        with self._condition:
            self._condition.wait_for(lambda: not self._flights, grace_seconds)
            self._inbox.stop = True
            self._condition.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        self._events.shutdown()
        self._deciders.shutdown(wait=False, cancel_futures=True)
        self._loop.run(self._client.close())
        self._loop.stop()

    # The database thread

    def _run(self) -> None:
        batch, backoff = Batch(), 0.0
        while not self._gather(batch):
            try:
                self._show(always=backoff > 0)
                committed = self._commit(batch)
            except Exception as error:
                # The thread must not end: what it holds would wait for its leases. The batch is
                # tried again whole; what was recorded after all has a stale fence by now.
                backoff = min(LONGEST_BACKOFF, backoff * 2 or 0.1)
                logger.warning("commit_failed", error=str(error)[:500], retry_in=backoff)
                self._store.close_connection()
                self._pause(backoff)
                continue
            backoff = 0.0
            if batch.settled:
                failpoint("C7")
            self._deliver(batch, committed)
            batch = Batch(
                settled=committed.left, careful=bool(committed.left), look=committed.filled
            )
        self._wind_up(batch)

    def _show(self, *, always: bool) -> None:
        """Tell that this worker is alive, and set its clock, every ten seconds."""
        if always or time.monotonic() - self._shown_at >= SHOW_SECONDS:
            self._store.measure_clock()
            self._store.show_worker(in_flight=len(self._flights))
            self._shown_at = time.monotonic()

    def _pause(self, seconds: float) -> None:
        with self._condition:
            self._condition.wait_for(lambda: self._inbox.stop, seconds)

    def _gather(self, batch: Batch) -> bool:
        """Move what is ready into `batch`, waiting for something; True when it is time to end."""
        with self._condition:
            self._condition.wait_for(lambda: self._has_work(batch), self._renewal_seconds())
            inbox, self._inbox = self._inbox, _Inbox(stop=self._inbox.stop)
        batch.settled += inbox.settled
        batch.wanted += inbox.wanted
        batch.look = batch.look or inbox.look or len(batch.wanted) > LARGEST_BATCH
        del batch.wanted[LARGEST_BATCH:]
        batch.take = not self._stopping and not self._quarantine
        free = self._free() + len(batch.settled)
        batch.room = min(max(free, 0), LARGEST_CLAIM) if not self._stopping else 0
        batch.renew = self._due_renewals(batch)
        return inbox.stop

    def _has_work(self, batch: Batch) -> bool:
        inbox = self._inbox
        if inbox.stop or inbox.settled or batch.settled:
            return True
        wants = inbox.look or inbox.wanted or batch.look or batch.wanted
        return bool(wants) and not self._stopping and self._free() > 0

    def _free(self) -> int:
        """Return how many more steps may be held."""
        free = self._room - len(self._flights)
        if not self._quarantine:
            return free
        lately = self._store.now() - timedelta(seconds=HARMLESS_SECONDS)
        return min(free, 1 - sum(c.claimed_at > lately for c in self._flights.values()))

    def _renewal_seconds(self) -> float:
        return min(self._lease / 4, SHOW_SECONDS) if self._flights else SHOW_SECONDS

    def _due_renewals(self, batch: Batch) -> list[Claim]:
        """Claims that are older than a quarter of the lease: three more chances before it ends."""
        due = self._store.now() - timedelta(seconds=self._lease / 4)
        settled = {item.claim.row.id for item in batch.settled}
        return [c for k, c in self._flights.items() if c.claimed_at <= due and k not in settled]

    def _commit(self, batch: Batch) -> Committed:
        try:
            return self._store.commit(batch)
        except (OperationalError, InterfaceError):
            raise
        except (DatabaseError, ValueError, TypeError, RecursionError) as error:
            if not batch.settled:
                raise
            logger.warning("batch_refused", error=str(error)[:500], outcomes=len(batch.settled))
            return self._commit_one_by_one(batch)

    def _commit_one_by_one(self, batch: Batch) -> Committed:
        """Record outcomes singly: a value that the database refuses must not hold up the others."""
        committed = Committed(filled=True)
        for item in batch.settled:
            try:
                part = self._store.commit(Batch(settled=[item], take=batch.take, careful=True))
            except (OperationalError, InterfaceError):
                raise
            except (DatabaseError, ValueError, TypeError, RecursionError) as error:
                refused = _unrecordable(item.claim, error, now=self._store.now())
                part = self._store.commit(Batch(settled=[refused], take=batch.take, careful=True))
            committed.claims += part.claims
            committed.lost += part.lost
            committed.ended += part.ended
            committed.freed += part.freed
            committed.orphans += part.orphans
            committed.full += part.full
        return committed

    def _deliver(self, batch: Batch, committed: Committed) -> None:
        """Let go of what was settled or lost, and hand new claims to the event loop."""
        left = {id(item) for item in committed.left}
        for item in batch.settled:
            if id(item) not in left:
                self._let_go(item.claim)
        for claim in committed.lost:
            if self._let_go(claim):
                self._loop.loop.call_soon_threadsafe(self._cancel, claim.row.id)
        self._flights.update({claim.row.id: claim for claim in committed.claims})
        if committed.claims:
            if batch.settled:
                failpoint("C8")
            self._loop.loop.call_soon_threadsafe(self._launch, committed.claims)
        self._follow_up(committed)
        if self._stopping:
            with self._condition:
                self._condition.notify_all()

    def _follow_up(self, committed: Committed) -> None:
        """Do what follows from a commit and need not be in it."""
        for broken in committed.broken:
            self._events.submit(_follow, _stop_broken, broken)
        for orphan in committed.orphans:
            self._events.submit(_follow, cancel_orphan, orphan)
        for execution in committed.full:
            self._events.submit(_follow, fail_full_execution, execution)
        if committed.ended:
            self._events.submit(_announce_ends, committed.ended)
        if committed.freed:
            self._events.submit(_follow, dequeue_after, committed.freed)

    def _let_go(self, claim: Claim) -> bool:
        """Hold a claim no longer; False when it is a newer one of its row that is held."""
        if self._flights.get(claim.row.id) is not claim:
            return False
        del self._flights[claim.row.id]
        return True

    def _wind_up(self, batch: Batch) -> None:
        """Record what has come in, then give back what is still held."""
        batch.careful = True
        try:
            if batch.settled:
                self._deliver(batch, self._commit(batch))
            if self._flights:
                self._loop.run(self._cancel_all())
                release([(c.row.id, c.fence) for c in self._flights.values()])
        except DatabaseError as error:
            # Their leases run out, and the sweep finds them.
            logger.warning("release_failed", error=str(error)[:500], steps=len(self._flights))
        finally:
            self._store.forget_worker()
            self._store.close_connection()

    # The event loop

    def _launch(self, claims: list[Claim]) -> None:
        for claim in claims:
            task = self._loop.loop.create_task(self._carry(claim))
            self._tasks[claim.row.id] = task
            task.add_done_callback(partial(self._forget_task, claim.row.id))

    def _forget_task(self, key: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]

    def _cancel(self, key: str) -> None:
        if task := self._tasks.get(key):
            task.cancel()

    async def _cancel_all(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry(self, claim: Claim) -> None:
        """Make one claimed step ready, call, decide, and hand the transition back."""
        try:
            transition = await self._decide(claim, decide.resume)
            if transition is None:
                outcome = await self._call(claim)
                fraction = random.random()  # noqa: S311
                transition = await self._decide(claim, decide.settle, outcome, fraction=fraction)
        except Exception as error:
            # A fault of ours fails the step, visibly, instead of leaving it to its lease for ever.
            logger.exception("step_failed", execution=claim.execution.id, step=claim.row.step_id)
            fault = WorkflowError(f"Internal error: {type(error).__name__}.", code="internal_error")
            transition = decide.give_up(claim.execution, claim.row, fault, now=self._store.now())
        self._post(Settled(claim, transition))

    async def _decide(self, claim: Claim, how: Callable[..., Any], *about: Any, **more: Any) -> Any:
        """Decide about a claim: apart from the loop, where what is computed could take its time."""
        given = partial(how, claim.execution, claim.row, *about, now=self._store.now(), **more)
        if claim.execution.definition.is_light:
            return given()
        return await self._loop.loop.run_in_executor(self._deciders, given)

    def _post(self, item: Settled) -> None:
        with self._condition:
            self._inbox.settled.append(item)
            self._condition.notify_all()

    async def _call(self, claim: Claim) -> CallSuccess | CallFailure:
        call = decide.call_at(claim.execution.definition, claim.row.step_id, claim.row.path)
        assert call.target is not None
        failpoint("C4", claim.row.step_id)
        try:
            outcome = await make_call(self._client, claim, call, call.target)
        except IntegrationError as error:
            claim.row.service = error.details.get("service") or claim.row.service
            claim.row.instance = error.details.get("instance") or ""
            return CallFailure(error)
        failpoint("C6", claim.row.step_id)
        return outcome


def _unrecordable(claim: Claim, error: Exception, *, now: datetime) -> Settled:
    sentence = f"The outcome cannot be recorded: {str(error).splitlines()[0][:300]}"
    failed = WorkflowError(sentence, code="unrecordable")
    row = replace(claim.row, status="RUNNING", input=None, error=None, output=None)
    return Settled(claim, decide.give_up(claim.execution, row, failed, now=now))


def _follow(act: Callable[[Any], object], about: Any) -> None:
    """Do what follows from a commit. Where the database refuses, a sweep comes to it later."""
    try:
        act(about)
    except DatabaseError as error:
        logger.warning("not_followed", act=act.__name__, error=str(error)[:500])
    finally:
        connection.close()


def _stop_broken(broken: Broken) -> None:
    """End an execution whose definition cannot be read; a compensating one needs a person."""
    if not fail_execution(broken.claim.execution.id, broken.error):
        mark_unreadable_for_review(broken.claim.row.id, broken.claim.fence, broken.error)


def _announce_ends(ended: Sequence[tuple[str, Finish]]) -> None:
    mediator.publish("executions_ended", execution_ids=[execution for execution, _ in ended])
    for execution, finish in ended:
        mediator.publish(
            f"execution_{finish.status.lower()}", execution_id=execution, errors=list(finish.errors)
        )
