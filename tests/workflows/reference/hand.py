"""Running cases on the real engine, by hand or freely.

`HandEngine` is an engine whose two threads are replaced by the test's hand: the same claims, the
same decisions and the same transactions, one after the other, in an order that the test draws, and
on a clock that it moves. `Hand` can also do what must make no difference: hold outcomes back,
record them twice, lose a worker, pause. `run_freely` leaves an engine to its own threads.
"""

from __future__ import annotations

import random
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Min, Q

from tests.support.waiting import until
from tests.workflows.reference.cases import Case
from tests.workflows.reference.world import (
    ObservedEngine,
    ScriptedWorld,
    snapshot,
    start_all,
)
from workflows import services
from workflows.engine.lease_recovery import recover_expired
from workflows.engine.store import Batch, Committed, Settled
from workflows.engine.worker import Engine
from workflows.models import ACTIVE, GOING_ON, OPEN_STEP, WorkflowExecution, WorkflowStep
from workflows.services.executions.control import cancel_orphan

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class HandEngine(ObservedEngine):
    """An engine that does nothing by itself."""

    def __init__(self, world: ScriptedWorld, *, ahead: timedelta = timedelta(0)) -> None:
        super().__init__(client_factory=lambda: world, lease_seconds=3600)
        self._store.clock.offset = ahead

    def commit(self, settled: Sequence[Settled], *, room: int) -> list[Settled]:
        """One transaction; give what became of the claims that it made, not yet recorded.

        A second one claims what a worker died of, as the quarantine would.
        """
        self._carry_all(self._commit(Batch(settled=list(settled), look=True, room=room)))
        if WorkflowStep.objects.filter(status__in=("PENDING", "WAITING"), deaths__gt=0).exists():
            self._store.quarantine = True
            self._carry_all(self._commit(Batch(look=True, room=room)))
            self._store.quarantine = False
        outcomes, self._inbox.settled = self._inbox.settled, []
        return outcomes

    async def _decide(self, claim: Any, how: Any, *about: Any, **more: Any) -> Any:
        return how(claim.execution, claim.row, *about, now=self._store.now(), **more)

    def _carry_all(self, committed: Committed) -> None:
        for orphan in committed.orphans:
            cancel_orphan(orphan)
        for claim in committed.claims:
            _finish(self._carry(claim))

    @property
    def ahead(self) -> timedelta:
        """How far its clock is ahead of the real one."""
        return self._store.clock.offset

    def wait_until(self, moment: datetime) -> None:
        """Move its clock, never back."""
        self._store.clock.offset += max(moment - self._store.now(), timedelta(0))

    def close(self) -> None:
        """End its threads, which have done nothing."""
        self._events.shutdown()
        self._loop.stop()


def _finish(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run what waits for nothing, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("a scripted call waited")


@dataclass(frozen=True)
class Troubles:
    """What must make no difference. The numbers are chances per turn, in percent.

    `shuffle` records outcomes in any order and number, `stale` lets leases run out under a worker
    that goes on all the same, with outcomes that must not count, `repeat` records again what was
    recorded before, `deaths` is how often at most the worker dies between two transactions, `pause`
    pauses what runs.
    """

    shuffle: int = 0
    stale: int = 0
    repeat: int = 0
    deaths: int = 0
    pause: int = 0


@dataclass
class Hand:
    """Runs executions to their end by hand."""

    world: ScriptedWorld
    draw: random.Random
    troubles: Troubles = field(default_factory=Troubles)
    died: int = 0
    outcomes: list[Settled] = field(default_factory=list)
    recorded: list[Settled] = field(default_factory=list)

    def run(self, cases: Sequence[Case]) -> list[WorkflowExecution]:
        """Start the cases together; give their executions once all have ended."""
        self.engine = HandEngine(self.world)
        self.running = start_all(self.world, cases)
        self.people = [People(execution, case) for execution, case in self.running]
        try:
            for _ in range(20_000):
                if not self.turn():
                    return [WorkflowExecution.objects.get(pk=e.pk) for e, _ in self.running]
        finally:
            self.engine.close()
        raise AssertionError("it does not end")

    def turn(self) -> bool:
        """One transaction, and what comes of it; False when everything has ended."""
        self.make_trouble()
        batch = self.choose()
        self.world.lying = self.died < 2 and self.chance(self.troubles.stale)
        made = self.engine.commit(batch, room=self.room())
        self.recorded += batch
        self.outcomes += made
        if self.world.lying and made:
            self.died += 1  # as its leases have it
            self.expire()
        if batch or made or self.outcomes:
            return True
        return _all_act(self.people) or self.pass_time() or self.give_up()

    def choose(self) -> list[Settled]:
        """Which outcomes go into the next transaction."""
        batch, self.outcomes = self.outcomes, []
        if self.chance(self.troubles.shuffle):
            self.draw.shuffle(batch)
            kept = self.draw.randint(0, len(batch))
            batch, self.outcomes = batch[:kept], batch[kept:]
        return batch

    def room(self) -> int:
        return self.draw.randint(1, 4) if self.troubles.shuffle else 200

    def chance(self, percent: int) -> bool:
        return bool(percent) and self.draw.randrange(100) < percent

    def make_trouble(self) -> None:
        """Do what must make no difference."""
        if self.died < self.troubles.deaths and self.chance(15):
            self.died += 1
            self.lose_worker()
        if self.recorded and self.chance(self.troubles.repeat):
            self.repeat()
        if self.chance(self.troubles.pause):
            for person in self.people:
                person.pause()

    def lose_worker(self) -> None:
        """Forget what the worker knew and held; another one takes over when the leases end."""
        ahead = self.engine.ahead
        self.engine.close()
        self.engine = HandEngine(self.world, ahead=ahead)
        self.outcomes, self.recorded = [], []
        self.expire()

    def expire(self) -> None:
        WorkflowStep.objects.filter(status="RUNNING").update(lease_until=LONG_AGO)
        recover_expired()

    def repeat(self) -> None:
        """Record outcomes for a second time, alone; no row may change."""
        before = snapshot(self.running)
        self.engine._commit(Batch(settled=self.draw.sample(self.recorded, 1)))
        assert snapshot(self.running) == before, "a stale outcome changed a row"

    def pass_time(self) -> bool:
        """Move the clock to when something is due; False when nothing is."""
        due = WorkflowStep.objects.filter(
            status__in=("PENDING", "WAITING"),
            execution__status__in=GOING_ON,
        ).aggregate(at=Min("wake_at"))["at"]
        if due is None:
            return False
        self.engine.wait_until(due)
        return True

    def give_up(self) -> bool:
        """A person cancels what nothing can help any more."""
        gone = [person.give_up() for person in self.people]
        return any(gone)


@dataclass
class People:
    """Those around one execution: they signal, decide, pause and cancel."""

    execution: WorkflowExecution
    case: Case
    signalled: int = 0

    def act(self) -> bool:
        """Do the next thing that the case has them do; False when there is none."""
        found = WorkflowExecution.objects.get(pk=self.execution.pk)
        if found.has_ended:
            return False
        if found.status == "PAUSED":
            services.resume_execution(found.pk)
            return True
        decided = [self.decide(row) for row in found.steps.filter(status="WAITING")]
        if any(decided):
            return True
        if self.signalled == len(self.case.late) or found.is_compensating:
            return False
        name, payload = self.case.late[self.signalled]
        self.signalled += 1
        services.signal_execution(found.pk, name=name, payload=payload)
        return True

    def decide(self, row: WorkflowStep) -> bool:
        """Take the next decision on an approval."""
        made = len((row.input or {}).get("decisions", ()))
        decisions = self.case.decisions.get(row.step_id, ())
        if made >= len(decisions):
            return False
        decision = decisions[made]
        services.decide_approval(
            self.execution.pk, row.path, approve=decision.approve, actor=decision.by
        )
        return True

    def pause(self) -> None:
        found = WorkflowExecution.objects.get(pk=self.execution.pk)
        if found.status in ACTIVE:
            services.pause_execution(found.pk)

    def give_up(self) -> bool:
        found = WorkflowExecution.objects.get(pk=self.execution.pk)
        if found.has_ended or found.is_compensating:
            return False
        services.cancel_execution(found.pk, actor="somebody")
        return True


def run_freely(world: ScriptedWorld, engine: Engine, cases: Sequence[Case]) -> list[Any]:
    """Run cases on an engine that runs by itself."""
    running = start_all(world, cases)
    people = [People(execution, case) for execution, case in running]
    ids = [execution.pk for execution, _ in running]

    def all_ended() -> bool:
        engine.look()
        open_steps = WorkflowStep.objects.filter(execution__in=ids, status__in=OPEN_STEP)
        # Children of a step that was given up are cancelled after it.
        busy = open_steps.exclude(status="WAITING", wake_at=None).exists() or _with_children(ids)
        if not busy and not _all_act(people):
            for person in people:
                person.give_up()
        # What could not be undone is left to a person: it goes no further by itself.
        at_rest = Q(completed_at__isnull=False) | Q(status="NEEDS_REVIEW")
        return not busy and WorkflowExecution.objects.filter(at_rest, pk__in=ids).count() == len(
            ids
        )

    until(all_ended)
    return list(WorkflowExecution.objects.filter(pk__in=ids).order_by("id"))


def _all_act(people: Sequence[People]) -> bool:
    """Let everybody act; True if somebody did."""
    acted = [person.act() for person in people]
    return any(acted)


def _with_children(ids: Sequence[Any]) -> bool:
    """Whether anything below these executions has not ended."""
    children = WorkflowExecution.objects.filter(parent_step__execution__in=ids)
    below = dict(children.values_list("pk", "completed_at"))
    return None in below.values() or bool(below and _with_children(list(below)))
